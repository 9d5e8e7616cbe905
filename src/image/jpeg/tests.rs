//! Large JPEG files, decoded at a part of their size.

use ::image::codecs::jpeg::JpegEncoder;
use ::image::{ExtendedColorType, ImageEncoder, RgbImage};
use proptest::prelude::*;

use super::super::{Image, Preprocessing};
use super::*;

/// 128 x 128 pixels, chroma at half the resolution in both directions. All fixtures were written by Pillow.
const HALVED: &[u8] = include_bytes!("../fixtures/ship-420.jpg");
/// Chroma at half the horizontal resolution, with restart markers.
const RESTARTS: &[u8] = include_bytes!("../fixtures/ship-422-restarts.jpg");
/// Grey, 131 x 129 pixels.
const GREY: &[u8] = include_bytes!("../fixtures/ship-grey.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../fixtures/ship-progressive.jpg");
const CMYK: &[u8] = include_bytes!("../fixtures/ship-cmyk.jpg");

fn spec(side: usize) -> InputSpec {
    InputSpec::new(3, side, side).unwrap()
}

fn full(bytes: &[u8]) -> Result<Image, ImageError> {
    Image::decode(bytes, &ImageLimits::default())
}

fn decode_for(bytes: &[u8], spec: &InputSpec) -> Result<Image, ImageError> {
    Image::decode_for(bytes, &ImageLimits::default(), spec)
}

fn encoded(image: &RgbImage, orientation: u8) -> Vec<u8> {
    let exif = [&b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..], &[orientation, 0, 0, 0], &[0; 4]].concat();
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    encoder.set_exif_metadata(exif).unwrap();
    encoder.encode_image(image).unwrap();
    bytes
}

/// Low-frequency waves in every colour.
fn waves(width: u32, height: u32) -> RgbImage {
    let wave = |at: f64| (128.0 + 90.0 * at.sin()) as u8;
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (f64::from(x) / f64::from(width), f64::from(y) / f64::from(height));
        ::image::Rgb([wave(7.0 * x), wave(9.0 * y), wave(5.0 * (x + y))])
    })
}

/// The image with its sides divided by `divisor`.
fn divided(bytes: &[u8], divisor: u32) -> DynamicImage {
    let mut reader = Reader::new(bytes);
    let scan = reader.next_scan().unwrap().unwrap();
    let (header, colors) = (reader.frame().unwrap().clone(), reader.colors().unwrap());
    let size = (reduced::divided(header.width, divisor), reduced::divided(header.height, divisor));
    let blocks = reduced::blocks(&header, divisor).unwrap();
    raster::reduced(size, &scan::planes(&mut reader, scan, &blocks).unwrap(), colors).unwrap()
}

/// The mean and maximum absolute difference.
fn difference(one: &[u8], other: &[u8]) -> (f64, u8) {
    assert_eq!(one.len(), other.len());
    let differences = || one.iter().zip(other).map(|(one, other)| one.abs_diff(*other));
    (differences().map(f64::from).sum::<f64>() / one.len() as f64, differences().max().unwrap())
}

#[test]
fn the_input_from_a_reduced_image_is_nearly_the_same() {
    for (bytes, side, size) in [
        (HALVED, 8, (32, 32)),
        (HALVED, 6, (16, 16)),
        (RESTARTS, 12, (32, 32)),
        (RESTARTS, 4, (16, 16)),
        (GREY, 1, (16, 16)),
        (PROGRESSIVE, 12, (32, 32)),
        (PROGRESSIVE, 4, (16, 16)),
    ] {
        let reduced = decode_for(bytes, &spec(side)).unwrap();
        assert_eq!(reduced.size(), size);
        let (mean, most) = difference(&full(bytes).unwrap().pixels(&spec(side)), &reduced.pixels(&spec(side)));
        assert!(mean < 2.0 && most <= 11, "{side}: {mean}, {most}");
    }
}

#[test]
fn nonlinear_and_small_images_are_not_reduced() {
    assert_eq!(decode_for(CMYK, &spec(4)), full(CMYK));
    for bytes in [HALVED, RESTARTS, GREY, PROGRESSIVE] {
        assert_eq!(decode_for(bytes, &spec(28)), full(bytes));
    }
    for (width, height) in [(1, 1), (7, 9), (17, 3000), (3000, 17)] {
        let bytes = encoded(&waves(width, height), 1);
        assert_eq!(decode_for(&bytes, &spec(28)), full(&bytes));
    }
}

#[test]
fn the_reduction_follows_the_rotated_size() {
    let upright = InputSpec::new(3, 24, 4).unwrap();
    for (orientation, stored) in [(1, (48, 256)), (3, (48, 256)), (6, (256, 48)), (8, (256, 48)), (5, (256, 48))] {
        let bytes = encoded(&waves(stored.0, stored.1), orientation);
        let reduced = decode_for(&bytes, &upright).unwrap();
        assert_eq!(reduced.size(), (12, 64), "{orientation}");
        let (_, most) = difference(&full(&bytes).unwrap().pixels(&upright), &reduced.pixels(&upright));
        assert!(most <= 4, "{orientation}: {most}");
        // In the other orientation it covers the input with few pixels to spare.
        assert_eq!(decode_for(&bytes, &InputSpec::new(3, 4, 24).unwrap()), full(&bytes));
    }
}

