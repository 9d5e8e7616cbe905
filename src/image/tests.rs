//! Every type of image file, whole and damaged, becomes pixels or an error.

use std::io::Cursor;

use ::image::codecs::jpeg::JpegEncoder;
use ::image::codecs::png::PngEncoder;
use ::image::codecs::webp::WebPEncoder;
use ::image::{DynamicImage, ExtendedColorType, GrayImage, ImageEncoder, ImageFormat, Luma, Rgb, RgbImage};
use proptest::prelude::*;

use super::*;

const FORMATS: [ImageFormat; 3] = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP];

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn decode(bytes: &[u8]) -> Result<Image, ImageError> {
    Image::decode(bytes, &ImageLimits::default())
}

/// An image with detail everywhere, so that no encoded block is empty.
fn checkered(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 37 + y * 11) as u8, (x * 5) as u8 ^ (y * 29) as u8, (x * y) as u8])
    })
}

/// A PNG whose header declares `width` x `height` RGB pixels, with hardly any data.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = encoded(&checkered(1, 1).into(), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(crc & 1)))
    })
}

/// A little-endian TIFF block that contains only the orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let entry = [0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
    [&b"II*\0\x08\0\0\0\x01\0"[..], &entry, &[0; 4]].concat()
}

#[test]
fn lossless_types_keep_every_pixel() {
    let image = checkered(13, 7);
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let decoded = decode(&encoded(&image.clone().into(), format)).unwrap();
        assert_eq!(Some(decoded), Image::from_rgb(13, 7, image.as_raw().clone()), "{format:?}");
    }
}

#[test]
fn a_jpeg_round_trips_approximately() {
    let image = RgbImage::from_fn(32, 24, |x, _| if x < 16 { Rgb([200, 30, 60]) } else { Rgb([20, 90, 220]) });
    let Image(Pixels::Rgb(decoded)) = decode(&encoded(&image.clone().into(), ImageFormat::Jpeg)).unwrap() else {
        panic!("a colour image");
    };
    for (at, before, after) in [(2, 2), (29, 20)].map(|at: (u32, u32)| (at, image[at], decoded[at])) {
        assert!(before.0.iter().zip(after.0).all(|(a, b)| a.abs_diff(b) < 12), "{at:?}: {before:?} became {after:?}");
    }
}

#[test]
fn a_grey_jpeg_stays_grey() {
    let image = GrayImage::from_pixel(9, 9, Luma([77]));
    let decoded = decode(&encoded(&image.into(), ImageFormat::Jpeg)).unwrap();
    assert!(matches!(decoded.0, Pixels::Grey(_)));
}

#[test]
fn a_cmyk_jpeg_is_converted() {
    // One colour, 8 x 8, written by Pillow: cyan 0, magenta 255, yellow 255, key 0 is red.
    let decoded = decode(include_bytes!("fixtures/red-cmyk.jpg")).unwrap();
    let Pixels::Rgb(image) = decoded.0 else { panic!("a colour image") };
    let [red, green, blue] = image[(4, 4)].0;
    assert!(red > 230 && green < 25 && blue < 25, "{:?}", image[(4, 4)]);
}

#[test]
fn transparency_is_laid_on_white_and_sixteen_bits_become_eight() {
    let pixels = [0u8, 0, 0, 0, /**/ 255, 0, 0, 255, /**/ 0, 0, 0, 128];
    let rgba = DynamicImage::ImageRgba8(::image::RgbaImage::from_raw(3, 1, pixels.to_vec()).unwrap());
    let white_red_grey = Image::from_rgb(3, 1, vec![255, 255, 255, 255, 0, 0, 127, 127, 127]);
    assert_eq!(decode(&encoded(&rgba, ImageFormat::Png)).ok(), white_red_grey);
    assert_eq!(decode(&encoded(&rgba, ImageFormat::WebP)).ok(), white_red_grey);

    let deep = DynamicImage::ImageLumaA16(::image::ImageBuffer::from_raw(2, 1, vec![0, 0, 0x8080, 0xFFFF]).unwrap());
    assert_eq!(decode(&encoded(&deep, ImageFormat::Png)).ok(), Image::from_grey(2, 1, vec![255, 0x80]));
}

