//! The layout of a value in an item's memory.
//!
//! Planes follow each other in channel order, so the channels of a width are a prefix. A plane may have a zero border
//! that serves as padding for its readers. The right border of a row is the left border of the next.

use super::graph::Shape;
use super::width::Width;

/// The buffer of one value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BufferLayout {
    pub(crate) shape: Shape,
    /// Whether the channel count scales with width.
    pub(crate) sliced: bool,
    /// Offset of the first plane in the item's memory, in floats.
    pub(crate) start: usize,
    /// Plane stride: floats from one channel to the next.
    pub(crate) plane: usize,
    /// Offset of pixel (0, 0) in its plane.
    pub(crate) origin: usize,
    /// Row stride: floats from one row to the next.
    pub(crate) pitch: usize,
    /// Whether everything outside the rows and columns must stay zero.
    pub(crate) border: bool,
}

impl BufferLayout {
    /// Number of channels at a width; 0 for `None`.
    pub(crate) fn active(&self, width: Option<Width>) -> usize {
        match width {
            None => 0,
            Some(width) if self.sliced => width.active(self.shape.channels),
            Some(_) => self.shape.channels,
        }
    }

    /// Offset of row `y` of channel `c`, relative to `start`.
    pub(crate) fn row(&self, c: usize, y: usize) -> usize {
        c * self.plane + self.origin + y * self.pitch
    }

    /// Copies the pixels of channels `from..to` to `features`, channel-major and contiguous.
    pub(crate) fn flatten(&self, item: &[f32], from: usize, to: usize, features: &mut Vec<f32>) {
        features.clear();
        for c in from..to {
            for y in 0..self.shape.height {
                features.extend_from_slice(&item[self.start + self.row(c, y)..][..self.shape.width]);
            }
        }
    }

    /// Writes zeros between the end of each row and the start of the next, in channels `from..to`.
    pub(crate) fn clear_border(&self, output: &mut [f32], from: usize, to: usize) {
        let Shape { height, width, .. } = self.shape;
        for c in from..to {
            for y in 0..height.saturating_sub(1) {
                output[self.row(c, y) + width..self.row(c, y + 1)].fill(0.0);
            }
        }
    }
}
