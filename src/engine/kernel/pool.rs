//! Max and average pooling, fused with the rescaling and clamping that follow.

use super::simd::{InstructionSet, Kernel, Simd, dispatch};
use super::{Run, split};
use crate::engine::buffer::BufferLayout;
use crate::engine::graph::{Affine, Clamp, Pool, PoolKind, Window};

/// A pooling layer, ready to run.
#[derive(Debug)]
pub(crate) struct PoolStep {
    pub(crate) pool: Pool,
    pub(crate) input: BufferLayout,
    pub(crate) output: BufferLayout,
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

/// The most common window, which needs no bounds handling.
const HALVING: Window = Window { kernel: [2, 2], stride: [2, 2], before: [0, 0], after: [0, 0] };

impl Kernel for Run<'_, PoolStep> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Run { step, input, output, from, to } = self;
        let (shape, pool) = (step.output.shape, step.pool);
        let halving = pool.kind == PoolKind::Max && pool.window == HALVING;
        for c in from..to {
            let (scale, shift) = step.affine.as_ref().map_or((1.0, 0.0), |affine| (affine.scale[c], affine.shift[c]));
            let finish = Finish { scale, shift, clamp: step.clamp };
            for y in 0..shape.height {
                let out = &mut output[step.output.row(c, y)..][..shape.width];
                if halving {
                    let row = |y: usize| &input[step.input.row(c, y)..][..2 * out.len()];
                    halve(simd, row(2 * y), row(2 * y + 1), out, finish);
                } else {
                    for (x, out) in out.iter_mut().enumerate() {
                        *out = finish.apply(simd, pixel(step, input, c, y, x));
                    }
                }
            }
        }
    }
}

/// The operations on each pooled pixel.
#[derive(Clone, Copy)]
struct Finish {
    scale: f32,
    shift: f32,
    clamp: Clamp,
}

impl Finish {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, pixel: f32) -> f32 {
        self.clamp.apply(simd.scalar_mul_add(pixel, self.scale, self.shift))
    }
}

/// 2x2 max pooling, four outputs at a time: one vector on every target. Rows are short, so a single
/// vectorised loop would spend its time in the prologue and epilogue.
#[inline(always)]
fn halve<S: Simd>(simd: S, upper: &[f32], lower: &[f32], out: &mut [f32], finish: Finish) {
    let (fours, rest) = out.as_chunks_mut::<4>();
    let done = 8 * fours.len();
    for ((upper, lower), out) in upper.as_chunks::<8>().0.iter().zip(lower.as_chunks::<8>().0).zip(fours) {
        let mut tall = [0.0; 8];
        for (x, tall) in tall.iter_mut().enumerate() {
            *tall = larger(upper[x], lower[x]);
        }
        for (x, out) in out.iter_mut().enumerate() {
            *out = finish.apply(simd, larger(tall[2 * x], tall[2 * x + 1]));
        }
    }
    let pairs = upper[done..].as_chunks::<2>().0.iter().zip(lower[done..].as_chunks::<2>().0);
    for (out, (upper, lower)) in rest.iter_mut().zip(pairs) {
        *out = finish.apply(simd, larger(larger(upper[0], lower[0]), larger(upper[1], lower[1])));
    }
}

/// `f32::max` without NaN handling, which would cost three more instructions.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// Pixel `(y, x)` of channel `c`, pooled over the part of the window inside the input.
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
    // Loops: what an iterator's `sum` and `fold` call is not always inlined.
    let (mut largest, mut sum) = (f32::NEG_INFINITY, 0.0);
    for y in rows {
        for &pixel in &input[step.input.row(c, y)..][columns.clone()] {
            match kind {
                PoolKind::Max => largest = largest.max(pixel),
                PoolKind::Average | PoolKind::AverageWithPadding => sum += pixel,
            }
        }
    }
    match kind {
        PoolKind::Max => largest,
        PoolKind::Average => sum / inside as f32,
        PoolKind::AverageWithPadding => sum / window.area() as f32,
    }
}
