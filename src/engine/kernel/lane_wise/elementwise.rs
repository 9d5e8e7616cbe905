//! Elementwise operators: rescaling, clamping, and addition or multiplication of two values.

use super::{LaneWise, run};
use crate::engine::buffer::BufferLayout;
use crate::engine::graph::{Affine, Clamp};
use crate::engine::kernel::epilogue::Rescaling;
use crate::engine::kernel::simd::Simd;
use crate::engine::kernel::{Context, Step};

/// `clamp(a * scale + shift)`, or the same of `a + b` or `a * b`.
#[derive(Debug)]
pub(crate) struct ElementwiseStep {
    a: BufferLayout,
    other: Other,
    output: BufferLayout,
    rescaling: Rescaling,
}

/// The second value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Other {
    None,
    /// A value to add.
    Term(BufferLayout),
    /// A value to multiply with. A single pixel is a factor of all.
    Factor(BufferLayout),
}

impl ElementwiseStep {
    /// `affine` has an entry for each channel.
    pub(crate) fn new(
        a: BufferLayout,
        other: Other,
        output: BufferLayout,
        affine: Option<&Affine>,
        clamp: Clamp,
    ) -> ElementwiseStep {
        let rescaling = Rescaling::new(affine, clamp, output.shape.channels);
        ElementwiseStep { a, other, output, rescaling }
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
        // Where the other value's pixels begin, and how far apart they are.
        let (b, step) = match &self.other {
            Other::None => (a, lanes),
            Other::Factor(b) if b.shape.pixels() == 1 => (&before[b.row(block, 0) + part..], 0),
            Other::Term(b) | Other::Factor(b) => (&before[b.row(block, y) + part..], lanes),
        };
        for x in 0..self.output.shape.width {
            let mut value = simd.read(&a[x * lanes..]);
            match &self.other {
                Other::None => (),
                Other::Term(_) => value = simd.add(value, simd.read(&b[x * step..])),
                Other::Factor(_) => value = simd.mul(value, simd.read(&b[x * step..])),
            }
            simd.write(&mut output[x * lanes..], rescaled.pixel(simd, value));
        }
    }
}
