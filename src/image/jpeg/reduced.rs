//! The reduction factor of a JPEG for a model's input size.

use super::frame::{Component, FrameHeader};

/// Minimum pixels per side for each pixel of the model's input. With fewer, the block structure of the means shows.
///
/// Largest difference from the full image: 11 of 255 with 2 pixels, 7 with 2.5, 5 with 3, measured on a few photographs
/// whose sides divide evenly.
const MARGIN: f64 = 2.5;

/// Maximum shift of the image's edge, in pixels of the model's input, caused by rounding the sides.
const SHIFT: f64 = 0.05;

/// The largest divisor of the sides that barely changes the model's input: 8, 4 or 1.
///
/// Divisor 2 is not offered: it takes as long as the full size.
///
/// `room` is the number of pixels per side of the full image for each pixel of the model's input.
pub(super) fn divisor((width, height): (u32, u32), room: f64) -> u32 {
    let fits = |divisor: u32, side: u32| f64::from(side.abs_diff(divisor * divided(side, divisor))) <= SHIFT * room;
    let good = |&divisor: &u32| room >= MARGIN * f64::from(divisor) && fits(divisor, width) && fits(divisor, height);
    [8, 4].into_iter().find(good).unwrap_or(1)
}

/// A side divided by `divisor`, rounded.
pub(super) fn divided(side: u32, divisor: u32) -> u32 {
    ((side + divisor / 2) / divisor).max(1)
}

/// The samples per block of each component, across and down, such that every plane has one sample per `divisor` x
/// `divisor` pixels; `None` if a component is too coarse.
pub(super) fn blocks(frame: &FrameHeader, divisor: u32) -> Option<Vec<(usize, usize)>> {
    let block = |component: &Component| {
        let side = |ratio: usize| Some(8 / divisor as usize * ratio).filter(|side| matches!(side, 1 | 2 | 4));
        side(component.ratio.0).zip(side(component.ratio.1))
    };
    frame.components.iter().map(block).collect()
}