#[test]
fn every_exif_orientation_is_honoured_in_every_type() {
    // The upright image is red on the left, and taller than wide.
    let upright = RgbImage::from_fn(16, 24, |x, _| if x < 8 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) });
    let undo = [
        (1, DynamicImage::from(upright.clone())),
        (3, DynamicImage::from(upright.clone()).rotate180()),
        (6, DynamicImage::from(upright.clone()).rotate270()),
        (8, DynamicImage::from(upright.clone()).rotate90()),
    ];
    for (orientation, stored) in undo {
        let rgb = stored.to_rgb8();
        let (width, height) = rgb.dimensions();
        let write = |encoder: &mut dyn FnMut(Vec<u8>) -> Vec<u8>| encoder(exif(orientation));
        let files = [
            write(&mut |exif| {
                let mut bytes = Vec::new();
                let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 100);
                encoder.set_exif_metadata(exif).unwrap();
                encoder.encode_image(&rgb).unwrap();
                bytes
            }),
            write(&mut |exif| {
                let mut bytes = Vec::new();
                let mut encoder = PngEncoder::new(&mut bytes);
                encoder.set_exif_metadata(exif).unwrap();
                encoder.write_image(&rgb, width, height, ExtendedColorType::Rgb8).unwrap();
                bytes
            }),
            write(&mut |exif| {
                let mut bytes = Vec::new();
                let mut encoder = WebPEncoder::new_lossless(&mut bytes);
                encoder.set_exif_metadata(exif).unwrap();
                encoder.encode(&rgb, width, height, ExtendedColorType::Rgb8).unwrap();
                bytes
            }),
        ];
        for (file, format) in files.iter().zip(FORMATS) {
            let decoded = decode(file).unwrap();
            assert_eq!(decoded.size(), (16, 24), "{format:?}, orientation {orientation}");
            let Pixels::Rgb(image) = decoded.0 else { panic!("a colour image") };
            assert!(image[(1, 12)][0] > 200 && image[(14, 12)][2] > 200, "{format:?}, orientation {orientation}");
        }
    }
}

#[test]
fn a_file_cut_anywhere_is_broken_in_every_type() {
    for format in FORMATS {
        let whole = encoded(&checkered(40, 40).into(), format);
        assert!(decode(&whole).is_ok());
        // The end may be missing if it contains no pixels: in PNG IEND, the checksums and the end-of-block code before
        // it; in WebP the padding byte.
        let silent = match format {
            ImageFormat::Png => 12 + 4 + 4 + 3,
            ImageFormat::WebP => 1,
            _ => 0,
        };
        for length in 16..whole.len() {
            match decode(&whole[..length]) {
                Err(ImageError::Broken { .. }) => {}
                decoded => {
                    assert_eq!(decoded, decode(&whole), "{format:?}: {length} of {} bytes", whole.len());
                    assert!(length >= whole.len() - silent, "{format:?}: {length} of {} bytes", whole.len());
                }
            }
        }
    }
}

/// Offsets of the chunks of a PNG file.
fn chunks(file: &[u8]) -> Vec<usize> {
    let mut starts = vec![8];
    while let Some(length) = file.get(starts[starts.len() - 1]..).and_then(|rest| rest.first_chunk()) {
        starts.push(starts[starts.len() - 1] + 12 + u32::from_be_bytes(*length) as usize);
    }
    starts
}

