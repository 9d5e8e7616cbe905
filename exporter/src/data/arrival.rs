//! Augmentation by the way images reach a server: enlarged, compressed as JPEG, decoded and scaled.
//!
//! Uses the server's own decoding and scaling, so that training sees what the served network will see.

use anywidth::image::{Filter, Image, ImageLimits, InputSpec, Preprocessing};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};

use super::{Augmentation, Images, Shape};

/// Encoding of a sent image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sending {
    /// Factor of its side lengths.
    pub enlarged: f64,
    /// JPEG quality, from 1 to 100.
    pub quality: u8,
    /// Chroma subsampling.
    pub sampling: SamplingFactor,
}

/// The encodings measured for a card, from the mildest to the strongest.
pub const MEASURED: [Sending; 6] = [
    Sending::plain(95),
    Sending::plain(90),
    Sending::plain(75),
    Sending::plain(50),
    Sending { enlarged: 2.0, ..Sending::plain(90) },
    Sending { enlarged: 6.25, ..Sending::plain(75) },
];

/// Maximum enlargement.
const LARGEST: f64 = 6.5;
/// Range of JPEG qualities, from 0 to 100.
const QUALITY: (u8, u8) = (40, 95);
/// Chroma subsamplings that cameras, browsers and editors use by default.
const SAMPLING: [SamplingFactor; 3] = [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_2_2];

impl Sending {
    /// A JPEG of the original size with 4:2:0 subsampling, which is the most common.
    pub const fn plain(quality: u8) -> Sending {
        Sending { enlarged: 1.0, quality, sampling: SamplingFactor::F_2_2 }
    }

    /// Half of the images at their size, the others enlarged; small factors as often as large ones.
    fn random(random: &mut impl Rng) -> Sending {
        let enlarged = if random.random_bool(0.5) { 1.0 } else { random.random_range(0.0..LARGEST.ln()).exp() };
        let quality = random.random_range(QUALITY.0..=QUALITY.1);
        Sending { enlarged, quality, sampling: SAMPLING[random.random_range(0..SAMPLING.len())] }
    }
}

/// The image `[C, H, W]`, of one or three channels, after a random encoding and the server's preprocessing.
///
/// # Panics
/// If `image` does not match `shape`, or `shape` is not that of an image.
pub fn arrive(image: &[u8], shape: Shape, random: &mut impl Rng) -> Vec<u8> {
    sent(image, shape, Sending::random(random))
}

/// The image `[C, H, W]`, of one or three channels, after this encoding and the server's preprocessing.
///
/// # Panics
/// If `image` does not match `shape`, or `shape` is not that of an image.
pub fn sent(image: &[u8], shape: Shape, sending: Sending) -> Vec<u8> {
    assert_eq!(image.len(), shape.len(), "an image of {shape:?}");
    let original = to_image(image, shape);
    let original = if sending.enlarged > 1.0 { enlarged(&original, shape, sending.enlarged) } else { original };
    let input = input_spec(shape, Preprocessing::for_training());
    let file = jpeg(&original, shape.channels, sending);
    let arrived = Image::decode_for(&file, &ImageLimits::default(), &input).expect("a JPEG file that was just written");
    arrived.pixels(&input)
}

/// Encodes and inverts the same shares of images as in training, for measuring: accuracies and temperatures are then
/// those of images as users send them.
pub fn as_sent(images: &Images, augmentation: &Augmentation, seed: u64) -> Images {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(SENT);
    let shape = images.shape();
    images.mapped(|image| {
        let (inverted, arrives) = (random.random_bool(augmentation.inverted), random.random_bool(augmentation.arrival));
        if inverted {
            invert(image);
        }
        if arrives {
            image.copy_from_slice(&arrive(image, shape, &mut random));
        }
    })
}

/// The random stream of this module; no other use of a seed draws from it.
const SENT: u64 = 4 << 48;

/// Inverts brightness.
pub fn invert(image: &mut [u8]) {
    image.iter_mut().for_each(|byte| *byte = 255 - *byte);
}

fn to_image(planes: &[u8], shape: Shape) -> Image {
    let (width, height) = (shape.width as u32, shape.height as u32);
    let image = match shape.channels {
        1 => Image::from_grey(width, height, planes.to_vec()),
        _ => Image::from_rgb(width, height, interleaved(planes, shape)),
    };
    image.expect("as many values as its shape says")
}

/// The image with its sides multiplied by `factor`.
fn enlarged(image: &Image, shape: Shape, factor: f64) -> Image {
    let longer = |side: usize| (side as f64 * factor).round() as usize;
    let larger = Shape { height: longer(shape.height), width: longer(shape.width), ..shape };
    let bicubic = Preprocessing::default().filtered(Filter::Bicubic);
    to_image(&image.pixels(&input_spec(larger, bicubic)), larger)
}

fn jpeg(image: &Image, channels: usize, sending: Sending) -> Vec<u8> {
    let (width, height) = image.size();
    let shape = Shape { channels, height: height as usize, width: width as usize };
    let planes = image.pixels(&input_spec(shape, Preprocessing::default()));
    let pixels = interleaved(&planes, shape);
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, sending.quality);
    encoder.set_sampling_factor(sending.sampling);
    let color = if channels == 1 { ColorType::Luma } else { ColorType::Rgb };
    encoder.encode(&pixels, width as u16, height as u16, color).expect("an image of some hundred pixels a side");
    file
}

/// Converts `[C, H, W]` to `[H, W, C]`.
fn interleaved(planes: &[u8], shape: Shape) -> Vec<u8> {
    let area = shape.width * shape.height;
    (0..area).flat_map(|pixel| planes[pixel..].iter().step_by(area).copied()).collect()
}

fn input_spec(shape: Shape, preprocessing: Preprocessing) -> InputSpec {
    let input = InputSpec::new(shape.channels, shape.height, shape.width).expect("the shape of an image");
    input.with_preprocessing(preprocessing)
}
