//! What happens to an image on its way to a server, as training imitates it: it is a larger picture, it is compressed as JPEG, and
//! the server prepares it.
//!
//! Decoding and scaling are the server's own code, so that what a network learns is what it will be served.

use anywidth::picture::{Filter, Frame, Limits, Picture, Preparation};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use rand::{Rng, RngExt};

use super::Shape;

/// How many times as long its sides are at most.
const LARGEST: f64 = 6.5;
/// The best and the worst quality of JPEG, from 0 to 100.
const QUALITY: (u8, u8) = (40, 95);
/// How coarse the colours of a JPEG are: all that cameras, browsers and editors write by themselves.
const SAMPLING: [SamplingFactor; 3] = [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_2_2];

/// The image `[C, H, W]`, of one channel or three, as a server that was sent it as a picture gives it to the network.
///
/// # Panics
/// If `image` does not have `shape`, or that is none of a picture.
pub fn arrive(image: &[u8], shape: Shape, random: &mut impl Rng) -> Vec<u8> {
    assert_eq!(image.len(), shape.len(), "an image of {shape:?}");
    let sent = match random.random_bool(0.5) {
        true => picture(image, shape),
        false => enlarged(&picture(image, shape), shape, random),
    };
    let frame = frame(shape, Preparation::for_training());
    let file = jpeg(&sent, shape.channels, random);
    let arrived = Picture::decode_for(&file, &Limits::default(), &frame).expect("a JPEG file that was just written");
    arrived.pixels(&frame)
}

fn picture(planes: &[u8], shape: Shape) -> Picture {
    let (width, height) = (shape.width as u32, shape.height as u32);
    let picture = match shape.channels {
        1 => Picture::from_grey(width, height, planes.to_vec()),
        _ => Picture::from_rgb(width, height, interleaved(planes, shape)),
    };
    picture.expect("as many values as its shape says")
}

/// The picture with sides up to [`LARGEST`] times as long, small ones as often as large ones.
fn enlarged(picture: &Picture, shape: Shape, random: &mut impl Rng) -> Picture {
    let factor = random.random_range(0.0..LARGEST.ln()).exp();
    let longer = |side: usize| (side as f64 * factor).round() as usize;
    let larger = Shape { height: longer(shape.height), width: longer(shape.width), ..shape };
    let bicubic = Preparation::default().filtered(Filter::Bicubic);
    self::picture(&picture.pixels(&frame(larger, bicubic)), larger)
}

fn jpeg(picture: &Picture, channels: usize, random: &mut impl Rng) -> Vec<u8> {
    let (width, height) = picture.size();
    let shape = Shape { channels, height: height as usize, width: width as usize };
    let planes = picture.pixels(&frame(shape, Preparation::default()));
    let pixels = interleaved(&planes, shape);
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, random.random_range(QUALITY.0..=QUALITY.1));
    encoder.set_sampling_factor(SAMPLING[random.random_range(0..SAMPLING.len())]);
    let color = if channels == 1 { ColorType::Luma } else { ColorType::Rgb };
    encoder.encode(&pixels, width as u16, height as u16, color).expect("a picture of a few hundred pixels a side");
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