#[test]
fn a_png_needs_all_its_pixels_and_no_more() {
    let file = encoded(&checkered(40, 40).into(), ImageFormat::Png);
    let whole = decode(&file).unwrap();
    let (starts, end) = (chunks(&file), file.len());
    let text = [&[0, 0, 0, 4], &b"tEXta\0bc"[..], &crc32(b"tEXta\0bc").to_be_bytes()].concat();
    let last = starts[starts.len() - 2];
    assert_eq!(&file[last + 4..last + 8], b"IEND");
    for length in last..end {
        assert_eq!(decode(&file[..length]), Ok(whole.clone()), "{length} of {end}");
    }
    for length in 0..=text.len() {
        let behind = [&file[..last], &text[..length]].concat();
        assert_eq!(decode(&behind), Ok(whole.clone()), "{length} bytes of a text");
    }
    for garbage in [&b"trailing text"[..], &[0; 1000], &file] {
        assert_eq!(decode(&[&file[..], garbage].concat()), Ok(whole.clone()));
    }
    // A truncated last chunk that contains all pixels.
    let mut longer = file[..last].to_vec();
    let pixels = starts[starts.len() - 3];
    longer[pixels] = 1;
    assert_eq!(decode(&longer), Ok(whole.clone()));
    // Comments do not count towards the memory limit of the pixels.
    let long = [b"tEXta\0", &vec![b'x'; 20_000_000][..]].concat();
    let text = [&(long.len() as u32 - 4).to_be_bytes(), &long[..], &crc32(&long).to_be_bytes()].concat();
    let limits = ImageLimits { max_bytes: 1 << 30, max_pixels: 10_000 };
    let commented = [&file[..last], &text, &file[last..]].concat();
    assert_eq!(Image::decode(&commented, &limits), Ok(whole.clone()));
    let commented = [&file[..starts[1]], &text, &file[starts[1]..]].concat();
    assert_eq!(Image::decode(&commented, &limits), Ok(whole));
}

#[test]
fn a_png_may_have_its_orientation_after_its_pixels() {
    let file = encoded(&checkered(4, 6).into(), ImageFormat::Png);
    let last = file.len() - 12;
    let data = [&b"eXIf"[..], &exif(6)].concat();
    let exif = [&(data.len() as u32 - 4).to_be_bytes(), &data[..], &crc32(&data).to_be_bytes()].concat();
    let behind = decode(&[&file[..last], &exif, &file[last..]].concat()).unwrap();
    assert_eq!(behind.size(), (6, 4));
    assert_eq!(decode(&[&file[..33], &exif, &file[33..]].concat()), Ok(behind));
}

/// Changes the header of a PNG file and its checksum.
fn indexed_with_16_bits(file: &mut [u8]) {
    file[24..26].copy_from_slice(&[16, 3]);
    let checksum = crc32(&file[12..29]).to_be_bytes();
    file[29..33].copy_from_slice(&checksum);
}

#[test]
fn a_damaged_file_has_a_readable_reason() {
    type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);
    let reason = |change: Damage| {
        let mut file = encoded(&checkered(40, 40).into(), ImageFormat::Png);
        change(&mut file);
        decode(&file).unwrap_err().to_string()
    };
    let cases: [(Damage, &str); 4] = [
        (&|file| file[30] ^= 0x55, "the checksum of a chunk is wrong"),
        (&|file| file[60] ^= 0x55, "its compressed pixels are damaged"),
        (&|file| file.truncate(1000), "the file ends before the image does"),
        (&|file| indexed_with_16_bits(file), "its header has an invalid combination of color type and bit depth"),
    ];
    for (change, words) in cases {
        let said = reason(change);
        assert!(said.ends_with(words), "{said}");
    }
}

