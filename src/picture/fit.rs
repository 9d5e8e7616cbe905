//! Pixels of any size to the one size and colour that a model reads.

use std::f64::consts::PI;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{CropBox, FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use thiserror::Error;

use super::{Filter, Pixels, Preparation, Region};

/// The colours that a model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colour {
    /// One channel.
    Grey,
    /// Three channels: red, green, blue.
    Rgb,
}

/// What a model reads: a picture of this size and these colours, prepared in this way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    colour: Colour,
    height: u32,
    width: u32,
    preparation: Preparation,
}

/// Why a model's input is not a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Neither grey nor colour.
    #[error("the model's input has {0} channels; a picture has 1 (grey) or 3 (colour)")]
    Channels(usize),
    /// Sides of nothing, or far beyond any model.
    #[error("the model's input is {height} x {width} pixels; each side must be from 1 to {MAX_SIDE}")]
    Size {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
}

/// The longest side of a model's input.
const MAX_SIDE: usize = 4096;

impl Frame {
    /// The frame of an input `[channels, height, width]`, with the usual [`Preparation`].
    ///
    /// # Errors
    /// [`FrameError`] unless there are 1 or 3 channels and sides of 1 to 4096 pixels.
    pub fn new(channels: usize, height: usize, width: usize) -> Result<Frame, FrameError> {
        let colour = match channels {
            1 => Colour::Grey,
            3 => Colour::Rgb,
            _ => return Err(FrameError::Channels(channels)),
        };
        let sides = 1..=MAX_SIDE;
        if !sides.contains(&height) || !sides.contains(&width) {
            return Err(FrameError::Size { height, width });
        }
        Ok(Frame { colour, height: height as u32, width: width as u32, preparation: Preparation::default() })
    }

    /// The same frame, for pictures that are prepared so.
    pub fn prepared(self, preparation: Preparation) -> Frame {
        Frame { preparation, ..self }
    }

    /// How pictures are prepared.
    pub fn preparation(&self) -> Preparation {
        self.preparation
    }

    /// Number of values: channels times height times width.
    #[expect(clippy::len_without_is_empty, reason = "a frame is never empty")]
    pub fn len(&self) -> usize {
        self.channels() * self.area()
    }

    /// A picture's pixels ([`Picture::pixels`](super::Picture::pixels)) as the numbers that the model reads: `[C, H, W]`.
    pub fn values(&self, pixels: &[u8]) -> Vec<f32> {
        pixels.iter().map(|&byte| self.preparation.value(byte)).collect()
    }

    fn channels(&self) -> usize {
        match self.colour {
            Colour::Grey => 1,
            Colour::Rgb => 3,
        }
    }

    fn area(&self) -> usize {
        self.height as usize * self.width as usize
    }
}

pub(super) fn pixels(pixels: &Pixels, frame: &Frame) -> Vec<u8> {
    framed(pixels, kept(pixels.size(), frame), frame)
}

/// `region` of the picture, as [`pixels`] makes it of what it keeps; what lies outside of the picture is left off.
pub(super) fn cut(pixels: &Pixels, region: Region, frame: &Frame) -> Vec<u8> {
    framed(pixels, inside(region, pixels.size()), frame)
}

/// The picture with `side` pixels on its shorter side; `None` if it has no more than that already.
pub(super) fn reduced(pixels: &Pixels, side: u32, filter: Filter) -> Option<Pixels> {
    let (width, height) = pixels.size();
    let shorter = width.min(height);
    if shorter <= side {
        return None;
    }
    let scaled = |length: u32| (f64::from(length) * f64::from(side) / f64::from(shorter)).round() as u32;
    let whole = CropBox { left: 0.0, top: 0.0, width: f64::from(width), height: f64::from(height) };
    Some(scale(pixels, whole, (scaled(width), scaled(height)), filter))
}