#[test]
fn the_limits_are_those_of_the_files_size() {
    let limits = ImageLimits { max_bytes: 1 << 20, max_pixels: 128 * 128 - 1 };
    let outcome = Image::decode_for(HALVED, &limits, &spec(4));
    assert_eq!(outcome, Err(ImageError::TooManyPixels { width: 128, height: 128, max_pixels: limits.max_pixels }));
}

#[test]
fn a_file_cut_short_is_broken_at_every_size() {
    for bytes in [HALVED, RESTARTS, GREY, PROGRESSIVE] {
        for length in (16..bytes.len()).step_by(13) {
            let cut = decode_for(&bytes[..length], &spec(1));
            assert!(matches!(cut, Err(ImageError::Broken { .. })), "{length} of {}", bytes.len());
            let ended = [&bytes[..length], &[0xFF, 0xD9]].concat();
            assert_eq!(decode_for(&ended, &spec(1)).is_ok(), full(&ended).is_ok(), "{length} of {}", bytes.len());
        }
    }
}

proptest! {
    #[test]
    fn reduced_images_keep_enough_pixels_and_their_edges(
        size in (1u32..6000, 1u32..6000), side in (1usize..300, 1usize..300), crop in 0.1f32..=1.0,
    ) {
        let spec = InputSpec::new(3, side.0, side.1).unwrap().with_preprocessing(Preprocessing::new(crop, [0.0, 1.0]).unwrap());
        let room = resize::room(size, &spec);
        let divisor = reduced::divisor(size, room);
        let good = |divisor: u32| {
            let off = |side: u32| f64::from((side % divisor).min(divisor - side % divisor)) / room;
            room / f64::from(divisor) >= 2.5 && off(size.0) <= 0.05 && off(size.1) <= 0.05
        };
        let expected = if good(8) { 8 } else if good(4) { 4 } else { 1 };
        prop_assert_eq!(divisor, expected);
        if divisor > 1 {
            let rounded = |side: u32| (f64::from(side) / f64::from(divisor)).round() as u32;
            prop_assert!(resize::room((rounded(size.0), rounded(size.1)), &spec) > 2.0);
        }
    }

    /// The oracle is the full image, averaged over squares.
    #[test]
    fn every_reduced_pixel_is_the_mean_of_its_square(
        (width, height, values) in (4u32..40, 4u32..40).prop_flat_map(|(width, height)| {
            (Just(width), Just(height), proptest::collection::vec(90u8..160, (width * height * 3) as usize))
        }),
        grey: bool, quality in 60u8..100, divisor in prop_oneof![Just(4u32), Just(8)],
    ) {
        let mut bytes = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
        let (colours, channels) = if grey { (ExtendedColorType::L8, 1) } else { (ExtendedColorType::Rgb8, 3) };
        encoder.write_image(&values[..(width * height * channels) as usize], width, height, colours).unwrap();
        let (whole, _) = decode(&bytes, &ImageLimits::default(), None).unwrap();
        let (whole, reduced) = (whole.into_rgb8(), divided(&bytes, divisor).into_rgb8());
        for (x, y, pixel) in reduced.enumerate_pixels() {
            // Squares at the edges may extend beyond the image.
            if (x + 1) * divisor <= width && (y + 1) * divisor <= height {
                let square = ::image::imageops::crop_imm(&whole, x * divisor, y * divisor, divisor, divisor).to_image();
                for channel in 0..3 {
                    let sum: u32 = square.pixels().map(|pixel| u32::from(pixel[channel])).sum();
                    let mean = f64::from(sum) / f64::from(divisor * divisor);
                    let found = f64::from(pixel[channel]);
                    prop_assert!((found - mean).abs() < 2.5, "{}, {}: {} for {}", x, y, found, mean);
                }
            }
        }
    }

    #[test]
    fn a_damaged_file_gives_the_same_error_when_reduced(
        file in 0..4usize, damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = [HALVED, RESTARTS, GREY, PROGRESSIVE][file].to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let limits = ImageLimits { max_bytes: 1 << 20, max_pixels: 100_000 };
        let reduced = Image::decode_for(&bytes, &limits, &spec(1));
        prop_assert_eq!(reduced.err(), Image::decode(&bytes, &limits).err());
    }
}

#[test]
fn any_number_of_extended_xmp_segments_is_skipped() {
    let extension: &[u8] = b"http://ns.adobe.com/xmp/extension/\0";
    let segment = [&[0xFF, 0xE1, 0, 79], extension, &[b'0'; 32], &[0; 10]].concat();
    let with = |pieces: usize| [&GREY[..2], &segment.repeat(pieces), &GREY[2..]].concat();
    for pieces in [1, 129, 100_000] {
        assert_eq!(full(&with(pieces)), full(GREY), "{pieces}");
    }
}

#[test]
fn too_many_scans_are_refused() {
    // The end-of-image marker follows the last scan. Each of these scans repeats the whole image.
    let scan = GREY.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    let with = |scans: usize| [&GREY[..scan], &GREY[scan..GREY.len() - 2].repeat(scans), &[0xFF, 0xD9]].concat();
    assert_eq!(full(&with(1)), full(GREY));
    let error = full(&with(101)).unwrap_err().to_string();
    assert_eq!(error, "the JPEG image is broken: it has more than 100 scans");
}
