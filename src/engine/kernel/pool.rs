//! Max and average pooling, with the rescaling and clamping that follow.

use super::simd::{InstructionSet, Kernel, Simd, dispatch};
use super::{Run, split};
use crate::engine::graph::{Affine, Clamp, Pool, PoolKind, Window};
use crate::engine::place::Place;

/// A pooling layer, ready to run.
#[derive(Debug)]
pub(crate) struct PoolStep {
    pub(crate) pool: Pool,
    pub(crate) input: Place,
    pub(crate) output: Place,
    pub(crate) affine: Option<Affine>,
    pub(crate) clamp: Clamp,
}

impl PoolStep {
    /// Computes channels `from..to` of the output.
    pub(crate) fn run(&self, set: InstructionSet, item: &mut [f32], from: usize, to: usize) {
        let (input, output) = split(item, &self.output);
        dispatch(set, Run { step: self, input: &input[self.input.start..], output, from, to });
    }
}

/// The window of nearly every network, which needs no look at the edges.
const HALVING: Window = Window { kernel: [2, 2], stride: [2, 2], before: [0, 0], after: [0, 0] };

impl Kernel for Run<'_, PoolStep> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Run { step, input, output, from, to } = self;
        let (place, pool) = (&step.output, step.pool);
        let halving = pool.kind == PoolKind::Max && pool.window == HALVING;
        for c in from..to {
            let affine = step.affine.as_ref().map(|affine| (affine.scale[c], affine.shift[c]));
            for y in 0..place.shape.height {
                let out = &mut output[place.row(c, y)..][..place.shape.width];
                if halving {
                    let row = |y: usize| &input[step.input.row(c, y)..][..2 * out.len()];
                    halve(row(2 * y), row(2 * y + 1), out);
                } else {
                    for (x, out) in out.iter_mut().enumerate() {
                        *out = pixel(step, input, c, y, x);
                    }
                }
                if let Some((scale, shift)) = affine {
                    for out in out.iter_mut() {
                        *out = simd.scalar_mul_add(*out, scale, shift);
                    }
                }
                if step.clamp != Clamp::NONE {
                    for out in out {
                        *out = step.clamp.apply(*out);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn halve(upper: &[f32], lower: &[f32], out: &mut [f32]) {
    let pairs = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
    for (out, (upper, lower)) in out.iter_mut().zip(pairs) {
        *out = upper[0].max(upper[1]).max(lower[0].max(lower[1]));
    }
}

/// Pixel `(y, x)` of channel `c`, from the part of the window that lies inside the input.
#[inline(always)]
fn pixel(step: &PoolStep, input: &[f32], c: usize, y: usize, x: usize) -> f32 {
    let Pool { kind, window } = step.pool;
    let shape = step.input.shape;
    let span = |axis: usize, at: usize, len: usize| {
        let start = at * window.stride[axis];
        let end = (start + window.kernel[axis]).saturating_sub(window.before[axis]).min(len);
        start.saturating_sub(window.before[axis])..end
    };
    let (rows, columns) = (span(0, y, shape.height), span(1, x, shape.width));
    let inside = rows.len() * columns.len();
    let pixels = rows.flat_map(|y| &input[step.input.row(c, y)..][columns.clone()]);
    match kind {
        PoolKind::Max => pixels.copied().fold(f32::NEG_INFINITY, f32::max),
        PoolKind::Average => pixels.sum::<f32>() / inside as f32,
        PoolKind::AverageWithPadding => pixels.sum::<f32>() / window.area() as f32,
    }
}