/// Pixels, per side, that are kept of a picture of this size for one that the frame reads.
pub(super) fn room(size: (u32, u32), frame: &Frame) -> f64 {
    let kept = kept(size, frame);
    (kept.width / f64::from(frame.width)).min(kept.height / f64::from(frame.height))
}

fn framed(pixels: &Pixels, kept: CropBox, frame: &Frame) -> Vec<u8> {
    let scaled = scale(pixels, kept, (frame.width, frame.height), frame.preparation.filter());
    match (&scaled, frame.colour) {
        (Pixels::Grey(image), Colour::Grey) => planes::<1>(image),
        (Pixels::Rgb(image), Colour::Rgb) => planes::<3>(image),
        (Pixels::Grey(image), Colour::Rgb) => planes::<1>(image).repeat(3),
        (Pixels::Rgb(image), Colour::Grey) => planes::<1>(&image::imageops::grayscale(image)),
    }
}

/// `[H, W, C]` to `[C, H, W]`.
fn planes<const CHANNELS: usize>(interleaved: &[u8]) -> Vec<u8> {
    let mut planes = vec![0; interleaved.len()];
    for (channel, plane) in planes.chunks_exact_mut(interleaved.len() / CHANNELS).enumerate() {
        for (value, pixel) in plane.iter_mut().zip(interleaved.as_chunks::<CHANNELS>().0) {
            *value = pixel[channel];
        }
    }
    planes
}

/// Brings a part of the picture to a size, in the picture's own colours: few pixels are left to convert afterwards.
fn scale(pixels: &Pixels, kept: CropBox, (width, height): (u32, u32), filter: Filter) -> Pixels {
    let message = "as many pixels as the size says";
    match pixels {
        Pixels::Grey(image) => {
            let scaled = resize::<U8>(image, image.dimensions(), kept, (width, height), filter);
            Pixels::Grey(image::GrayImage::from_raw(width, height, scaled).expect(message))
        }
        Pixels::Rgb(image) => {
            let scaled = resize::<U8x3>(image, image.dimensions(), kept, (width, height), filter);
            Pixels::Rgb(image::RgbImage::from_raw(width, height, scaled).expect(message))
        }
    }
}

/// Typed, because the form that takes any pixel would compile the code of all seventeen kinds: three megabytes.
fn resize<P: PixelTrait>(bytes: &[u8], from: (u32, u32), kept: CropBox, to: (u32, u32), filter: Filter) -> Vec<u8> {
    let message = "a picture has as many bytes as its size says";
    let source = TypedImageRef::<P>::from_buffer(from.0, from.1, bytes).expect(message);
    let mut scaled = vec![0; to.0 as usize * to.1 as usize * P::size()];
    let mut target = TypedImage::<P>::from_buffer(to.0, to.1, &mut scaled).expect(message);
    let own = |name, weight, support| {
        let filter = fast_image_resize::Filter::new(name, weight, support);
        FilterType::Custom(filter.expect("a support above nothing"))
    };
    let filter = match filter {
        Filter::Box => FilterType::Box,
        Filter::Bilinear => FilterType::Bilinear,
        Filter::Bicubic => own("bicubic", bicubic, 2.0),
        Filter::Lanczos => own("lanczos", lanczos, LANCZOS_SUPPORT),
    };
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(filter))
        .crop(kept.left, kept.top, kept.width, kept.height)
        .use_alpha(false);
    Resizer::new()
        .resize_typed(&source, &mut target, &options)
        .expect("the cut lies inside the picture, and the types agree");
    scaled
}

/// A weight that counts for nothing, and is not zero. The library (6.1.0) leaves out zeros at the beginning of a window, and takes the
/// first window's beginning for that of all: where a filter is zero within its support, as these are at whole pixels, it reads beyond
/// its buffers.
const NOTHING: f64 = 1e-30;

fn not_zero(weight: f64) -> f64 {
    if weight == 0.0 { NOTHING } else { weight }
}

