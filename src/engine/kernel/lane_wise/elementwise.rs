//! Elementwise operators: rescaling, clamping, and addition of two values.

use super::{LaneWise, run};
use crate::engine::buffer::{BLOCK, BufferLayout};
use crate::engine::graph::{Affine, Clamp};
use crate::engine::kernel::epilogue::scale_and_shift;
use crate::engine::kernel::simd::Simd;
use crate::engine::kernel::{Context, Step};

/// `clamp((a + b) * scale + shift)`; `b` is optional.
#[derive(Debug)]
pub(crate) struct ElementwiseStep {
    a: BufferLayout,
    b: Option<BufferLayout>,
    output: BufferLayout,
    /// Scale and shift, `[blocks][BLOCK]` each.
    affine: [Vec<f32>; 2],
    clamp: Clamp,
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
        let affine = scale_and_shift(affine, output.shape.channels);
        ElementwiseStep { a, b, output, affine, clamp }
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
        let [scale, shift] =
            [simd.read(&self.affine[0][block * BLOCK + part..]), simd.read(&self.affine[1][block * BLOCK + part..])];
        let (low, high) = (simd.splat(self.clamp.low), simd.splat(self.clamp.high));
        for x in 0..self.output.shape.width {
            let mut value = simd.read(&a[x * lanes..]);
            if let Some(b) = &self.b {
                value = simd.add(value, simd.read(&before[b.row(block, y) + x * lanes + part..]));
            }
            let value = simd.clamp(simd.mul_add(value, scale, shift), low, high);
            simd.write(&mut output[x * lanes..], value);
        }
    }
}
