//! The layout of a value in an item's memory.
//!
//! Channels lie in blocks of [`BLOCK`]: `[block][row][column][lane]`. The blocks of a width are a prefix, and so are the lanes within
//! the last of them; the other lanes of that block may hold anything. Rows and columns have a border of zeros where readers need
//! padding. It is cleared once, because kernels write only inside. The right border of a row is the left border of the next.

use std::ops::Range;

use super::graph::{Shape, Window};
use super::width::Width;

/// Channels per block of a value that scales with width.
pub(crate) const BLOCK: usize = 16;

/// The buffer of one value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BufferLayout {
    pub(crate) shape: Shape,
    /// Whether the channel count scales with width.
    pub(crate) sliced: bool,
    /// Channels per block, and floats per pixel: [`BLOCK`], or all channels of an image that has fewer.
    pub(crate) lanes: usize,
    /// Offset of the first block in the item's memory, in floats. A multiple of [`BLOCK`], as all strides are if `lanes` is.
    pub(crate) start: usize,
    /// Block stride: floats from one block of channels to the next.
    pub(crate) block: usize,
    /// Offset of pixel (0, 0) in its block.
    pub(crate) origin: usize,
    /// Row stride: floats from one row to the next.
    pub(crate) pitch: usize,
}

/// Rows and columns of zeros that readers of a value need around it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Border {
    /// Above and to the left.
    pub(crate) before: [usize; 2],
    /// Below and to the right.
    pub(crate) after: [usize; 2],
}

impl Border {
    /// What a window reads outside an input of this shape.
    pub(crate) fn of(window: &Window, input: Shape, output: Shape) -> Border {
        let after = |axis: usize, len: usize, outputs: usize| {
            let end = (outputs - 1) * window.stride[axis] + window.extent(axis);
            end.saturating_sub(window.before[axis] + len)
        };
        let after = [after(0, input.height, output.height), after(1, input.width, output.width)];
        Border { before: window.before, after }
    }

    /// The border that contains both.
    #[must_use]
    pub(crate) fn and(self, other: Border) -> Border {
        let larger = |a: [usize; 2], b: [usize; 2]| [a[0].max(b[0]), a[1].max(b[1])];
        Border { before: larger(self.before, other.before), after: larger(self.after, other.after) }
    }
}

impl BufferLayout {
    /// A buffer at `start` with this border.
    pub(crate) fn new(shape: Shape, sliced: bool, border: Border, start: usize) -> BufferLayout {
        let lanes = lanes(shape.channels, sliced);
        let pitch = (shape.width + border.before[1].max(border.after[1])) * lanes;
        let rows = border.before[0] + shape.height + border.after[0];
        // The left border of the first row, and the right border of the last. A file may ask for more than there is: see `len`.
        let block = rows.saturating_mul(pitch).saturating_add((border.before[1] + border.after[1]) * lanes);
        let origin = border.before[0] * pitch + border.before[1] * lanes;
        BufferLayout { shape, sliced, lanes, start, block, origin, pitch }
    }

    /// Floats of all blocks; the largest number if they are more.
    pub(crate) fn len(&self) -> usize {
        self.shape.channels.div_ceil(self.lanes).saturating_mul(self.block)
    }

    /// The range in an item's memory of the blocks with the first `channels` channels.
    pub(crate) fn range(&self, channels: usize) -> Range<usize> {
        self.start..self.start + channels.div_ceil(self.lanes) * self.block
    }

    /// Number of channels at a width; 0 for `None`.
    pub(crate) fn active(&self, width: Option<Width>) -> usize {
        match width {
            None => 0,
            Some(width) if self.sliced => width.active(self.shape.channels),
            Some(_) => self.shape.channels,
        }
    }

    /// Offset in the item's memory of row `y` of a block.
    pub(crate) fn row(&self, block: usize, y: usize) -> usize {
        self.start + block * self.block + self.origin + y * self.pitch
    }

    /// Whether the pixels of a block follow each other without a border.
    pub(crate) fn is_contiguous(&self) -> bool {
        self.pitch == self.shape.width * self.lanes
    }

    /// Copies the pixels of channels `from..to` to `features`, channel-major and contiguous.
    pub(crate) fn flatten(&self, item: &[f32], from: usize, to: usize, features: &mut Vec<f32>) {
        features.clear();
        for c in from..to {
            for y in 0..self.shape.height {
                let row = &item[self.row(c / self.lanes, y)..][..self.shape.width * self.lanes];
                features.extend(row.iter().skip(c % self.lanes).step_by(self.lanes));
            }
        }
    }

    /// Zeros everything outside the rows and columns.
    pub(crate) fn clear_border(&self, item: &mut [f32]) {
        let len = self.shape.width * self.lanes;
        for block in 0..self.shape.channels.div_ceil(self.lanes) {
            let mut end = self.start + block * self.block;
            for y in 0..self.shape.height {
                let row = self.row(block, y);
                item[end..row].fill(0.0);
                end = row + len;
            }
            item[end..self.start + (block + 1) * self.block].fill(0.0);
        }
    }
}

/// Channels per block of a value.
pub(crate) fn lanes(channels: usize, sliced: bool) -> usize {
    if sliced { BLOCK } else { channels.min(BLOCK) }
}
