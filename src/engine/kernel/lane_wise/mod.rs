//! Layers that compute each channel from the same channel of their inputs: lane by lane, whatever a lane holds.

pub(crate) mod activated;
pub(crate) mod elementwise;
pub(crate) mod pool;

use super::simd::{InstructionSet, Kernel, Simd, dispatch_lanes, dispatch_scalar};
use super::{lanes_of, split};
use crate::engine::buffer::{BLOCK, BufferLayout};

/// A layer that works lane by lane.
pub(super) trait LaneWise {
    /// Buffer of its value.
    fn layout(&self) -> &BufferLayout;

    /// Computes one row of one vector of channels. `at` is the block of channels, the first lane in it, and the row; `before` is the
    /// item before the value, and `output` starts at the row's first pixel and that lane.
    fn row<S: Simd>(&self, simd: S, before: &[f32], output: &mut [f32], at: (usize, usize, usize));
}

/// Computes channels `from..to` of each item.
pub(super) fn run(step: &impl LaneWise, set: InstructionSet, items: &mut [&mut [f32]], from: usize, to: usize) {
    let layout = step.layout();
    for item in items {
        let (before, output) = split(item, layout);
        for block in from / layout.lanes..to.div_ceil(layout.lanes) {
            let lanes = lanes_of(block, to, layout.lanes);
            let output = &mut *output;
            let rows = Rows { step, before, output, block, lanes };
            // The pixels of an image with few channels are shorter than a vector.
            if layout.lanes == BLOCK { dispatch_lanes(set, lanes, rows) } else { dispatch_scalar(rows) }
        }
    }
}

/// All rows of one block of channels.
struct Rows<'a, L> {
    step: &'a L,
    before: &'a [f32],
    output: &'a mut [f32],
    block: usize,
    lanes: usize,
}

impl<L: LaneWise> Kernel for Rows<'_, L> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Rows { step, before, output, block, lanes } = self;
        let layout = step.layout();
        for y in 0..layout.shape.height {
            let mut part = 0;
            while part < lanes {
                let row = &mut output[layout.row(block, y) - layout.start + part..];
                step.row(simd, before, row, (block, part, y));
                part += S::LANES;
            }
        }
    }
}
