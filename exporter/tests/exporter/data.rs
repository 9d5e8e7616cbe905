//! Invalid data files are refused with a reason; valid ones give the images they contain.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use tempfile::TempDir;

use anywidth::image::Region;
use exporter::data::arrival::arrive;
use exporter::data::cifar::Layout;
use exporter::data::{Augmentation, Border, DataError, Dataset, Images, Shape, cifar, idx, split};

const SHAPE: Shape = Shape { channels: 1, height: 2, width: 3 };
const PIXELS: [u8; 12] = [0, 51, 102, 153, 204, 255, 1, 2, 3, 4, 5, 6];

fn idx_bytes(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
    let words = std::iter::once(magic).chain(sizes.iter().copied());
    words.flat_map(u32::to_be_bytes).chain(body.iter().copied()).collect()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("compressing in memory");
    encoder.finish().expect("compressing in memory")
}

/// A folder with a data set of two images, with the files `images` and `labels`.
fn folder(images: &[u8], labels: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("train-images-idx3-ubyte.gz"), images).expect("written");
    fs::write(folder.path().join("train-labels-idx1-ubyte.gz"), labels).expect("written");
    folder
}

fn good_images() -> Vec<u8> {
    gzipped(&idx_bytes(2051, &[2, 2, 3], &PIXELS))
}

fn good_labels() -> Vec<u8> {
    gzipped(&idx_bytes(2049, &[2], &[7, 3]))
}

fn refusal(folder: &Path) -> String {
    idx::read_pair(folder, "train", SHAPE, 2).expect_err("the files are wrong").to_string()
}

#[test]
fn whole_idx_files_give_their_images_and_labels() {
    let folder = folder(&good_images(), &good_labels());
    let images = idx::read_pair(folder.path(), "train", SHAPE, 2).expect("whole files");
    assert_eq!(images, Images::new(PIXELS.into(), vec![7, 3], SHAPE));
}

#[test]
fn idx_files_that_are_cut_off_or_of_another_kind_are_refused_with_the_reason() {
    let mut cut_gzip = good_images();
    cut_gzip.truncate(cut_gzip.len() - 9);
    let cases = [
        (b"no gzip".to_vec(), "not a whole gzip file"),
        (cut_gzip, "not a whole gzip file"),
        (gzipped(&[]), "0 bytes, expected 28: the file is truncated"),
        (gzipped(&idx_bytes(2051, &[2, 2, 3], &PIXELS[..11])), "27 bytes, expected 28: the file is truncated"),
        (gzipped(&idx_bytes(2051, &[2, 2, 3], &[0; 13])), "more than the expected 28 bytes"),
        (gzipped(&idx_bytes(2049, &[2, 2, 3], &PIXELS)), "magic number 2049, expected 2051"),
        (gzipped(&idx_bytes(2051, &[3, 2, 2], &PIXELS)), "sizes [3, 2, 2], expected [2, 2, 3]"),
    ];
    for (bytes, reason) in cases {
        let folder = folder(&bytes, &good_labels());
        let message = refusal(folder.path());
        assert!(message.contains("train-images-idx3-ubyte.gz") && message.contains(reason), "{message}");
    }
}

#[test]
fn labels_that_name_no_class_are_refused() {
    let folder = folder(&good_images(), &gzipped(&idx_bytes(2049, &[2], &[9, 10])));
    let message = refusal(folder.path());
    assert!(message.ends_with("label 10 of image 1 is not below 10"), "{message}");
}

#[test]
fn a_missing_file_is_named_with_the_command_that_fetches_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for dataset in [Dataset::Mnist, Dataset::FashionMnist, Dataset::Cifar10, Dataset::Cifar100] {
        let error = dataset.test(folder.path()).expect_err("an empty folder");
        assert!(matches!(error, DataError::Io { .. }), "{error}");
        assert!(error.to_string().contains("exporter data fetch"), "{error}");
    }
}

