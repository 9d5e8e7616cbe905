//! How much smaller a JPEG may be decoded for what a model reads of it.

use super::frame::{Component, FrameHeader};

/// Pixels, per side, that must be left for one that a model reads; with fewer, the squares of the means show.
///
/// With 2 of them the largest difference to the full image is 11 of 255, with these 7, with 3 it is 5: measured on a few
/// photographs whose sides divide evenly.
const MARGIN: f64 = 2.5;

/// By how much of a pixel that a model reads the image's edge may move when the sides are rounded.
const SHIFT: f64 = 0.05;

/// The largest divisor of the sides that leaves what a model reads as it is: 8, 4 or 1.
///
/// Not 2: reading the coefficients as they come takes as long then as the full size.
///
/// `room` is the number of pixels, per side, that the full image has for one that a model reads.
pub(super) fn divisor((width, height): (u32, u32), room: f64) -> u32 {
    let fits = |divisor: u32, side: u32| f64::from(side.abs_diff(divisor * divided(side, divisor))) <= SHIFT * room;
    let good = |&divisor: &u32| room >= MARGIN * f64::from(divisor) && fits(divisor, width) && fits(divisor, height);
    [8, 4].into_iter().find(good).unwrap_or(1)
}

/// A side in squares, rounded.
pub(super) fn divided(side: u32, divisor: u32) -> u32 {
    ((side + divisor / 2) / divisor).max(1)
}

/// The samples, across and down, that a block of each component becomes, so that all planes have one for each square of
/// `divisor` pixels; `None` where a component is too coarse for that.
pub(super) fn blocks(frame: &FrameHeader, divisor: u32) -> Option<Vec<(usize, usize)>> {
    let block = |component: &Component| {
        let side = |ratio: usize| Some(8 / divisor as usize * ratio).filter(|side| matches!(side, 1 | 2 | 4));
        side(component.ratio.0).zip(side(component.ratio.1))
    };
    frame.components.iter().map(block).collect()
}
