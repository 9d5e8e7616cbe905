//! The microkernel of a Winograd convolution: at one frequency, a few tiles by a few vectors of output channels.
//!
//! For each input channel it loads the weights of its output channels, and broadcasts the transformed input of each tile. Bounds are
//! checked once per call.
#![expect(unsafe_code, reason = "bounds are checked once per call, not at each load and store")]

use std::ops::Range;

use crate::engine::kernel::simd::{Kernel, Simd};
use crate::engine::pack::BLOCK;

/// `TILES` tiles by `VECTORS` vectors: one or two blocks of output channels.
///
/// Running it panics if a slice is too short, or if the limits do not ascend.
pub(super) struct Gemm<'a, const VECTORS: usize, const TILES: usize> {
    /// The weights of each block at this frequency, `[input channels][BLOCK]`. The second is ignored if there is one block.
    pub(super) weights: [&'a [f32]; 2],
    /// Input channels that each block reads.
    pub(super) limits: [usize; 2],
    /// The transformed input at this frequency from the first tile on, `[blocks of input channels][tiles][BLOCK]`.
    pub(super) input: &'a [f32],
    /// Floats from one block of input channels to the next.
    pub(super) stride: usize,
    /// The products of each block at this frequency from the first tile on, `[tiles][BLOCK]`.
    pub(super) output: [&'a mut [f32]; 2],
}

impl<const VECTORS: usize, const TILES: usize> Kernel for Gemm<'_, VECTORS, TILES> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Gemm { weights, limits, input, stride, output } = self;
        let blocks = VECTORS * S::LANES / BLOCK;
        assert!(blocks == 1 || (blocks == 2 && limits[0] <= limits[1]));
        let last = limits[blocks - 1];
        assert!(last > 0 && input.len() > (last - 1) / BLOCK * stride + (TILES - 1) * BLOCK + (last - 1) % BLOCK);
        for block in 0..blocks {
            assert!(weights[block].len() >= limits[block] * BLOCK && output[block].len() >= TILES * BLOCK);
        }
        let mut sums = [[simd.splat(0.0); TILES]; VECTORS];
        // SAFETY: the assertions are what `accumulate` requires, for the first limit and for the last one.
        unsafe {
            sums = accumulate(simd, sums, weights, (input, stride), 0..limits[0]);
            if const { VECTORS * S::LANES > BLOCK } {
                // The second block is the last vector.
                let [rest] = accumulate(simd, [sums[VECTORS - 1]], [weights[1]; 2], (input, stride), limits[0]..last);
                sums[VECTORS - 1] = rest;
            }
        }
        for (vector, sums) in sums.iter().enumerate() {
            let (block, at) = (vector * S::LANES / BLOCK, vector * S::LANES % BLOCK);
            for (tile, &sum) in sums.iter().enumerate() {
                // SAFETY: `output` has `TILES` blocks of floats, and a vector ends inside its block.
                unsafe { simd.store(output[block].as_mut_ptr().add(tile * BLOCK + at), sum) };
            }
        }
    }
}

/// Adds the products of some input channels, ascending, to the sums.
///
/// # Safety
/// The weights of the blocks of these vectors have as many rows as the last channel needs, and `input` has these channels of all
/// tiles.
#[inline(always)]
unsafe fn accumulate<S: Simd, const VECTORS: usize, const TILES: usize>(
    simd: S,
    mut sums: [[S::V; TILES]; VECTORS],
    weights: [&[f32]; 2],
    (input, stride): (&[f32], usize),
    channels: Range<usize>,
) -> [[S::V; TILES]; VECTORS] {
    let mut weights = weights.map(|weights| weights.as_ptr().wrapping_add(channels.start * BLOCK));
    for block in channels.start / BLOCK..channels.end.div_ceil(BLOCK) {
        let (from, to) = (channels.start.max(block * BLOCK), channels.end.min((block + 1) * BLOCK));
        let mut values = input.as_ptr().wrapping_add(block * stride + from % BLOCK);
        for _ in from..to {
            // SAFETY: by the caller's promise the weights of this channel and its value in each tile exist.
            unsafe {
                let mut of_channel = [simd.splat(0.0); VECTORS];
                for (vector, of_channel) in of_channel.iter_mut().enumerate() {
                    let (block, at) = (vector * S::LANES / BLOCK, vector * S::LANES % BLOCK);
                    *of_channel = simd.load(weights[block].add(at));
                }
                for tile in 0..TILES {
                    let value = simd.splat(*values.add(tile * BLOCK));
                    for (sums, &weight) in sums.iter_mut().zip(&of_channel) {
                        sums[tile] = simd.mul_add(weight, value, sums[tile]);
                    }
                }
            }
            // After the last channel these may point out of bounds; they are not read.
            values = values.wrapping_add(1);
            weights = weights.map(|weights| weights.wrapping_add(BLOCK));
        }
    }
    sums
}
