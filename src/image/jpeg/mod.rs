//! JPEG: decoded right, or refused. A file that ends early or is damaged is an error, not an image with a gray half.
//!
//! Baseline, extended and progressive files of 8 bits, with Huffman codes and any scans, at full size or at 1/4 or 1/8 of
//! it. At full size every pixel is, to the bit, what libjpeg-turbo's `djpeg` makes of it by default; `tests/jpeg.rs`
//! compares. A reduced image's pixels are the means of the pixels that they stand for.
//!
//! `header` reads segments, `scan` and `progressive` the coefficients between them, which become samples in `plane`, by
//! `idct` or `means`; `raster` makes an image of the planes.

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

/// The image as it is stored, at its full size unless less is enough for the input, and how to turn it.
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
    let image = image.ok_or_else(|| broken("it has other components than its colors"))?;
    Ok((image, orientation))
}

/// The divisor, if it is one, and the samples of each component's blocks.
fn reduction(header: &frame::FrameHeader, colors: Colors, divisor: u32) -> Option<(u32, Vec<(usize, usize)>)> {
    // The mean of inks is not the ink of their means.
    let linear = matches!(colors, Colors::Gray | Colors::Rgb | Colors::YCbCr);
    if divisor > 1 && linear { reduced::blocks(header, divisor).map(|blocks| (divisor, blocks)) } else { None }
}

/// The size of an image once it is turned.
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