#[test]
fn cifar_files_give_their_records_and_refuse_others() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let record = |label: u8, value: u8| [vec![label], vec![value; 3072]].concat();
    fs::write(folder.path().join("a.bin"), [record(4, 10), record(9, 20)].concat()).expect("written");
    fs::write(folder.path().join("b.bin"), [record(0, 30), record(1, 40)].concat()).expect("written");
    let images = cifar::read(folder.path(), &["a.bin", "b.bin"], 2, Layout::Cifar10).expect("whole files");
    assert_eq!(images.labels(), [4, 9, 0, 1]);
    assert_eq!(images.select(&[2]), Images::new(vec![30; 3072], vec![0], Dataset::Cifar10.shape()));

    for (bytes, reason) in [
        (record(4, 10), "3073 bytes, expected 6146 (2 records of 3073)"),
        ([record(4, 10), record(200, 20)].concat(), "label 200 of image 1 is not below 10"),
    ] {
        fs::write(folder.path().join("a.bin"), bytes).expect("written");
        let message = cifar::read(folder.path(), &["a.bin"], 2, Layout::Cifar10).expect_err("a wrong file").to_string();
        assert!(message.contains("a.bin") && message.ends_with(reason), "{message}");
    }
}

#[test]
fn a_batch_holds_pixels_in_0_to_1_in_their_places() {
    let shape = Shape { channels: 3, height: 2, width: 1 };
    let images = Images::new((0..12).map(|value| value * 20).collect(), vec![5, 6], shape);
    let batch = images.batch([1, 0]);
    assert_eq!(batch.images.size(), [2, 3, 2, 1]);
    assert_eq!(Vec::<i64>::try_from(&batch.labels).expect("integers"), [6, 5]);
    let value = |place: &[i64]| batch.images.double_value(place) * 255.0;
    assert!((value(&[0, 2, 1, 0]) - 220.0).abs() < 1e-4 && (value(&[1, 1, 0, 0]) - 40.0).abs() < 1e-4);
}

#[test]
fn the_split_is_the_same_for_a_seed_and_loses_no_image() {
    let shape = Shape { channels: 1, height: 1, width: 1 };
    let images = Images::new((0..100).collect(), vec![0; 100], shape);
    let pixels = |images: &Images| -> Vec<u8> {
        let batch = images.batch(0..images.len()).images.view([-1]) * 255.0;
        Vec::<f32>::try_from(batch).expect("floats").into_iter().map(|value| value.round() as u8).collect()
    };
    let (train, validation) = split::split(&images, 30, 1);
    assert_eq!((train.len(), validation.len()), (70, 30));
    let mut all = [pixels(&train), pixels(&validation)].concat();
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<u8>>());
    assert_eq!(split::split(&images, 30, 1), (train.clone(), validation));
    assert_ne!(split::split(&images, 30, 2).0, train);
}

