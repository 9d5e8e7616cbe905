//! Linear layers: an image is a vector, so the kernel vectorises over outputs.
//!
//! The head's sums accumulate over the features in order. Stopping after some channels and resuming later therefore gives the same
//! bits, and the running sums are the logits of every narrower width. Hidden layers compute their sums at once.

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
            let read = self.packed.features((to - 1) / BLOCK, to);
            self.input.flatten(item, 0, read / self.packed.features_per_channel, features);
            let (_, output) = split(item, &self.output);
            for index in from / BLOCK..to.div_ceil(BLOCK) {
                let row = index * BLOCK;
                let read = self.packed.features(index, to);
                let at = self.output.row(index, 0) - self.output.start;
                let sums = &mut output[at..at + BLOCK];
                sums.copy_from_slice(&self.packed.bias[row..row + BLOCK]);
                let (features, weights) = (&features[..read], self.packed.weights(index, 0, read));
                dispatch(context.set, Multiply { sums, features, weights });
                sums.iter_mut().for_each(|sum| *sum = self.clamp.apply(*sum));
            }
        }
    }

    fn packed_bytes(&self) -> usize {
        self.packed.bytes()
    }
}

/// Adds to a block's sums the products of `features` with its weights, `[features][BLOCK]`.
///
/// Every [`CHAINS`]th product is added to the same partial sum, because additions to one sum wait for each other.
struct Multiply<'a> {
    sums: &'a mut [f32],
    features: &'a [f32],
    weights: &'a [f32],
}

/// Partial sums.
const CHAINS: usize = 8;

impl Kernel for Multiply<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Multiply { sums, features, weights } = self;
        let (groups, rest) = features.as_chunks::<CHAINS>();
        let (of_groups, of_rest) = weights.as_chunks::<BLOCK>().0.split_at(groups.len() * CHAINS);
        let mut part = 0;
        while part < BLOCK {
            let mut partial = [simd.splat(0.0); CHAINS];
            for (features, weights) in groups.iter().zip(of_groups.as_chunks::<CHAINS>().0) {
                for chain in 0..CHAINS {
                    let weight = simd.read(&weights[chain][part..]);
                    partial[chain] = simd.mul_add(simd.splat(features[chain]), weight, partial[chain]);
                }
            }
            for (chain, (&feature, weights)) in rest.iter().zip(of_rest).enumerate() {
                partial[chain] = simd.mul_add(simd.splat(feature), simd.read(&weights[part..]), partial[chain]);
            }
            let mut sum = simd.read(&sums[part..]);
            for chain in 0..CHAINS {
                sum = simd.add(sum, partial[chain]);
            }
            simd.write(&mut sums[part..], sum);
            part += S::LANES;
        }
    }
}

/// Adds to a block's sums the products of `features` with its weights, `[features][BLOCK]`, in the order of the features.
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
