//! A plain JPEG at 1/4 or 1/8 of its size, without its full pixels ever being computed.
//!
//! Promises nothing but good pictures: what is not plain, or not whole to the last bit, is left to the decoder at full
//! size, which reads everything and says what is wrong.

use image::{DynamicImage, GrayImage, RgbImage};

use super::header;
use super::scan::{self, Plane};

/// Pixels, per side, that must be left for one that a model reads; with fewer, the squares of the means show.
///
/// With 2 of them the largest difference to the full picture is 11 of 255, with these 7, with 3 it is 5: measured on a few
/// photographs whose sides divide evenly.
const MARGIN: f64 = 2.5;

/// By how much of a pixel that a model reads the picture's edge may move when the sides are rounded.
const SHIFT: f64 = 0.05;

/// The largest divisor of the sides that leaves what a model reads as it is: 8, 4 or 1.
///
/// Not 2: reading the coefficients as they come takes as long then as the full size with its vector code.
///
/// `room` is the number of pixels, per side, that the full picture has for one that a model reads.
pub(super) fn divisor((width, height): (u32, u32), room: f64) -> u32 {
    let fits = |divisor: u32, side: u32| f64::from(side.abs_diff(divisor * divided(side, divisor))) <= SHIFT * room;
    let good = |&divisor: &u32| room >= MARGIN * f64::from(divisor) && fits(divisor, width) && fits(divisor, height);
    [8, 4].into_iter().find(good).unwrap_or(1)
}

/// The picture with its sides divided by 4 or 8 and rounded; `None` unless it is plain and whole.
pub(super) fn decode(bytes: &[u8], divisor: u32) -> Option<DynamicImage> {
    let header = header::read(bytes)?;
    let planes = scan::planes(bytes, &header, divisor)?;
    let (width, height) = (divided(header.width, divisor), divided(header.height, divisor));
    match &planes[..] {
        [grey] => {
            GrayImage::from_raw(width, height, rows(grey, width, height).flatten().copied().collect()).map(Into::into)
        }
        [luma, blue, red] => {
            let mut pixels = Vec::with_capacity(3 * width as usize * height as usize);
            let [luma, blue, red] = [luma, blue, red].map(|plane| rows(plane, width, height));
            for ((luma, blue), red) in luma.zip(blue).zip(red) {
                pixels.extend(luma.iter().zip(blue).zip(red).flat_map(|((&luma, &blue), &red)| rgb(luma, blue, red)));
            }
            RgbImage::from_raw(width, height, pixels).map(Into::into)
        }
        _ => None,
    }
}

/// What of a plane is in the picture.
fn rows(plane: &Plane, width: u32, height: u32) -> impl Iterator<Item = &[u8]> {
    plane.samples.chunks_exact(plane.stride).take(height as usize).map(move |row| &row[..width as usize])
}

/// A side in squares, rounded.
fn divided(side: u32, divisor: u32) -> u32 {
    ((side + divisor / 2) / divisor).max(1)
}

/// JFIF's colours: luma, and the differences of blue and red to it around 128.
fn rgb(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let (luma, blue, red) = (f32::from(luma) + 0.5, f32::from(blue) - 128.0, f32::from(red) - 128.0);
    // The conversions keep within a byte's range.
    [luma + 1.402 * red, luma - 0.344_136 * blue - 0.714_136 * red, luma + 1.772 * blue].map(|channel| channel as u8)
}