/// Catmull and Rom's cubic, which Pillow and PyTorch call bicubic.
fn bicubic(x: f64) -> f64 {
    let x = x.abs();
    not_zero(if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < 2.0 {
        ((2.5 - 0.5 * x) * x - 4.0) * x + 2.0
    } else {
        0.0
    })
}

/// Pixels to each side that Lanczos' filter weighs.
const LANCZOS_SUPPORT: f64 = 3.0;

/// Lanczos' filter, `sinc(x) sinc(x/3)` (Duchon, 1979).
///
/// A picture takes some thousand weights, and with the library's two sines each they took a third of the time of scaling a small
/// one: here both come from one, by `sin 3t = 3 sin t - 4 sin^3 t`.
fn lanczos(x: f64) -> f64 {
    let x = x.abs();
    if x >= LANCZOS_SUPPORT {
        return NOTHING;
    }
    // The beginning of its own series, where little would be divided by little.
    if x < 3e-3 {
        return 1.0 - (10.0 / 54.0) * (PI * x).powi(2);
    }
    let third = PI * x / 3.0;
    let square = sine(third).powi(2);
    not_zero(square * (3.0 - 4.0 * square) / (3.0 * third * third))
}

/// The sine of an angle from 0 to pi, to eleven digits: the series of the cosine of what is missing to a right angle.
fn sine(angle: f64) -> f64 {
    let square = (angle - PI / 2.0).powi(2);
    const FACTORIALS: [f64; 8] =
        [20_922_789_888_000.0, -87_178_291_200.0, 479_001_600.0, -3_628_800.0, 40_320.0, -720.0, 24.0, -2.0];
    FACTORIALS.iter().fold(0.0, |sum, factorial| (sum + 1.0 / factorial) * square) + 1.0
}

/// Pixels of a side below which a region is nothing: the scaling has no weights for it.
const LEAST: f64 = 0.01;

/// `region` without what lies outside of a picture of this size; the whole picture where nothing would be left.
fn inside(region: Region, (width, height): (u32, u32)) -> CropBox {
    let clipped = |start: f64, length: f64, most: u32| {
        let (from, to) = (start.max(0.0), (start + length).min(f64::from(most)));
        (to - from >= LEAST).then_some((from, to - from))
    };
    match (clipped(region.left, region.width, width), clipped(region.top, region.height, height)) {
        (Some((left, width)), Some((top, height))) => CropBox { left, top, width, height },
        _ => CropBox { left: 0.0, top: 0.0, width: f64::from(width), height: f64::from(height) },
    }
}

/// The part of a picture that becomes the input: the largest of the frame's proportions, less what the crop takes off.
fn kept((width, height): (u32, u32), frame: &Frame) -> CropBox {
    let fit = CropBox::fit_src_into_dst_size(width, height, frame.width, frame.height, Some((0.5, 0.5)));
    let crop = f64::from(frame.preparation.crop());
    let shrunk = |start: f64, length: f64| (start + (length - length * crop) / 2.0, length * crop);
    let ((left, width), (top, height)) = (shrunk(fit.left, fit.width), shrunk(fit.top, fit.height));
    CropBox { left, top, width, height }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_weight_within_a_filters_support_is_zero() {
        for x in (-300..300).map(|step| f64::from(step) / 100.0) {
            assert!(bicubic(x) != 0.0 && lanczos(x) != 0.0, "{x}");
        }
        assert!(
            (bicubic(0.0) - 1.0).abs() < 1e-12 && bicubic(1.0).abs() < 1e-12 && (bicubic(1.5) + 0.0625).abs() < 1e-12
        );
    }

    #[test]
    fn lanczos_is_the_product_of_two_sinc_functions() {
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
        let small = [1e-9, 1e-6, 1e-4, 2.9e-3, 3.1e-3, 1e-2];
        for x in (-400..=400).map(|step| f64::from(step) / 100.0).chain(small) {
            let defined = if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 };
            assert!((lanczos(x) - defined).abs() < 1e-8, "{x}: {} instead of {defined}", lanczos(x));
        }
    }
}
