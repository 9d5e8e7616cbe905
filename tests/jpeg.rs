//! JPEG files of every kind become the pixels that libjpeg-turbo's `djpeg` makes of them by default, or are refused as
//! what they are.
//!
//! The reference is `djpeg` with its own defaults: the accurate integer transform (`-dct int`) and interpolated chroma
//! ("fancy upsampling", no `-nosmooth`), which its vector code computes to the bit as its plain code does. We follow the same
//! arithmetic, so its pixels are compared exactly: by their checksums in `jpeg/djpeg.txt` where there is no `djpeg`,
//! and by itself where `ANYWIDTH_DJPEG` names one, as `make test` does.
//! `ANYWIDTH_DJPEG=djpeg ANYWIDTH_WRITE_DJPEG=1 cargo test --test jpeg` writes the checksums.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anywidth::image::{Image, ImageError, ImageLimits, InputSpec};
use support::djpeg::djpeg;
use support::jpeg::{Component, Huffman, Jpeg, Scan, steps};
use support::seeds::check_seed;

/// Sampling factors, at least one of each kind: luma's, and those of both chromas.
const SAMPLINGS: [[(u8, u8); 3]; 24] = [
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

fn components(sampling: &[(u8, u8)]) -> Vec<Component> {
    let component = |(index, &sampling): (usize, &(u8, u8))| Component {
        name: index as u8 + 1,
        sampling,
        steps: u8::from(index > 0 && index < 3),
    };
    sampling.iter().enumerate().map(component).collect()
}

fn blocks_per_unit(components: &[Component], scan: &[usize]) -> u8 {
    scan.iter().map(|&index| components[index].sampling.0 * components[index].sampling.1).sum()
}

/// The orders in which scans may have three components.
fn layouts() -> [(&'static str, Vec<Vec<usize>>); 5] {
    [
        ("one scan", vec![vec![0, 1, 2]]),
        ("a scan each", vec![vec![0], vec![1], vec![2]]),
        ("luma then chroma", vec![vec![0], vec![1, 2]]),
        ("chroma first", vec![vec![1, 2], vec![0]]),
        ("backwards", vec![vec![2], vec![1], vec![0]]),
    ]
}

/// Scans of a progressive file whose first ones are laid out so.
fn progressive(layout: &[Vec<usize>], components: usize, script: usize) -> Vec<Scan> {
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
fn corpus() -> Vec<(String, Jpeg)> {
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

fn decode(bytes: &[u8]) -> Result<Image, ImageError> {
    Image::decode(bytes, &ImageLimits::default())
}

/// The pixels of an image, channel by channel: one channel if it is gray.
fn pixels(image: &Image) -> Vec<u8> {
    let (width, height) = image.size();
    let channels = image.bytes() / (width * height) as usize;
    image.pixels(&InputSpec::new(channels, height as usize, width as usize).unwrap())
}

/// Fowler, Noll and Vo's checksum of 64 bits, of an image's size and pixels.
fn checksum((width, height): (u32, u32), pixels: &[u8]) -> u64 {
    let size = [width.to_le_bytes(), height.to_le_bytes()].concat();
    size.iter()
        .chain(pixels)
        .fold(0xCBF2_9CE4_8422_2325, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3))
}

fn checksums_file() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jpeg/djpeg.txt")
}

#[test]
fn every_file_has_the_checksum_of_djpegs_pixels() {
    let text = std::fs::read_to_string(checksums_file()).unwrap();
    let known: BTreeMap<&str, u64> = text
        .lines()
        .map(|line| line.split_once(' ').map(|(sum, name)| (name, u64::from_str_radix(sum, 16).unwrap())).unwrap())
        .collect();
    let corpus = corpus();
    assert_eq!(known.len(), corpus.len(), "each file has its own name, and its checksum");
    for (name, jpeg) in corpus {
        let image = decode(&jpeg.bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(image.size(), (u32::from(jpeg.size.0), u32::from(jpeg.size.1)), "{name}");
        assert_eq!(checksum(image.size(), &pixels(&image)), known[&name[..]], "{name}: other pixels than djpeg's");
    }
}

/// Files of the corpus that the fuzz target `jpeg` starts from.
const SEEDS: [(&str, &str); 10] = [
    ("baseline-420", "YCbCr of Adobe"),
    ("gray", "gray"),
    ("rgb-progressive", "RGB by names, progressive"),
    ("ycck-420-progressive", "YCCK of Adobe, halved, progressive"),
    ("cmyk", "CMYK of Adobe"),
    ("no-tables", "no Huffman tables, a scan each, 7 by 9"),
    ("16-bit-steps", "16-bit steps, extended, 7 by 9"),
    ("restarts", "restarts at every unit, 7 by 9"),
    ("stray-bytes", "bytes between scans, 7 by 9"),
    ("fill-bytes", "fill bytes before markers, 7 by 9"),
];

#[test]
fn the_fuzz_target_starts_from_files_of_the_corpus() {
    let corpus: BTreeMap<String, Jpeg> = corpus().into_iter().collect();
    for (seed, name) in SEEDS {
        check_seed(&format!("jpeg/{seed}.jpg"), &corpus[name].bytes());
    }
}

/// What is said of a file that this makes unsupported.
fn refusal(change: &dyn Fn(&mut Jpeg)) -> String {
    let mut jpeg = Jpeg::new((20, 20), components(&[(2, 2), (1, 1), (1, 1)]));
    change(&mut jpeg);
    match decode(&jpeg.bytes()) {
        Err(error @ ImageError::UnsupportedFeature { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_supported_is_refused_by_its_name() {
    let names = [
        (0xC3, "lossless compression"),
        (0xC5, "hierarchical compression"),
        (0xC6, "hierarchical compression"),
        (0xC7, "hierarchical compression"),
        (0xC9, "arithmetic coding"),
        (0xCA, "arithmetic coding"),
        (0xCB, "lossless compression with arithmetic coding"),
        (0xCD, "hierarchical compression with arithmetic coding"),
        (0xCF, "hierarchical compression with arithmetic coding"),
        (0xF7, "JPEG-LS compression"),
    ];
    for (marker, name) in names {
        let advice = "save it as a baseline or progressive JPEG with 8 bits per channel";
        let message = format!("the JPEG image uses an unsupported feature: {name}; {advice}");
        assert_eq!(refusal(&|jpeg| jpeg.frame = marker), message);
    }
    for frame in [0xC0, 0xC1, 0xC2] {
        let message = refusal(&|jpeg| (jpeg.frame, jpeg.precision) = (frame, 12));
        assert!(message.contains(": 12 bits per channel;"), "{message}");
    }
    for (factors, name) in [((3, 1), "3:1"), ((1, 3), "3:1"), ((3, 2), "3:1"), ((3, 3), "3:1")] {
        let message = refusal(&|jpeg| jpeg.components[0].sampling = factors);
        assert!(message.contains(&format!(": chroma subsampling by {name};")), "{message}");
    }
    let message = refusal(&|jpeg| (jpeg.components[0].sampling, jpeg.components[1].sampling) = ((3, 1), (2, 1)));
    assert!(message.contains(": chroma subsampling by 3:2;"), "{message}");
    assert!(refusal(&|jpeg| jpeg.size.1 = 0).contains(": a height given after the image (DNL);"));
    let message = refusal(&|jpeg| *jpeg = Jpeg::new((20, 20), components(&[(1, 1), (1, 1)])));
    assert!(message.contains(": 2 color components;"), "{message}");
}

#[test]
fn what_is_damaged_is_broken() {
    let broken = |change: &dyn Fn(&mut Jpeg)| {
        let mut jpeg = Jpeg::new((40, 40), components(&[(2, 2), (1, 1), (1, 1)]));
        change(&mut jpeg);
        match decode(&jpeg.bytes()) {
            Err(ImageError::Broken { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    };
    let parts = |components: &[usize]| components.iter().map(|&index| Scan::of(vec![index])).collect::<Vec<_>>();
    assert_eq!(broken(&|jpeg| jpeg.scans = parts(&[0, 1])), "a component has no scan");
    assert_eq!(broken(&|jpeg| jpeg.scans.clear()), "it has no scan");
    assert_eq!(broken(&|jpeg| jpeg.steps.truncate(1)), "a quantization table is missing");
    assert_eq!(broken(&|jpeg| jpeg.size.0 = 0), "it has no pixels");
    assert_eq!(broken(&|jpeg| jpeg.components[2].sampling = (0, 1)), "its frame header is invalid");
    assert_eq!(broken(&|jpeg| jpeg.components[0].sampling = (4, 4)), "a scan header is invalid");
    let progressive = |jpeg: &mut Jpeg, scans: usize| {
        (jpeg.frame, jpeg.huffman) = (0xC2, Huffman::Flat);
        jpeg.scans = progressive(&[vec![0, 1, 2]], 3, 1);
        jpeg.scans.truncate(scans);
    };
    // What an author left out is another thing than what a file has lost.
    for scans in 1..14 {
        let left_out = "an unsupported feature: progressive scans that leave out a part of the image;";
        let message = refusal(&|jpeg| progressive(jpeg, scans));
        assert!(message.contains(left_out), "{scans} of 14 scans: {message}");
    }
    let twice = |jpeg: &mut Jpeg| {
        progressive(jpeg, 14);
        jpeg.scans.insert(1, jpeg.scans[0].clone());
    };
    assert_eq!(broken(&twice), "its scans are in an invalid order");
    let without_tables = |jpeg: &mut Jpeg| {
        progressive(jpeg, 1);
        jpeg.huffman = Huffman::Missing;
    };
    assert_eq!(broken(&without_tables), "a Huffman table is missing or invalid");
}

/// Every byte that is lost in the data of a scan is noticed, wherever restart markers allow to go on.
#[test]
fn a_file_without_some_of_its_bytes_is_broken() {
    for (frame, restart) in [(0xC0, 0), (0xC0, 2), (0xC2, 0), (0xC2, 2)] {
        let mut jpeg = Jpeg::new((40, 40), components(&[(2, 1), (1, 1), (1, 1)]));
        (jpeg.frame, jpeg.restart) = (frame, restart);
        if frame == 0xC2 {
            (jpeg.huffman, jpeg.scans) = (Huffman::Flat, progressive(&[vec![0, 1, 2]], 3, 1));
        }
        let whole = jpeg.bytes();
        assert!(decode(&whole).is_ok());
        for length in 2..whole.len() {
            let cut = decode(&whole[..length]);
            assert!(matches!(cut, Err(ImageError::Broken { .. })), "{length} of {}: {cut:?}", whole.len());
        }
    }
}

/// The largest difference.
fn difference(one: &[u8], other: &[u8]) -> u8 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(one, other)| one.abs_diff(*other)).max().unwrap_or(0)
}

/// Files large enough that a model reads only a part of their pixels.
fn large() -> Vec<(String, Jpeg)> {
    let mut files = Vec::new();
    for sampling in
        [[(1, 1), (1, 1), (1, 1)], [(2, 2), (1, 1), (1, 1)], [(1, 1), (2, 2), (2, 2)], [(2, 2), (1, 1), (2, 2)]]
    {
        for (layout, scans) in layouts() {
            for (kind, frame) in [("baseline", 0xC0), ("progressive", 0xC2)] {
                let components = components(&sampling);
                if scans.iter().any(|scan| scan.len() > 1 && blocks_per_unit(&components, scan) > 10) {
                    continue;
                }
                let mut jpeg = Jpeg::new((256, 192), components);
                (jpeg.frame, jpeg.restart, jpeg.seed) = (frame, 5, 3000 + files.len() as u32);
                jpeg.scans = scans.iter().cloned().map(Scan::of).collect();
                if frame == 0xC2 {
                    (jpeg.huffman, jpeg.scans) = (Huffman::Flat, progressive(&scans, 3, files.len()));
                }
                files.push((format!("{sampling:?} {layout} {kind}"), jpeg));
            }
        }
    }
    let mut gray = Jpeg::new((256, 192), components(&[(1, 1)]));
    gray.seed = 4000;
    files.push(("gray".into(), gray));
    files
}

/// The oracle is `djpeg -scale`, whose reduced transforms are means of samples as ours are, where a chroma is as coarse
/// across as down; elsewhere it repeats samples that we compute.
#[test]
fn a_reduced_image_is_that_of_djpeg() {
    let Ok(program) = std::env::var("ANYWIDTH_DJPEG") else {
        eprintln!("ANYWIDTH_DJPEG names no djpeg: reduced images are compared with full ones only");
        return;
    };
    for (name, jpeg) in large() {
        let bytes = jpeg.bytes();
        for (side, scale) in [(8, "1/8"), (16, "1/4")] {
            let input = InputSpec::new(3, side, side).unwrap();
            let ours = Image::decode_for(&bytes, &ImageLimits::default(), &input).unwrap();
            let (size, theirs) = djpeg(&program, &["-scale", scale, "-nosmooth"], &bytes).unwrap();
            assert_eq!(ours.size(), size, "{name} at {scale}");
            close(&pixels(&ours), &theirs, &format!("{name} at {scale}"));
        }
    }
}

/// Every sampling: the means of squares of the full image, which is `djpeg`'s. Where a chroma is coarser, the full image
/// mixes neighboring samples into a square's edge; slow waves keep that small.
#[test]
fn a_reduced_image_is_the_mean_of_the_full_one() {
    for sampling in SAMPLINGS {
        for frame in [0xC0, 0xC2] {
            let mut jpeg = Jpeg::new((256, 192), components(&sampling));
            (jpeg.frame, jpeg.smooth) = (frame, true);
            jpeg.scans = (0..3).map(|index| Scan::of(vec![index])).collect();
            if frame == 0xC2 {
                (jpeg.huffman, jpeg.scans) = (Huffman::Flat, progressive(&[vec![0], vec![1], vec![2]], 3, 2));
            }
            let bytes = jpeg.bytes();
            let full = decode(&bytes).unwrap();
            for (side, divisor) in [(8, 8), (16, 4)] {
                let input = InputSpec::new(3, side, side).unwrap();
                let reduced = Image::decode_for(&bytes, &ImageLimits::default(), &input).unwrap();
                if reduced.size() == full.size() {
                    assert!(sampling.iter().any(|&(h, v)| h == 4 || v == 4), "{sampling:?} at 1/{divisor}");
                    continue;
                }
                let means = means(&pixels(&full), 256, divisor);
                close(&pixels(&reduced), &means, &format!("{sampling:?} at 1/{divisor}"));
            }
        }
    }
}

/// Within 2 of 255: both are rounded, and `djpeg` rounds luma and chroma as well, of which the chroma counts 1.77 times.
fn close(ours: &[u8], theirs: &[u8], what: &str) {
    let most = difference(ours, theirs);
    assert!(most <= 2, "{what}: by {most}");
}

/// Of each square of pixels in rows of `width`.
fn means(pixels: &[u8], width: usize, side: usize) -> Vec<u8> {
    let mut means = Vec::new();
    for rows in pixels.chunks_exact(width * side) {
        for left in (0..width).step_by(side) {
            let square = rows.chunks_exact(width).flat_map(|row| &row[left..left + side]);
            let sum: usize = square.map(|&value| usize::from(value)).sum();
            means.push(((sum + side * side / 2) / (side * side)) as u8);
        }
    }
    means
}

#[test]
fn the_checksums_are_those_of_djpeg() {
    let Ok(program) = std::env::var("ANYWIDTH_DJPEG") else {
        eprintln!("ANYWIDTH_DJPEG names no djpeg: its pixels are compared by their recorded checksums only");
        return;
    };
    let mut text = String::new();
    let mut worst = Vec::new();
    for (name, jpeg) in corpus() {
        let bytes = jpeg.bytes();
        let (size, theirs) = djpeg(&program, &[], &bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        match decode(&bytes) {
            Ok(ours) => {
                assert_eq!(ours.size(), size, "{name}");
                let difference = difference(&pixels(&ours), &theirs);
                if difference > 0 {
                    worst.push(format!("{name}: by {difference}"));
                }
            }
            Err(error) => worst.push(format!("{name}: {error}")),
        }
        writeln!(text, "{:016x} {name}", checksum(size, &theirs)).unwrap();
    }
    if std::env::var_os("ANYWIDTH_WRITE_DJPEG").is_some() {
        std::fs::write(checksums_file(), text).unwrap();
    } else {
        assert_eq!(std::fs::read_to_string(checksums_file()).unwrap(), text, "another djpeg than the checksums' one");
    }
    assert!(worst.is_empty(), "differ from djpeg's:\n{}", worst.join("\n"));
}
