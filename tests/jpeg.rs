//! JPEG files of every kind become the pixels that libjpeg-turbo's `djpeg` makes of them by default, or are refused as
//! what they are.
//!
//! The reference is `djpeg` with its own defaults: the accurate integer transform (`-dct int`) and interpolated chroma
//! ("fancy upsampling", no `-nosmooth`), which its vector code computes to the bit as its plain code does. We follow the same
//! arithmetic, so its pixels are compared exactly: by their checksums in `jpeg/djpeg.txt` where there is no `djpeg`,
//! and by itself where `ANYWIDTH_DJPEG` names one, as `make test` does.
//! `ANYWIDTH_DJPEG=djpeg ANYWIDTH_WRITE_DJPEG=1 cargo test --test jpeg` writes the checksums.
#![allow(clippy::unwrap_used)]

#[path = "jpeg/corpus.rs"]
mod corpus;
mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anywidth::image::{Image, ImageError, ImageLimits, InputSpec};
use corpus::{SAMPLINGS, blocks_per_unit, components, corpus, layouts, progressive};
use support::djpeg::djpeg;
use support::jpeg::{Huffman, Jpeg, Scan};
use support::seeds::check_seed;

fn decode(bytes: &[u8]) -> Result<Image, ImageError> {
    Image::decode(bytes, &ImageLimits::default())
}

/// The pixels of an image, channel by channel: one channel if it is gray.
fn pixels(image: &Image) -> Vec<u8> {
    let (width, height) = image.size();
    let channels = image.bytes() / (width * height) as usize;
    image.pixels(&InputSpec::new(channels, height as usize, width as usize).unwrap())
}

/// All files, by their names: the corpus, and what fuzzing found.
fn files() -> Vec<(String, Vec<u8>)> {
    let large = include_bytes!("../fuzz/seeds/jpeg/large-coefficients.jpg").to_vec();
    let found = ("large coefficients, found by fuzzing".to_owned(), large);
    corpus().into_iter().map(|(name, jpeg)| (name, jpeg.bytes())).chain([found]).collect()
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
    let files = files();
    assert_eq!(known.len(), files.len(), "each file has its own name, and its checksum");
    for (name, bytes) in files {
        let image = decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
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
    for (name, bytes) in files() {
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
