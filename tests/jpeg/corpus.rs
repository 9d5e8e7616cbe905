//! The files that the tests decode: one of each kind, by name.

use crate::support::jpeg::{Component, Huffman, Jpeg, Scan, steps};

/// Sampling factors, at least one of each kind: luma's, and those of both chromas.
pub(crate) const SAMPLINGS: [[(u8, u8); 3]; 24] = [
    [(1, 1), (1, 1), (1, 1)],
    [(2, 1), (1, 1), (1, 1)],
    [(1, 2), (1, 1), (1, 1)],
    [(2, 2), (1, 1), (1, 1)],
    [(4, 1), (1, 1), (1, 1)],
    [(1, 4), (1, 1), (1, 1)],
    [(4, 2), (1, 1), (1, 1)],
    [(2, 4), (1, 1), (1, 1)],
    [(4, 4), (1, 1), (1, 1)],
    [(2, 2), (2, 1), (2, 1)],
    [(2, 2), (1, 2), (1, 2)],
    [(2, 2), (2, 1), (1, 2)],
    [(4, 2), (2, 1), (2, 1)],
    [(4, 2), (2, 2), (2, 2)],
    [(4, 1), (2, 1), (1, 1)],
    [(2, 1), (2, 1), (2, 1)],
    [(2, 2), (2, 2), (2, 2)],
    [(1, 1), (2, 1), (2, 1)],
    [(1, 1), (1, 2), (1, 2)],
    [(1, 1), (2, 2), (2, 2)],
    [(1, 1), (2, 2), (1, 1)],
    [(2, 1), (1, 2), (1, 2)],
    [(1, 2), (2, 1), (4, 2)],
    [(1, 1), (4, 2), (4, 2)],
];

const SIZES: [(u16, u16); 6] = [(37, 29), (1, 1), (5, 70), (67, 3), (64, 32), (18, 17)];

pub(crate) fn components(sampling: &[(u8, u8)]) -> Vec<Component> {
    let component = |(index, &sampling): (usize, &(u8, u8))| Component {
        name: index as u8 + 1,
        sampling,
        steps: u8::from(index > 0 && index < 3),
    };
    sampling.iter().enumerate().map(component).collect()
}

pub(crate) fn blocks_per_unit(components: &[Component], scan: &[usize]) -> u8 {
    scan.iter().map(|&index| components[index].sampling.0 * components[index].sampling.1).sum()
}