#[test]
fn a_png_without_a_leading_ihdr_is_refused_for_that() {
    let file = encoded(&checkered(4, 4).into(), ImageFormat::Png);
    let message = |file: &[u8]| decode(file).unwrap_err().to_string();
    let apple = [&[0, 0, 0, 4], &b"CgBI\x50\0\x20\x02"[..], &crc32(b"CgBI\x50\0\x20\x02").to_be_bytes()].concat();
    let feature = "Apple's CgBI variant, as found in iOS apps; convert it to a standard PNG";
    let found = message(&[&file[..8], &apple, &file[8..]].concat());
    assert_eq!(found, format!("the PNG image uses an unsupported feature: {feature}"));
    let text = [&[0, 0, 0, 4], &b"tEXta\0bc"[..], &crc32(b"tEXta\0bc").to_be_bytes()].concat();
    let found = message(&[&file[..8], &text, &file[8..]].concat());
    assert_eq!(found, "the PNG image is broken: its first chunk is not IHDR");
    assert_eq!(message(&file[..12]), "the PNG image is broken: the file ends before the image does");
}

#[test]
fn a_jpeg_may_be_followed_by_something_else() {
    let mut bytes = encoded(&checkered(20, 20).into(), ImageFormat::Jpeg);
    bytes.extend(b"trailing text");
    assert!(decode(&bytes).is_ok());
}

