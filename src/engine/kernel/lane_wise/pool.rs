//! Max and average pooling, fused with the rescaling and clamping that follow.

use std::ops::Range;

use super::{LaneWise, run};
use crate::engine::buffer::BufferLayout;
use crate::engine::graph::{Affine, Clamp, Pool, PoolKind};
use crate::engine::kernel::epilogue::Rescaling;
use crate::engine::kernel::simd::Simd;
use crate::engine::kernel::{Context, Step};

/// A pooling layer, ready to run.
#[derive(Debug)]
pub(crate) struct PoolStep {
    pool: Pool,
    input: BufferLayout,
    output: BufferLayout,
    rescaling: Rescaling,
}

impl PoolStep {
    /// `affine` has an entry for each channel.
    pub(crate) fn new(
        pool: Pool,
        input: BufferLayout,
        output: BufferLayout,
        affine: Option<&Affine>,
        clamp: Clamp,
    ) -> PoolStep {
        PoolStep { pool, input, output, rescaling: Rescaling::new(affine, clamp, output.shape.channels) }
    }

    /// The rows or columns of the input under the window of output `at`.
    #[inline(always)]
    fn span(&self, axis: usize, at: usize, len: usize) -> Range<usize> {
        let window = &self.pool.window;
        let start = at * window.stride[axis];
        let end = (start + window.kernel[axis]).saturating_sub(window.before[axis]);
        start.saturating_sub(window.before[axis])..if end < len { end } else { len }
    }
}

impl Step for PoolStep {
    fn output(&self) -> &BufferLayout {
        &self.output
    }

    fn run(&self, context: &mut Context<'_>, items: &mut [&mut [f32]], from: usize, to: usize) {
        run(self, context.set, items, from, to);
    }
}

impl LaneWise for PoolStep {
    fn layout(&self) -> &BufferLayout {
        &self.output
    }

    #[inline(always)]
    fn row<S: Simd>(&self, simd: S, before: &[f32], output: &mut [f32], (block, part, y): (usize, usize, usize)) {
        let lanes = self.output.lanes;
        let rescaled = self.rescaling.of(simd, block, part);
        let rows = self.span(0, y, self.input.shape.height);
        for x in 0..self.output.shape.width {
            let columns = self.span(1, x, self.input.shape.width);
            let largest = self.pool.kind == PoolKind::Max;
            let mut pooled = simd.splat(if largest { f32::NEG_INFINITY } else { 0.0 });
            for row in rows.clone() {
                let row = &before[self.input.row(block, row) + part..];
                for column in columns.clone() {
                    let pixel = simd.read(&row[column * lanes..]);
                    pooled = if largest { simd.max(pooled, pixel) } else { simd.add(pooled, pixel) };
                }
            }
            let count = match self.pool.kind {
                PoolKind::Max => 1,
                PoolKind::Average => rows.len() * columns.len(),
                PoolKind::AverageWithPadding => self.pool.window.area(),
            };
            let mean = simd.mul_add(pooled, simd.splat(1.0 / count as f32), simd.splat(0.0));
            let value = if largest { pooled } else { mean };
            simd.write(&mut output[x * lanes..], rescaled.pixel(simd, value));
        }
    }
}
