//! Scales images of any size to the size and colour of a model's input.

use std::f64::consts::PI;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{CropBox, FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use super::input_spec::Colour;
use super::{Filter, InputSpec, Pixels, Region};

pub(super) fn pixels(pixels: &Pixels, spec: &InputSpec) -> Vec<u8> {
    resized(pixels, kept(pixels.size(), spec), spec)
}

/// Scales `region` of the image like [`pixels`] scales the kept region. Parts outside the image are dropped.
pub(super) fn cut(pixels: &Pixels, region: Region, spec: &InputSpec) -> Vec<u8> {
    resized(pixels, inside(region, pixels.size()), spec)
}

/// The image with `side` pixels on its shorter side; `None` if it has no more than that.
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

/// Kept pixels per side of an image of this size for each pixel of the input.
pub(super) fn room(size: (u32, u32), spec: &InputSpec) -> f64 {
    let kept = kept(size, spec);
    (kept.width / f64::from(spec.width)).min(kept.height / f64::from(spec.height))
}

fn resized(pixels: &Pixels, kept: CropBox, spec: &InputSpec) -> Vec<u8> {
    let scaled = scale(pixels, kept, (spec.width, spec.height), spec.preprocessing.filter());
    match (&scaled, spec.colour) {
        (Pixels::Grey(image), Colour::Grey) => planes::<1>(image),
        (Pixels::Rgb(image), Colour::Rgb) => planes::<3>(image),
        (Pixels::Grey(image), Colour::Rgb) => planes::<1>(image).repeat(3),
        (Pixels::Rgb(image), Colour::Grey) => planes::<1>(&::image::imageops::grayscale(image)),
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

/// Scales a region in the image's own colours, so that fewer pixels remain to be converted.
fn scale(pixels: &Pixels, kept: CropBox, (width, height): (u32, u32), filter: Filter) -> Pixels {
    let message = "as many pixels as the size says";
    match pixels {
        Pixels::Grey(image) => {
            let scaled = resize::<U8>(image, image.dimensions(), kept, (width, height), filter);
            Pixels::Grey(::image::GrayImage::from_raw(width, height, scaled).expect(message))
        }
        Pixels::Rgb(image) => {
            let scaled = resize::<U8x3>(image, image.dimensions(), kept, (width, height), filter);
            Pixels::Rgb(::image::RgbImage::from_raw(width, height, scaled).expect(message))
        }
    }
}

/// Typed, because the untyped API compiles code for all seventeen pixel types: three megabytes.
fn resize<P: PixelTrait>(bytes: &[u8], from: (u32, u32), kept: CropBox, to: (u32, u32), filter: Filter) -> Vec<u8> {
    let message = "an image has as many bytes as its size says";
    let source = TypedImageRef::<P>::from_buffer(from.0, from.1, bytes).expect(message);
    let mut scaled = vec![0; to.0 as usize * to.1 as usize * P::size()];
    let mut target = TypedImage::<P>::from_buffer(to.0, to.1, &mut scaled).expect(message);
    let own = |name, weight, support| {
        let filter = fast_image_resize::Filter::new(name, weight, support);
        FilterType::Custom(filter.expect("the support is positive"))
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
        .expect("the cut lies inside the image, and the types agree");
    scaled
}

/// A negligible weight that is not zero. The library (6.1.0) drops leading zeros of a window and applies the first
/// window's offset to all windows. A filter with zeros inside its support, as these have at whole pixels, then reads
/// beyond the buffer.
const NEGLIGIBLE: f64 = 1e-30;

fn nonzero(weight: f64) -> f64 {
    if weight == 0.0 { NEGLIGIBLE } else { weight }
}

/// The Catmull-Rom cubic, called bicubic in Pillow and PyTorch.
fn bicubic(x: f64) -> f64 {
    let x = x.abs();
    nonzero(if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < 2.0 {
        ((2.5 - 0.5 * x) * x - 4.0) * x + 2.0
    } else {
        0.0
    })
}

/// Support of the Lanczos filter, in pixels to each side.
const LANCZOS_SUPPORT: f64 = 3.0;

/// The Lanczos filter, `sinc(x) sinc(x/3)` (Duchon, 1979).
///
/// An image needs some thousand weights; with two sines each, they would take a third of the time to scale a small
/// image. Here both come from one sine, by `sin 3t = 3 sin t - 4 sin^3 t`.
fn lanczos(x: f64) -> f64 {
    let x = x.abs();
    if x >= LANCZOS_SUPPORT {
        return NEGLIGIBLE;
    }
    // The start of its Taylor series, which avoids dividing two small numbers.
    if x < 3e-3 {
        return 1.0 - (10.0 / 54.0) * (PI * x).powi(2);
    }
    let third = PI * x / 3.0;
    let square = sine(third).powi(2);
    nonzero(square * (3.0 - 4.0 * square) / (3.0 * third * third))
}

/// The sine of an angle from 0 to pi, to eleven digits: the Taylor series of the cosine of the complement.
fn sine(angle: f64) -> f64 {
    let square = (angle - PI / 2.0).powi(2);
    const FACTORIALS: [f64; 8] =
        [20_922_789_888_000.0, -87_178_291_200.0, 479_001_600.0, -3_628_800.0, 40_320.0, -720.0, 24.0, -2.0];
    FACTORIALS.iter().fold(0.0, |sum, factorial| (sum + 1.0 / factorial) * square) + 1.0
}

/// Minimum side of a region in pixels; the scaler has no weights for smaller ones.
const MIN_SIDE: f64 = 0.01;

/// `region` clipped to an image of this size; the whole image if nothing remains.
fn inside(region: Region, (width, height): (u32, u32)) -> CropBox {
    let clipped = |start: f64, length: f64, most: u32| {
        let (from, to) = (start.max(0.0), (start + length).min(f64::from(most)));
        (to - from >= MIN_SIDE).then_some((from, to - from))
    };
    match (clipped(region.left, region.width, width), clipped(region.top, region.height, height)) {
        (Some((left, width)), Some((top, height))) => CropBox { left, top, width, height },
        _ => CropBox { left: 0.0, top: 0.0, width: f64::from(width), height: f64::from(height) },
    }
}

/// The region of an image that becomes the input: the largest of the same proportions, reduced by the crop.
fn kept((width, height): (u32, u32), spec: &InputSpec) -> CropBox {
    let fit = CropBox::fit_src_into_dst_size(width, height, spec.width, spec.height, Some((0.5, 0.5)));
    let crop = f64::from(spec.preprocessing.crop());
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