proptest! {
    /// Oracle: some shift of at most `pad`, mirrored or not, gives every pixel its source or the border's value.
    #[test]
    fn augmentation_is_one_shift_of_the_whole_image_and_perhaps_its_mirror_image(
        pad in 0usize..3,
        border in prop_oneof![Just(Border::Black), Just(Border::Reflect)],
        flip in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let shape = Shape { channels: 2, height: 3, width: 4 };
        let source: Vec<u8> = (1..=shape.len() as u8).collect();
        let mut image = source.clone();
        let augmentation = Augmentation { pad, border, flip, ..Augmentation::default() };
        augmentation.apply(&mut image, shape, &mut ChaCha8Rng::seed_from_u64(seed));
        // Walks from pixel to pixel and reflects at the edge.
        let reflected = |place: isize, length: isize| {
            let (mut at, mut step) = (0, if place < 0 { -1 } else { 1 });
            for _ in 0..place.abs() {
                step = if (0..length).contains(&(at + step)) { step } else { -step };
                at += step;
            }
            at
        };
        let moved = |down: isize, right: isize, mirrored: bool| -> Vec<u8> {
            let at = |channel: usize, row: isize, column: isize| {
                let (height, width) = (shape.height as isize, shape.width as isize);
                let inside = (0..height).contains(&row) && (0..width).contains(&column);
                if !inside && border == Border::Black {
                    return 0;
                }
                let (row, column) = (reflected(row, height), reflected(column, width));
                let column = if mirrored { width - 1 - column } else { column };
                source[channel * 12 + (row * width + column) as usize]
            };
            let places = (0..2).flat_map(|c| (0..3).flat_map(move |y| (0..4).map(move |x| (c, y, x))));
            places.map(|(channel, row, column)| at(channel, row + down, column + right)).collect()
        };
        let shifts = -(pad as isize)..=pad as isize;
        let found = shifts.clone().any(|down| {
            shifts.clone().any(|right| [false, flip].iter().any(|&mirrored| moved(down, right, mirrored) == image))
        });
        prop_assert!(found, "{image:?}");
    }

    #[test]
    fn cutout_covers_one_square_in_all_channels_and_nothing_else(cutout in 1usize..=3, seed in any::<u64>()) {
        let shape = Shape { channels: 2, height: 3, width: 4 };
        let source: Vec<u8> = (1..=shape.len() as u8).collect();
        let mut image = source.clone();
        let augmentation = Augmentation { cutout, ..Augmentation::default() };
        augmentation.apply(&mut image, shape, &mut ChaCha8Rng::seed_from_u64(seed));
        let covered: Vec<usize> = (0..shape.len()).filter(|&place| image[place] != source[place]).collect();
        prop_assert_eq!(covered.len(), 2 * cutout * cutout);
        let (top, left) = (covered[0] / 4, covered[0] % 4);
        for place in covered {
            let (row, column) = (place / 4 % 3, place % 4);
            prop_assert!((top..top + cutout).contains(&row) && (left..left + cutout).contains(&column));
            prop_assert_eq!(image[place], 128);
        }
    }

    #[test]
    fn a_cut_lies_inside_the_image_and_has_at_least_the_area_that_was_asked_for(
        width in 1u32..3000,
        height in 1u32..3000,
        crop in 0.01f64..0.99,
        seed in any::<u64>(),
    ) {
        let augmentation = Augmentation { crop, ..Augmentation::default() };
        let cut = augmentation.cut((width, height), &mut ChaCha8Rng::seed_from_u64(seed));
        let (width, height) = (f64::from(width), f64::from(height));
        if let Some(Region { left, top, width: wide, height: high }) = cut {
            prop_assert!(left >= 0.0 && top >= 0.0 && wide > 0.0 && high > 0.0);
            prop_assert!(left + wide <= width + 1e-6 && top + high <= height + 1e-6);
            prop_assert!(wide * high >= crop * width * height * 0.999);
            prop_assert!((0.74..1.34).contains(&(wide / high)));
        }
        prop_assert!(Augmentation::default().cut((width as u32, height as u32), &mut ChaCha8Rng::seed_from_u64(seed)).is_none());
    }

    #[test]
    fn an_image_that_was_sent_is_much_the_same_and_one_colour_stays_that_colour(
        channels in prop_oneof![Just(1usize), Just(3)],
        (height, width) in (8usize..40, 8usize..40),
        value in any::<u8>(),
        seed in any::<u64>(),
    ) {
        let shape = Shape { channels, height, width };
        let arrived = |image: &[u8]| arrive(image, shape, &mut ChaCha8Rng::seed_from_u64(seed));
        let plain = arrived(&vec![value; shape.len()]);
        prop_assert!(plain.iter().all(|&byte| byte.abs_diff(value) <= 6), "{plain:?}");
        // A gradient, which compression hardly changes.
        let slope: Vec<u8> = (0..shape.len()).map(|at| (255 * (at % width) / width) as u8).collect();
        let difference: u64 = slope.iter().zip(arrived(&slope)).map(|(a, b)| u64::from(a.abs_diff(b))).sum();
        prop_assert!(difference < 16 * shape.len() as u64, "{difference} over {} values", shape.len());
    }

    #[test]
    fn jitter_keeps_a_grey_image_grey_and_an_extent_of_nothing_changes_nothing(
        level in any::<u8>(),
        jitter in 0.01f64..0.9,
        seed in any::<u64>(),
    ) {
        let shape = Shape { channels: 3, height: 2, width: 2 };
        let mut image = vec![level; shape.len()];
        let augmentation = Augmentation { jitter, ..Augmentation::default() };
        augmentation.apply(&mut image, shape, &mut ChaCha8Rng::seed_from_u64(seed));
        prop_assert!(image.iter().all(|&byte| byte == image[0]));
        let largest = f64::from(level) * (1.0 + jitter) + 1.0;
        prop_assert!(f64::from(image[0]) <= largest && f64::from(image[0]) + 1.0 >= f64::from(level) * (1.0 - jitter));
    }
}
