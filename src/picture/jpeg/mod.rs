//! JPEG, read strictly: a file that ends early or is damaged is an error, not a picture with a grey half.
//!
//! The `image` crate reads JPEG through the same decoder, but leniently; hence this file. That decoder knows one size only;
//! where a model reads far fewer pixels, `reduced` is asked first.

mod bits;
mod header;
mod reduced;
mod scan;

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use memchr::memmem;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{Frame, Limits, PictureError, fit};

const FORMAT: &str = "JPEG";
/// How a piece of extended XMP begins.
const EXTENSION: &[u8] = b"http://ns.adobe.com/xmp/extension/\0";
/// The decoder goes through all of them at every segment of the file, so that many would keep it busy for minutes. As many
/// are 8 MB of it.
const MOST_EXTENSIONS: usize = 128;

/// The picture as it is stored, at its full size unless less is enough for the frame, and how to turn it.
pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    frame: Option<&Frame>,
) -> Result<(DynamicImage, Orientation), PictureError> {
    if memmem::find_iter(bytes, EXTENSION).nth(MOST_EXTENSIONS).is_some() {
        return Err(PictureError::broken(FORMAT, format!("it has more than {MOST_EXTENSIONS} pieces of extended XMP")));
    }
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(65535).set_max_height(65535);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(broken)?;
    let (width, height) = decoder.dimensions().ok_or_else(|| PictureError::broken(FORMAT, "it has no size"))?;
    // A JPEG's sides are 16-bit numbers.
    let (width, height) = (width as u32, height as u32);
    limits.check_size(FORMAT, (width, height))?;

    let exif = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    let orientation = exif.unwrap_or(Orientation::NoTransforms);
    let room = frame.map_or(1.0, |frame| fit::room(upright((width, height), orientation), frame));
    let plain = matches!(decoder.input_colorspace(), Some(ColorSpace::Luma | ColorSpace::YCbCr));
    if let (divisor @ 4.., true) = (reduced::divisor((width, height), room), plain)
        && let Some(image) = reduced::decode(bytes, divisor)
    {
        return Ok((image, orientation));
    }

    if !has_end(bytes) {
        return Err(PictureError::broken(FORMAT, "the file ends before the image does"));
    }

    let grey = matches!(decoder.input_colorspace(), Some(ColorSpace::Luma | ColorSpace::LumaA));
    let colours = if grey { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(colours));
    let pixels = decoder.decode().map_err(broken)?;
    let image = match colours {
        ColorSpace::Luma => GrayImage::from_raw(width, height, pixels).map(DynamicImage::from),
        _ => RgbImage::from_raw(width, height, pixels).map(DynamicImage::from),
    };
    let image = image.ok_or_else(|| PictureError::broken(FORMAT, "it has fewer pixels than it claims"))?;
    Ok((image, orientation))
}

/// The size of a picture once it is turned.
fn upright((width, height): (u32, u32), orientation: Orientation) -> (u32, u32) {
    match orientation {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            (height, width)
        }
        _ => (width, height),
    }
}

fn broken(error: zune_jpeg::errors::DecodeErrors) -> PictureError {
    PictureError::broken(FORMAT, error)
}

/// Is there an end-of-image marker after the first scan begins?
///
/// The decoder notices a missing end only from one row of blocks to the next. Before the first scan, segments carry
/// their length, so a thumbnail's end is not mistaken for the picture's; inside a scan `FF D9` is nothing else.
fn has_end(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    const END_OF_IMAGE: [u8; 2] = [0xFF, 0xD9];
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        match *rest {
            [0xFF, START_OF_SCAN, ..] => return rest.windows(2).any(|pair| pair == END_OF_IMAGE),
            // Fill bytes may precede a marker, and a stray byte is for the decoder to judge.
            [0xFF, 0xFF, ..] => rest = &rest[1..],
            [0xFF, _, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([high, low]));
                rest = rest.get(2 + length..).unwrap_or_default();
            }
            [_, ..] => rest = &rest[1..],
            [] => return false,
        }
    }
}

#[cfg(test)]
mod tests;
