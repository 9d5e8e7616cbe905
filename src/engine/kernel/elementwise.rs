//! Elementwise operators: rescaling, clamping, and addition of two values.

use super::simd::{InstructionSet, Kernel, Simd, dispatch};
use super::{Run, split};
use crate::engine::buffer::BufferLayout;
use crate::engine::graph::{Affine, Clamp};

/// `clamp((a + b) * scale + shift)`; `b` and the rescaling are optional.
#[derive(Debug)]
pub(crate) struct ElementwiseStep {
    pub(crate) a: BufferLayout,
    pub(crate) b: Option<BufferLayout>,
    pub(crate) output: BufferLayout,
    pub(crate) affine: Option<Affine>,
    pub(crate) clamp: Clamp,
}

impl ElementwiseStep {
    /// Computes channels `from..to` of the output.
    pub(crate) fn run(&self, set: InstructionSet, item: &mut [f32], from: usize, to: usize) {
        let (input, output) = split(item, &self.output);
        dispatch(set, Run { step: self, input, output, from, to });
    }
}

impl Kernel for Run<'_, ElementwiseStep> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Run { step, input, output, from, to } = self;
        let shape = step.output.shape;
        for c in from..to {
            let (scale, shift) = step.affine.as_ref().map_or((1.0, 0.0), |affine| (affine.scale[c], affine.shift[c]));
            for y in 0..shape.height {
                let row = |buffer: &BufferLayout| &input[buffer.start + buffer.row(c, y)..][..shape.width];
                let out = &mut output[step.output.row(c, y)..][..shape.width];
                out.copy_from_slice(row(&step.a));
                if let Some(b) = &step.b {
                    for (out, b) in out.iter_mut().zip(row(b)) {
                        *out += b;
                    }
                }
                for out in out {
                    *out = step.clamp.apply(simd.scalar_mul_add(*out, scale, shift));
                }
            }
        }
    }
}
