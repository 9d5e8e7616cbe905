//! Elementwise operators: rescaling, clamping, and addition of two values.

use super::{LaneWise, run};
use crate::engine::buffer::BufferLayout;
use crate::engine::graph::{Affine, Clamp};
use crate::engine::kernel::epilogue::Rescaling;
use crate::engine::kernel::simd::Simd;
use crate::engine::kernel::{Context, Step};

/// `clamp((a + b) * scale + shift)`; `b` is optional.
#[derive(Debug)]
pub(crate) struct ElementwiseStep {
    a: BufferLayout,
    b: Option<BufferLayout>,
    output: BufferLayout,
    rescaling: Rescaling,
}

impl ElementwiseStep {
    /// `affine` has an entry for each channel.
    pub(crate) fn new(
        a: BufferLayout,
        b: Option<BufferLayout>,
        output: BufferLayout,
        affine: Option<&Affine>,
        clamp: Clamp,
    ) -> ElementwiseStep {
        let rescaling = Rescaling::new(affine, clamp, output.shape.channels);
        ElementwiseStep { a, b, output, rescaling }
    }
}

impl Step for ElementwiseStep {
    fn output(&self) -> &BufferLayout {
        &self.output
    }

    fn run(&self, context: &mut Context<'_>, items: &mut [&mut [f32]], from: usize, to: usize) {
        run(self, context.set, items, from, to);
    }
}

impl LaneWise for ElementwiseStep {
    fn layout(&self) -> &BufferLayout {
        &self.output
    }

    #[inline(always)]
    fn row<S: Simd>(&self, simd: S, before: &[f32], output: &mut [f32], (block, part, y): (usize, usize, usize)) {
        let lanes = self.output.lanes;
        let a = &before[self.a.row(block, y) + part..];
        let rescaled = self.rescaling.of(simd, block, part);
        for x in 0..self.output.shape.width {
            let mut value = simd.read(&a[x * lanes..]);
            if let Some(b) = &self.b {
                value = simd.add(value, simd.read(&before[b.row(block, y) + x * lanes + part..]));
            }
            simd.write(&mut output[x * lanes..], rescaled.pixel(simd, value));
        }
    }
}
