//! JPEG decoder: correct pixels or an error. A truncated or damaged file is an error, never a partly grey image.
//!
//! It supports 8-bit baseline, extended and progressive files with Huffman coding and any scans, at full size or at 1/4
//! or 1/8 of it. At full size the pixels are bit-identical to the default output of libjpeg-turbo's `djpeg`;
//! `tests/jpeg.rs` compares them. The pixels of a reduced image are means of the full-size pixels.
//!
//! `header` parses segments. `scan` and `progressive` read coefficients, which `plane` turns into samples through
//! `idct` or `means`. `raster` combines the planes into an image.

mod bits;
mod frame;
mod header;
mod idct;
mod means;
mod plane;
mod progressive;
mod raster;
mod reduced;
mod scan;
mod standard;

use ::image::DynamicImage;
use ::image::metadata::Orientation;

use self::header::{Colors, Reader, broken};
use super::{ImageError, ImageLimits, InputSpec, resize};

const FORMAT: &str = "JPEG";

/// Decodes an image as stored, at full size unless a reduced size suffices for the input. Also returns its orientation.
pub(super) fn decode(
    bytes: &[u8],
    limits: &ImageLimits,
    spec: Option<&InputSpec>,
) -> Result<(DynamicImage, Orientation), ImageError> {
    let mut reader = Reader::new(bytes);
    let scan = reader.next_scan()?.ok_or_else(|| broken("it has no scan"))?;
    let (header, colors) = (reader.frame()?.clone(), reader.colors()?);
    let size = (header.width, header.height);
    limits.check_size(FORMAT, size)?;

    let exif = reader.exif().and_then(Orientation::from_exif_chunk);
    let orientation = exif.unwrap_or(Orientation::NoTransforms);
    let room = spec.map_or(1.0, |spec| resize::room(upright(size, orientation), spec));
    let image = match reduction(&header, colors, reduced::divisor(size, room)) {
        Some((divisor, blocks)) => {
            let size = (reduced::divided(size.0, divisor), reduced::divided(size.1, divisor));
            raster::reduced(size, &scan::planes(&mut reader, scan, &blocks)?, colors)
        }
        None => {
            let blocks = vec![(8, 8); header.components.len()];
            raster::full(&header, &scan::planes(&mut reader, scan, &blocks)?, colors)
        }
    };
    let image = image.ok_or_else(|| broken("its components do not match its color space"))?;
    Ok((image, orientation))
}

/// The divisor, if it is greater than 1 and possible, and the samples per block of each component.
fn reduction(header: &frame::FrameHeader, colors: Colors, divisor: u32) -> Option<(u32, Vec<(usize, usize)>)> {
    // Means are valid only for linear colours: the mean of inks is not the ink of the mean.
    let linear = matches!(colors, Colors::Gray | Colors::Rgb | Colors::YCbCr);
    if divisor > 1 && linear { reduced::blocks(header, divisor).map(|blocks| (divisor, blocks)) } else { None }
}

/// The size of an image after rotation.
fn upright((width, height): (u32, u32), orientation: Orientation) -> (u32, u32) {
    match orientation {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            (height, width)
        }
        _ => (width, height),
    }
}

#[cfg(test)]
mod tests;
