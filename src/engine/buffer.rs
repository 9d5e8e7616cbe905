//! Where the pixels of a value are in the memory of an item.
//!
//! Planes follow each other in channel order, so the channels of a width are a prefix. A plane may have a border of zeros
//! for the padding of what reads it; the right border of a row is the left border of the next.

use super::graph::Shape;
use super::width::Width;

/// The buffer of one value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BufferLayout {
    pub(crate) shape: Shape,
    /// Do its channels come and go with the width?
    pub(crate) sliced: bool,
    /// Where the first plane begins in the item's memory.
    pub(crate) start: usize,
    /// Floats from one channel to the next.
    pub(crate) plane: usize,
    /// Where pixel (0, 0) lies in its plane.
    pub(crate) origin: usize,
    /// Floats from one row to the next.
    pub(crate) pitch: usize,
    /// Must what lies outside the rows and columns stay zero?
    pub(crate) border: bool,
}

impl BufferLayout {
    /// Channels that exist at a width; none where there is no width yet.
    pub(crate) fn active(&self, width: Option<Width>) -> usize {
        match width {
            None => 0,
            Some(width) if self.sliced => width.active(self.shape.channels),
            Some(_) => self.shape.channels,
        }
    }

    /// Where row `y` of channel `c` begins, counted from `start`.
    pub(crate) fn row(&self, c: usize, y: usize) -> usize {
        c * self.plane + self.origin + y * self.pitch
    }

    /// Copies the pixels of channels `from..to` to `features`, channel-major and without gaps.
    pub(crate) fn flatten(&self, item: &[f32], from: usize, to: usize, features: &mut Vec<f32>) {
        features.clear();
        for c in from..to {
            for y in 0..self.shape.height {
                features.extend_from_slice(&item[self.start + self.row(c, y)..][..self.shape.width]);
            }
        }
    }

    /// Writes zeros to the right of every row of channels `from..to`, as far as the next row.
    pub(crate) fn clear_border(&self, output: &mut [f32], from: usize, to: usize) {
        let Shape { height, width, .. } = self.shape;
        for c in from..to {
            for y in 0..height.saturating_sub(1) {
                output[self.row(c, y) + width..self.row(c, y + 1)].fill(0.0);
            }
        }
    }
}
