//! What happens to an image on its way to a server, as training imitates it: it is a larger picture, it is compressed as JPEG, and
//! the server prepares it.
//!
//! Decoding and scaling are the server's own code, so that what a network learns is what it will be served.

use anywidth::picture::{Filter, Frame, Limits, Picture, Preparation};
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

/// What is measured and told of a network: each in one picture that is sent, from the best to the worst.
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
/// If `image` does not have `shape`, or that is none of a picture.
pub fn arrive(image: &[u8], shape: Shape, random: &mut impl Rng) -> Vec<u8> {
    sent(image, shape, Sending::random(random))
}

/// The image `[C, H, W]`, of one channel or three, as a server that was sent it in this way gives it to the network.
///
/// # Panics
/// If `image` does not have `shape`, or that is none of a picture.
pub fn sent(image: &[u8], shape: Shape, sending: Sending) -> Vec<u8> {
    assert_eq!(image.len(), shape.len(), "an image of {shape:?}");
    let picture = picture(image, shape);
    let picture = if sending.enlarged > 1.0 { enlarged(&picture, shape, sending.enlarged) } else { picture };
    let frame = frame(shape, Preparation::for_training());
    let file = jpeg(&picture, shape.channels, sending);
    let arrived = Picture::decode_for(&file, &Limits::default(), &frame).expect("a JPEG file that was just written");
    arrived.pixels(&frame)
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

fn picture(planes: &[u8], shape: Shape) -> Picture {
    let (width, height) = (shape.width as u32, shape.height as u32);
    let picture = match shape.channels {
        1 => Picture::from_grey(width, height, planes.to_vec()),
        _ => Picture::from_rgb(width, height, interleaved(planes, shape)),
    };
    picture.expect("as many values as its shape says")
}

/// The picture with sides `factor` times as long.
fn enlarged(picture: &Picture, shape: Shape, factor: f64) -> Picture {
    let longer = |side: usize| (side as f64 * factor).round() as usize;
    let larger = Shape { height: longer(shape.height), width: longer(shape.width), ..shape };
    let bicubic = Preparation::default().filtered(Filter::Bicubic);
    self::picture(&picture.pixels(&frame(larger, bicubic)), larger)
}

fn jpeg(picture: &Picture, channels: usize, sending: Sending) -> Vec<u8> {
    let (width, height) = picture.size();
    let shape = Shape { channels, height: height as usize, width: width as usize };
    let planes = picture.pixels(&frame(shape, Preparation::default()));
    let pixels = interleaved(&planes, shape);
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, sending.quality);
    encoder.set_sampling_factor(sending.sampling);
    let color = if channels == 1 { ColorType::Luma } else { ColorType::Rgb };
    encoder.encode(&pixels, width as u16, height as u16, color).expect("a picture of some hundred pixels a side");
    file
}

/// `[H, W, C]` of `[C, H, W]`.
fn interleaved(planes: &[u8], shape: Shape) -> Vec<u8> {
    let area = shape.width * shape.height;
    (0..area).flat_map(|pixel| planes[pixel..].iter().step_by(area).copied()).collect()
}

fn frame(shape: Shape, preparation: Preparation) -> Frame {
    let frame = Frame::new(shape.channels, shape.height, shape.width).expect("the shape of a picture");
    frame.prepared(preparation)
}