#[test]
fn unsupported_types_are_named_in_the_error() {
    let says = |bytes: &[u8]| match decode(bytes) {
        Err(error @ ImageError::Unsupported { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let gif = "the image is not a JPEG, PNG or WebP file: it looks like GIF, which is not supported; save one of its frames as PNG";
    assert_eq!(says(b"GIF89a\x01\0\x01\0"), gif);
    assert!(says(b"{\"width\": 1}").ends_with(r#"it begins with the text "{\"width\": 1}""#));
    assert!(says(&[0xFE, 0xED]).ends_with("it begins with the bytes fe ed"));
    assert_eq!(decode(b""), Err(ImageError::Empty));
}

#[test]
fn the_limits_hold_before_anything_is_decoded() {
    let limits = ImageLimits { max_bytes: 300, max_pixels: 99 };
    let png = bomb(10, 10);
    let too_many = ImageError::TooManyPixels { width: 10, height: 10, max_pixels: 99 };
    assert_eq!(Image::decode(&png, &limits), Err(too_many));
    let large = vec![0; 301];
    assert_eq!(Image::decode(&large, &limits), Err(ImageError::TooManyBytes { bytes: 301, max_bytes: 300 }));
    for side in [60_000, 0x7FFF_FFFF] {
        let outcome = decode(&bomb(side, side));
        assert!(matches!(outcome, Err(ImageError::TooManyPixels { .. })), "{side}: {outcome:?}");
    }
    assert!(matches!(decode(&bomb(0, 7)), Err(ImageError::Broken { .. })));
}

#[test]
fn an_input_is_grey_or_colour_and_of_a_sensible_size() {
    assert_eq!(InputSpec::new(2, 8, 8), Err(InputSpecError::Channels(2)));
    assert_eq!(InputSpec::new(3, 0, 8), Err(InputSpecError::Size { height: 0, width: 8 }));
    assert_eq!(InputSpec::new(3, 8, 5000), Err(InputSpecError::Size { height: 8, width: 5000 }));
    assert_eq!(InputSpec::new(3, 8, 9).unwrap().len(), 216);
}

#[test]
fn the_crop_keeps_the_centre() {
    // Three stripes, each as wide as the image is high; only the middle one is kept.
    let stripes = RgbImage::from_fn(90, 30, |x, _| match x / 30 {
        1 => Rgb([0, 255, 0]),
        _ => Rgb([255, 0, 0]),
    });
    let input = Image::from_rgb(90, 30, stripes.into_raw()).unwrap().input(&InputSpec::new(3, 10, 10).unwrap());
    // At the border columns the filter mixes in pixels from outside.
    let inner = |plane: usize| (0..100).filter(|at| (1..9).contains(&(at % 10))).map(move |at| plane * 100 + at);
    assert!(inner(0).all(|at| input[at] < 0.01) && inner(1).all(|at| input[at] > 0.99));
}

#[test]
fn a_region_excludes_pixels_outside_it() {
    // Four quarters in different greys.
    let quarters = ::image::GrayImage::from_fn(40, 40, |x, y| ::image::Luma([(x / 20 * 100 + y / 20 * 50) as u8]));
    let image = Image::from_grey(40, 40, quarters.into_raw()).unwrap();
    let spec = InputSpec::new(1, 8, 8).unwrap();
    let cut = |left, top, width, height| image.cut(Region { left, top, width, height }, &spec);
    assert_eq!(cut(22.0, 2.0, 16.0, 16.0), [100; 64]);
    assert_eq!(cut(2.0, 25.0, 10.0, 5.0), [50; 64]);
    assert_eq!(cut(25.5, 25.5, 500.0, 500.0), [150; 64]);
    assert_eq!(cut(-10.0, -10.0, 25.0, 25.0), [0; 64]);
    let whole = image.pixels(&spec);
    assert_eq!(cut(0.0, 0.0, 40.0, 40.0), whole);
    for nothing in [[60.0, 60.0], [-9.0, 3.0], [3.0, 40.0], [f64::NAN, 3.0]] {
        let found = cut(nothing[0], nothing[1], 5.0, 5.0);
        assert!(found == whole || nothing[0].is_nan() && found.len() == 64, "{nothing:?}");
    }
}

#[test]
fn a_reduced_image_has_its_shape_and_a_small_one_stays_as_it_is() {
    let image = Image::from_rgb(90, 60, vec![7; 90 * 60 * 3]).unwrap();
    let reduced = image.reduced(20, Filter::Lanczos);
    assert_eq!((reduced.size(), reduced.bytes()), ((30, 20), 1800));
    assert_eq!(reduced, Image::from_rgb(30, 20, vec![7; 1800]).unwrap());
    assert_eq!(image.reduced(60, Filter::Lanczos), image);
    assert_eq!(image.reduced(500, Filter::Lanczos), image);
}

#[test]
fn colour_becomes_grey_by_luma_and_grey_fills_all_three_channels() {
    let green = Image::from_rgb(1, 1, vec![0, 255, 0]).unwrap();
    let luma = green.input(&InputSpec::new(1, 1, 1).unwrap())[0];
    assert!((luma - 0.7152).abs() < 0.004, "{luma}");
    let grey = Image::from_grey(2, 1, vec![0, 51]).unwrap();
    assert_eq!(grey.input(&InputSpec::new(3, 1, 2).unwrap()), [0.0, 0.2, 0.0, 0.2, 0.0, 0.2]);
}

proptest! {
    #[test]
    fn an_image_of_the_inputs_size_keeps_every_pixel_exactly(
        (width, height, bytes) in (1u32..20, 1u32..20).prop_flat_map(|(width, height)| {
            (Just(width), Just(height), proptest::collection::vec(any::<u8>(), (width * height * 3) as usize))
        }),
        filter in 0..4usize,
    ) {
        let spec = InputSpec::new(3, height as usize, width as usize).unwrap();
        let whole = Preprocessing::default().filtered(Filter::ALL[filter]);
        let input = Image::from_rgb(width, height, bytes.clone()).unwrap().input(&spec.with_preprocessing(whole));
        let area = (width * height) as usize;
        for (at, value) in input.into_iter().enumerate() {
            prop_assert_eq!(value, f32::from(bytes[(at % area) * 3 + at / area]) / 255.0);
        }
    }

    /// An image of 16 x 16 squares, of which a crop of 7/8 keeps 14 x 14.
    #[test]
    fn a_crop_that_leaves_the_inputs_size_keeps_the_centre_exactly(
        (rows, columns, bytes) in (1usize..4, 1usize..4).prop_flat_map(|(rows, columns)| {
            (Just(rows), Just(columns), proptest::collection::vec(any::<u8>(), 16 * rows * 16 * columns))
        }),
    ) {
        let spec = InputSpec::new(1, 14 * rows, 14 * columns).unwrap();
        let spec = spec.with_preprocessing(Preprocessing::new(0.875, [0.0, 1.0]).unwrap());
        let image = Image::from_grey(16 * columns as u32, 16 * rows as u32, bytes.clone()).unwrap();
        let centre = bytes.chunks(16 * columns).skip(rows).take(14 * rows).map(|row| &row[columns..][..14 * columns]);
        prop_assert_eq!(image.pixels(&spec), centre.flatten().copied().collect::<Vec<_>>());
    }

    #[test]
    fn black_and_white_become_the_ends_of_the_range(low in -300f32..300.0, high in -300f32..300.0, bytes: [u8; 12]) {
        prop_assume!(low != high);
        let spec = InputSpec::new(3, 2, 2).unwrap().with_preprocessing(Preprocessing::new(1.0, [low, high]).unwrap());
        let image = Image::from_rgb(2, 2, bytes.to_vec()).unwrap();
        for (value, byte) in image.input(&spec).into_iter().zip(image.pixels(&spec)) {
            let expected = (f64::from(low) * f64::from(255 - byte) + f64::from(high) * f64::from(byte)) / 255.0;
            prop_assert!((f64::from(value) - expected).abs() < 1e-4, "{byte} became {value}, not {expected}");
        }
    }

    #[test]
    fn any_size_fits_any_input_and_one_colour_stays_that_colour(
        size in (1u32..300, 1u32..300), sides in (1usize..70, 1usize..70), value: u8, colour: bool,
        crop in prop_oneof![Just(1.0), 0.01f32..1.0, Just(0.01)], filter in 0..4usize,
    ) {
        let image = if colour {
            Image::from_rgb(size.0, size.1, vec![value; (size.0 * size.1 * 3) as usize]).unwrap()
        } else {
            Image::from_grey(size.0, size.1, vec![value; (size.0 * size.1) as usize]).unwrap()
        };
        let spec = InputSpec::new(if colour { 3 } else { 1 }, sides.0, sides.1).unwrap();
        let preprocessing = Preprocessing::new(crop, [0.0, 1.0]).unwrap().filtered(Filter::ALL[filter]);
        let spec = spec.with_preprocessing(preprocessing);
        let input = image.input(&spec);
        prop_assert_eq!(input.len(), spec.len());
        prop_assert!(input.iter().all(|&pixel| (pixel - f32::from(value) / 255.0).abs() < 0.005));
    }

    #[test]
    fn damaged_bytes_never_cause_a_panic(
        format in 0..3usize, damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = encoded(&checkered(24, 24).into(), FORMATS[format]);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let limits = ImageLimits { max_bytes: 1 << 20, max_pixels: 10_000 };
        if let Ok(image) = Image::decode(&bytes, &limits) {
            let (width, height) = image.size();
            prop_assert!(u64::from(width) * u64::from(height) <= limits.max_pixels);
        }
    }
}

/// Image pixels aligned with input pixels, where filters are zero: the library read beyond its buffers.
#[test]
fn inputs_aligned_with_image_pixels_are_filled() {
    for ((width, height), (rows, columns)) in
        [((37, 23), (69, 49)), ((116, 12), (56, 43)), ((115, 20), (30, 64)), ((9, 9), (27, 27))]
    {
        let shades: Vec<u8> = (0..width * height).map(|at| (at * 7) as u8).collect();
        let image = Image::from_grey(width, height, shades.clone()).unwrap();
        let colour = Image::from_rgb(width, height, shades.iter().flat_map(|&shade| [shade; 3]).collect()).unwrap();
        for filter in Filter::ALL {
            let input = |channels| {
                let spec = InputSpec::new(channels, rows, columns).unwrap();
                spec.with_preprocessing(Preprocessing::default().filtered(filter))
            };
            let (grey, rgb) = (image.pixels(&input(1)), colour.pixels(&input(3)));
            assert_eq!(rgb, [&grey[..]; 3].concat(), "{filter:?}, {width} x {height}");
        }
    }
}
