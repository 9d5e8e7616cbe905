//! Linear layers: an image is a vector, so the kernel vectorises over outputs.
//!
//! Sums accumulate over the features in order. Stopping after some channels and resuming later therefore gives the same
//! bits, and the head's running sums are the logits of every narrower width.

use super::simd::{InstructionSet, Kernel, Simd, dispatch};
use super::split;
use crate::engine::buffer::BufferLayout;
use crate::engine::graph::Clamp;
use crate::engine::pack::{BLOCK, PackedLinear};

/// A hidden linear layer, ready to run.
#[derive(Debug)]
pub(crate) struct LinearStep {
    pub(crate) packed: PackedLinear,
    pub(crate) input: BufferLayout,
    pub(crate) output: BufferLayout,
    pub(crate) clamp: Clamp,
}

impl LinearStep {
    /// Computes channels `from..to` of the output; `features` is scratch.
    pub(crate) fn run(&self, set: InstructionSet, item: &mut [f32], features: &mut Vec<f32>, from: usize, to: usize) {
        let read = self.packed.features((to - 1) / BLOCK, (to - 1) % BLOCK + 1);
        self.input.flatten(item, 0, read / self.packed.features_per_channel, features);
        let (_, output) = split(item, &self.output);
        for index in from / BLOCK..to.div_ceil(BLOCK) {
            let row = index * BLOCK;
            let (first, end) = (from.saturating_sub(row), (to - row).min(BLOCK));
            let read = self.packed.features(index, end);
            let mut sums = [0.0; BLOCK];
            sums.copy_from_slice(&self.packed.bias[row..row + BLOCK]);
            accumulate(set, &mut sums, &features[..read], self.packed.weights(index, 0, read));
            for at in first..end {
                output[self.output.row(row + at, 0)] = self.clamp.apply(sums[at]);
            }
        }
    }
}

/// Adds to a block's sums the products of `features` with its weights, `[features][BLOCK]`.
pub(crate) fn accumulate(set: InstructionSet, sums: &mut [f32; BLOCK], features: &[f32], weights: &[f32]) {
    dispatch(set, Accumulate { sums, features, weights });
}

struct Accumulate<'a> {
    sums: &'a mut [f32; BLOCK],
    features: &'a [f32],
    weights: &'a [f32],
}

impl Kernel for Accumulate<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut sums = *self.sums;
        for (&feature, weights) in self.features.iter().zip(self.weights.as_chunks::<BLOCK>().0) {
            for (sum, &weight) in sums.iter_mut().zip(weights) {
                *sum = simd.scalar_mul_add(feature, weight, *sum);
            }
        }
        *self.sums = sums;
    }
}