/// The orders in which scans may have three components.
pub(crate) fn layouts() -> [(&'static str, Vec<Vec<usize>>); 5] {
    [
        ("one scan", vec![vec![0, 1, 2]]),
        ("a scan each", vec![vec![0], vec![1], vec![2]]),
        ("luma then chroma", vec![vec![0], vec![1, 2]]),
        ("chroma first", vec![vec![1, 2], vec![0]]),
        ("backwards", vec![vec![2], vec![1], vec![0]]),
    ]
}

/// Scans of a progressive file whose first ones are laid out so.
pub(crate) fn progressive(layout: &[Vec<usize>], components: usize, script: usize) -> Vec<Scan> {
    let each = |band, bits| (0..components).map(move |index| Scan::part(&[index], band, bits));
    let first = |bits| layout.iter().map(move |scan| Scan::part(scan, (0, 0), bits));
    match script % 3 {
        0 => first((0, 0)).chain(each((1, 63), (0, 0))).collect(),
        1 => first((0, 1))
            .chain(each((1, 5), (0, 2)))
            .chain(each((6, 63), (0, 2)))
            .chain(each((1, 63), (2, 1)))
            .chain(first((1, 0)))
            .chain(each((1, 63), (1, 0)))
            .collect(),
        _ => first((0, 2))
            .chain(first((2, 1)))
            .chain(each((30, 63), (0, 0)))
            .chain(each((1, 29), (0, 3)))
            .chain(each((1, 9), (3, 2)))
            .chain(each((10, 29), (3, 2)))
            .chain(first((1, 0)))
            .chain(each((1, 29), (2, 1)))
            .chain(each((1, 29), (1, 0)))
            .collect(),
    }
}

/// All files, by their names.
pub(crate) fn corpus() -> Vec<(String, Jpeg)> {
    let mut files = sampled();
    files.extend(colored());
    files.extend(odd());
    files
}

/// Every sampling in every order of scans, sequential and progressive.
fn sampled() -> Vec<(String, Jpeg)> {
    let mut files = Vec::new();
    for (number, sampling) in SAMPLINGS.iter().enumerate() {
        for (order, (layout, scans)) in layouts().into_iter().enumerate() {
            let components = components(sampling);
            if scans.iter().any(|scan| scan.len() > 1 && blocks_per_unit(&components, scan) > 10) {
                continue;
            }
            for (kind, frame) in [("baseline", 0xC0), ("progressive", 0xC2)] {
                let variant = number + order;
                let mut jpeg = Jpeg::new(SIZES[variant % SIZES.len()], components.clone());
                jpeg.frame = frame;
                jpeg.scans = scans.iter().cloned().map(Scan::of).collect();
                jpeg.seed = files.len() as u32;
                jpeg.restart = [0, 1, 3][variant % 3];
                jpeg.sparsity = [3, 40][order % 2];
                if frame == 0xC2 {
                    jpeg.huffman = Huffman::Flat;
                    jpeg.scans = progressive(&scans, 3, variant);
                }
                let factors: Vec<_> = sampling.iter().map(|(h, v)| format!("{h}x{v}")).collect();
                let (width, height) = jpeg.size;
                files.push((format!("{} {layout} {kind} {width} by {height}", factors.join(",")), jpeg));
            }
        }
    }
    files
}

fn jfif() -> (u8, Vec<u8>) {
    (0xE0, b"JFIF\0\x01\x02\0\0\x01\0\x01\0\0".to_vec())
}

fn adobe(transform: u8) -> (u8, Vec<u8>) {
    (0xEE, [&b"Adobe\0\x64\0\0\0\0"[..], &[transform]].concat())
}

/// What samples may stand for.
fn colored() -> Vec<(String, Jpeg)> {
    let named = |names: &[u8], sampling: &[(u8, u8)]| {
        let mut components = components(sampling);
        components.iter_mut().zip(names).for_each(|(component, &name)| component.name = name);
        components
    };
    let one = [(1, 1)];
    let three = [(1, 1); 3];
    let halved = [(2, 2), (1, 1), (1, 1)];
    let four = [(1, 1); 4];
    let halved_four = [(2, 2), (1, 1), (1, 1), (2, 2)];
    let mut files = Vec::new();
    let mut add = |name: &str, components: Vec<Component>, applications: Vec<(u8, Vec<u8>)>| {
        let mut jpeg = Jpeg::new((35, 21), components);
        jpeg.applications = applications;
        jpeg.seed = 1000 + files.len() as u32;
        files.push((name.to_owned(), jpeg.clone()));
        if name == "YCbCr by one name" {
            // Scans of one component could be anybody's.
            return;
        }
        jpeg.frame = 0xC2;
        jpeg.huffman = Huffman::Flat;
        jpeg.restart = 2;
        jpeg.scans = progressive(&[(0..jpeg.components.len()).collect()], jpeg.components.len(), 1);
        files.push((format!("{name}, progressive"), jpeg));
    };
    add("gray", named(b"\x01", &one), vec![jfif()]);
    add("gray with sampling factors", named(b"\x07", &[(2, 3)]), vec![]);
    add("gray of Adobe", named(b"\x01", &one), vec![adobe(0)]);
    add("YCbCr without a word", named(b"\x01\x02\x03", &three), vec![]);
    add("YCbCr by other names", named(b"\x00\x01\x02", &three), vec![]);
    add("YCbCr by one name", named(b"\x00\x00\x00", &three), vec![]);
    add("YCbCr of Adobe", named(b"\x01\x02\x03", &halved), vec![adobe(1)]);
    add("RGB by Adobe", named(b"\x01\x02\x03", &three), vec![adobe(0)]);
    add("RGB by names", named(b"RGB", &three), vec![]);
    add("RGB by names, halved", named(b"RGB", &halved), vec![]);
    add("names of RGB, YCbCr by Adobe", named(b"RGB", &three), vec![adobe(1)]);
    add("names of RGB, YCbCr by JFIF", named(b"RGB", &three), vec![jfif()]);
    add("JFIF before Adobe", named(b"\x01\x02\x03", &three), vec![jfif(), adobe(0)]);
    add("Adobe before JFIF", named(b"\x01\x02\x03", &halved), vec![adobe(0), jfif()]);
    add("CMYK without a word", named(b"\x01\x02\x03\x04", &four), vec![]);
    add("CMYK by names", named(b"CMYK", &four), vec![]);
    add("CMYK of Adobe", named(b"\x01\x02\x03\x04", &four), vec![adobe(0)]);
    add("CMYK of Adobe, halved", named(b"\x01\x02\x03\x04", &halved_four), vec![adobe(0)]);
    add("YCCK of Adobe", named(b"\x01\x02\x03\x04", &four), vec![adobe(2)]);
    add("YCCK of Adobe, halved", named(b"\x01\x02\x03\x04", &halved_four), vec![adobe(2)]);
    add("CMYK in a JFIF file", named(b"\x01\x02\x03\x04", &four), vec![jfif()]);
    files
}

/// Tables and segments as few files have them.
fn odd() -> Vec<(String, Jpeg)> {
    let mut files = Vec::new();
    let mut add = |name: &str, sampling: &[(u8, u8)], change: &dyn Fn(&mut Jpeg)| {
        for size in [(40, 24), (33, 17), (7, 9)] {
            let mut jpeg = Jpeg::new(size, components(sampling));
            jpeg.applications = vec![jfif()];
            jpeg.seed = 2000 + files.len() as u32;
            change(&mut jpeg);
            files.push((format!("{name}, {} by {}", size.0, size.1), jpeg));
        }
    };
    let halved = [(2, 2), (1, 1), (1, 1)];
    add("16-bit steps", &halved, &|jpeg| jpeg.steps = vec![steps(30), steps(60)]);
    add("16-bit steps, extended", &halved, &|jpeg| (jpeg.frame, jpeg.steps) = (0xC1, vec![steps(60), steps(30)]));
    add("a table of steps each", &halved, &|jpeg| {
        jpeg.steps = vec![steps(3), steps(9), steps(5), steps(40)];
        (jpeg.components[1].steps, jpeg.components[2].steps) = (3, 2);
    });
    add("tables for each component", &halved, &|jpeg| (jpeg.frame, jpeg.huffman) = (0xC1, Huffman::Flat));
    add("no Huffman tables", &halved, &|jpeg| jpeg.huffman = Huffman::Missing);
    add("no Huffman tables, a scan each", &halved, &|jpeg| {
        (jpeg.huffman, jpeg.restart) = (Huffman::Missing, 2);
        jpeg.scans = (0..3).map(|index| Scan::of(vec![index])).collect();
    });
    add("no Huffman tables, gray", &[(1, 1)], &|jpeg| jpeg.huffman = Huffman::Missing);
    add("zeros between segments", &halved, &|jpeg| jpeg.stray = vec![0; 100]);
    add("bytes between segments", &halved, &|jpeg| jpeg.stray = b"some text".to_vec());
    add("fill bytes before markers", &halved, &|jpeg| jpeg.stray = vec![0xFF; 5]);
    add("bytes between scans", &halved, &|jpeg| {
        jpeg.stray = vec![1, 2, 0, 3];
        jpeg.scans = (0..3).map(|index| Scan::of(vec![index])).collect();
    });
    add("comments and applications' data", &halved, &|jpeg| {
        jpeg.applications.extend([(0xFE, b"a comment".to_vec()), (0xE5, vec![0xFF, 0xD9]), (0xED, vec![])]);
    });
    add("restarts at every unit", &halved, &|jpeg| jpeg.restart = 1);
    add("restarts beyond the end", &halved, &|jpeg| jpeg.restart = 60000);
    add("bright and dark", &halved, &|jpeg| jpeg.steps = vec![steps(12); 2]);
    files
}
