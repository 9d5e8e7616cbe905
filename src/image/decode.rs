//! Decodes bytes to upright, opaque, 8-bit pixels.

use std::io::Cursor;

use ::image::codecs::png::PngDecoder;
use ::image::codecs::webp::WebPDecoder;
use ::image::metadata::Orientation;
use ::image::{
    ColorType, DynamicImage, GrayAlphaImage, GrayImage, ImageDecoder, ImageFormat, Pixel, RgbImage, RgbaImage,
};

use super::error::ENDS_EARLY;
use super::{ImageError, ImageLimits, InputSpec, Pixels, format, jpeg, png, webp};

/// Decodes an image at full size, or at a reduced size that suffices for `spec`.
pub(super) fn decode(bytes: &[u8], limits: &ImageLimits, spec: Option<&InputSpec>) -> Result<Pixels, ImageError> {
    limits.check_bytes(bytes.len())?;
    let (image, orientation) = match ::image::guess_format(bytes) {
        _ if bytes.starts_with(&[0xFF, 0xD8]) => jpeg::decode(bytes, limits, spec)?,
        Ok(ImageFormat::Png) => {
            let png::Checked { file, orientation } = png::check(bytes, limits)?;
            let decoder = PngDecoder::with_limits(Cursor::new(&file), allocation(limits));
            let decoder = decoder.map_err(|error| broken("PNG", error))?;
            (finish("PNG", decoder, limits)?.0, orientation)
        }
        Ok(ImageFormat::WebP) => {
            webp::check(bytes)?;
            let decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(|error| broken("WebP", error))?;
            finish("WebP", decoder, limits)?
        }
        _ => return Err(ImageError::Unsupported { looks_like: format::looks_like(bytes) }),
    };
    // Rotation copies the pixels, so it comes last, when they are smallest.
    Ok(upright(opaque(image), orientation))
}

fn finish(
    format: &'static str,
    mut decoder: impl ImageDecoder,
    limits: &ImageLimits,
) -> Result<(DynamicImage, Orientation), ImageError> {
    limits.check_size(format, decoder.dimensions())?;
    decoder.set_limits(allocation(limits)).map_err(|error| broken(format, error))?;
    // A damaged EXIF block does not make an image unusable.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(|error| broken(format, error))?;
    Ok((image, orientation))
}

/// Memory limit of the decoders: 16-bit RGBA for every allowed pixel, and the same again as scratch.
fn allocation(limits: &ImageLimits) -> ::image::Limits {
    let mut allocation = ::image::Limits::no_limits();
    allocation.max_alloc = Some(limits.max_pixels.saturating_mul(16).max(1 << 20));
    allocation
}

fn broken(format: &'static str, error: ::image::ImageError) -> ImageError {
    let said = match &error {
        // The caller adds the format; only the cause matters here.
        ::image::ImageError::Decoding(error) => {
            std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
        }
        other => other.to_string(),
    };
    ImageError::broken(format, readable_reason(&said))
}

/// Replaces a decoder's internal wording with a readable reason.
fn readable_reason(said: &str) -> &str {
    const WORDS: [(&[&str], &str); 8] = [
        (&["CRC error"], "the checksum of a chunk is wrong"),
        (&["critical chunk"], "it has an unknown critical chunk"),
        (
            &["InsufficientInput", "unexpected end", "fill whole buffer", "not have enough data", "not enough data"],
            ENDS_EARLY,
        ),
        (&["deflate"], "its compressed pixels are damaged"),
        (&["combination in header"], "its header has an invalid combination of color type and bit depth"),
        (&["ChunkType", "Chunk "], "its chunks have a wrong length or order"),
        (&["Memory limit", "memory limit"], "it needs more memory than its size allows"),
        (&["{", "::", "Invalid(", "Some(", "None"], "its contents are damaged"),
    ];
    WORDS.iter().find(|(parts, _)| parts.iter().any(|part| said.contains(part))).map_or(said, |(_, words)| words)
}

/// Converts to 8 bits per channel and composites transparency on white.
fn opaque(image: DynamicImage) -> Pixels {
    match image.color() {
        ColorType::L8 | ColorType::L16 => Pixels::Grey(image.into_luma8()),
        ColorType::La8 | ColorType::La16 => Pixels::Grey(grey_on_white(&image.into_luma_alpha8())),
        ColorType::Rgba8 | ColorType::Rgba16 | ColorType::Rgba32F => Pixels::Rgb(rgb_on_white(&image.into_rgba8())),
        _ => Pixels::Rgb(image.into_rgb8()),
    }
}

fn upright(pixels: Pixels, orientation: Orientation) -> Pixels {
    let turned = |mut image: DynamicImage| {
        image.apply_orientation(orientation);
        image
    };
    match pixels {
        Pixels::Grey(image) => Pixels::Grey(turned(image.into()).into_luma8()),
        Pixels::Rgb(image) => Pixels::Rgb(turned(image.into()).into_rgb8()),
    }
}

fn grey_on_white(image: &GrayAlphaImage) -> GrayImage {
    GrayImage::from_fn(image.width(), image.height(), |x, y| {
        let [grey, alpha] = image.get_pixel(x, y).0;
        ::image::Luma([on_white(grey, alpha)])
    })
}

fn rgb_on_white(image: &RgbaImage) -> RgbImage {
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let pixel = image.get_pixel(x, y);
        pixel.to_rgb().map(|channel| on_white(channel, pixel[3]))
    })
}

fn on_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    // The weighted mean of two bytes fits a byte.
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}
