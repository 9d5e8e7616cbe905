//! What happens to an image on its way to a server, as training imitates it: it is larger, it is compressed as JPEG, and
//! the server prepares it.
//!
//! Decoding and scaling are the server's own code, so that what a network learns is what it will be served.

use anywidth::image::{Filter, Image, ImageLimits, InputSpec, Preprocessing};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};

use super::{Augmentation, Images, Shape};

/// How an image is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sending {
    /// How many times as long its sides are.
    pub enlarged: f64,
    /// The JPEG's quality, from 1 to 100.
    pub quality: u8,
    /// How coarse its colours are.
    pub sampling: SamplingFactor,
}

/// What is measured and told of a network: each in one image that is sent, from the best to the worst.
pub const MEASURED: [Sending; 6] = [
    Sending::plain(95),
    Sending::plain(90),
    Sending::plain(75),
    Sending::plain(50),
    Sending { enlarged: 2.0, ..Sending::plain(90) },
    Sending { enlarged: 6.25, ..Sending::plain(75) },
];

/// How many times as long its sides are at most.
const LARGEST: f64 = 6.5;
/// The best and the worst quality of JPEG, from 0 to 100.
const QUALITY: (u8, u8) = (40, 95);
/// How coarse the colours of a JPEG are: all that cameras, browsers and editors write by themselves.
const SAMPLING: [SamplingFactor; 3] = [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_2_2];

impl Sending {
    /// As a JPEG of its own size, with colours half as fine in both directions, as most are.
    pub const fn plain(quality: u8) -> Sending {
        Sending { enlarged: 1.0, quality, sampling: SamplingFactor::F_2_2 }
    }

    /// Half of the images in their own size, the others larger, little as often as much.
    fn random(random: &mut impl Rng) -> Sending {
        let enlarged = if random.random_bool(0.5) { 1.0 } else { random.random_range(0.0..LARGEST.ln()).exp() };
        let quality = random.random_range(QUALITY.0..=QUALITY.1);
        Sending { enlarged, quality, sampling: SAMPLING[random.random_range(0..SAMPLING.len())] }
    }
}

/// The image `[C, H, W]`, of one channel or three, as a server that was sent it at random gives it to the network.
///
/// # Panics
/// If `image` does not have `shape`, or that is none of an image.
pub fn arrive(image: &[u8], shape: Shape, random: &mut impl Rng) -> Vec<u8> {
    sent(image, shape, Sending::random(random))
}

/// The image `[C, H, W]`, of one channel or three, as a server that was sent it in this way gives it to the network.
///
/// # Panics
/// If `image` does not have `shape`, or that is none of an image.
pub fn sent(image: &[u8], shape: Shape, sending: Sending) -> Vec<u8> {
    assert_eq!(image.len(), shape.len(), "an image of {shape:?}");
    let original = to_image(image, shape);
    let original = if sending.enlarged > 1.0 { enlarged(&original, shape, sending.enlarged) } else { original };
    let input = input_spec(shape, Preprocessing::for_training());
    let file = jpeg(&original, shape.channels, sending);
    let arrived = Image::decode_for(&file, &ImageLimits::default(), &input).expect("a JPEG file that was just written");
    arrived.pixels(&input)
}

/// The images to measure with, of which the same shares arrive as JPEGs, and are inverted, as of those to train on: the
/// accuracy and the temperatures of a network are those of what its users send.
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

/// A stream of random numbers that nothing else of a seed draws from.
const SENT: u64 = 4 << 48;

/// Exchanges light and dark.
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

/// The image with sides `factor` times as long.
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

/// `[H, W, C]` of `[C, H, W]`.
fn interleaved(planes: &[u8], shape: Shape) -> Vec<u8> {
    let area = shape.width * shape.height;
    (0..area).flat_map(|pixel| planes[pixel..].iter().step_by(area).copied()).collect()
}

fn input_spec(shape: Shape, preprocessing: Preprocessing) -> InputSpec {
    let input = InputSpec::new(shape.channels, shape.height, shape.width).expect("the shape of an image");
    input.with_preprocessing(preprocessing)
}
