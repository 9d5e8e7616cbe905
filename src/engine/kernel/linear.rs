//! Linear layers: an image is a vector, so the kernel vectorises over outputs.
//!
//! Sums accumulate over the features in order. Stopping after some channels and resuming later therefore gives the same
//! bits, and the head's running sums are the logits of every narrower width.

use super::simd::{InstructionSet, Kernel, Simd, dispatch};
use super::{Context, Step, split};
use crate::engine::buffer::{BLOCK, BufferLayout};
use crate::engine::graph::Clamp;
use crate::engine::pack::PackedLinear;

/// A hidden linear layer, ready to run.
#[derive(Debug)]
pub(crate) struct LinearStep {
    pub(crate) packed: PackedLinear,
    pub(crate) input: BufferLayout,
    pub(crate) output: BufferLayout,
    pub(crate) clamp: Clamp,
}

impl Step for LinearStep {
    fn output(&self) -> &BufferLayout {
        &self.output
    }

    fn run(&self, context: &mut Context<'_>, items: &mut [&mut [f32]], from: usize, to: usize) {
        let features = &mut context.scratch.features;
        for item in items {
            let read = self.packed.features((to - 1) / BLOCK, (to - 1) % BLOCK + 1);
            self.input.flatten(item, 0, read / self.packed.features_per_channel, features);
            let (_, output) = split(item, &self.output);
            for index in from / BLOCK..to.div_ceil(BLOCK) {
                let row = index * BLOCK;
                let read = self.packed.features(index, (to - row).min(BLOCK));
                let mut sums = [0.0; BLOCK];
                sums.copy_from_slice(&self.packed.bias[row..row + BLOCK]);
                accumulate(context.set, &mut sums, &features[..read], self.packed.weights(index, 0, read));
                let at = self.output.row(index, 0) - self.output.start;
                for (output, sum) in output[at..at + BLOCK].iter_mut().zip(sums) {
                    *output = self.clamp.apply(sum);
                }
            }
        }
    }

    fn packed_bytes(&self) -> usize {
        self.packed.bytes()
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
        let mut part = 0;
        while part < BLOCK {
            let mut sum = simd.read(&self.sums[part..]);
            for (&feature, weights) in self.features.iter().zip(self.weights.as_chunks::<BLOCK>().0) {
                sum = simd.mul_add(simd.splat(feature), simd.read(&weights[part..]), sum);
            }
            simd.write(&mut self.sums[part..], sum);
            part += S::LANES;
        }
    }
}
