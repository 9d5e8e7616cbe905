//! The microkernel of every convolution: sums of a few pixels by a few vectors of output channels.
//!
//! For each input channel it loads the weights of the output channels and broadcasts that channel of each pixel. Bounds are checked
//! once per call.
#![expect(unsafe_code, reason = "bounds are checked once per call, not at each load")]

use super::simd::Simd;
use crate::engine::buffer::BLOCK;

/// What the sums multiply: weights of one or two blocks of output channels, and the input channels of pixels at equal distances.
///
/// Where [`Product::CHANNELS`] is 2, all that is said of a channel holds for a pair of channels.
///
/// Input channels come in groups that are contiguous in memory, and each group has a number of taps. Sums go over groups, then taps,
/// then the channels of the group, ascending, whatever the number of pixels or blocks: so their bits do not depend on those.
#[derive(Clone, Copy)]
pub(crate) struct Operands<'a> {
    /// The weights of each block, `[groups][taps][channels of the group][BLOCK]`. The second is ignored if there is one block.
    pub(crate) weights: [&'a [f32]; 2],
    /// Input channels that each block was packed with.
    pub(crate) packed: [usize; 2],
    /// Input channels that each block reads; at most those packed, and the second at least those of the first.
    pub(crate) limits: [usize; 2],
    /// From the first pixel's first tap on.
    pub(crate) input: &'a [f32],
    /// Offsets of the taps.
    pub(crate) taps: &'a [usize],
    /// Input channels per group, but for the last group.
    pub(crate) group: usize,
    /// Floats from one group to the next.
    pub(crate) group_stride: usize,
    /// Floats from one pixel to the next.
    pub(crate) step: usize,
}

/// How a number of the input and one of the weights are multiplied.
pub(crate) trait Product {
    /// Input channels in the memory of one float.
    const CHANNELS: usize;
    /// `c` plus their product, lane by lane.
    fn add<S: Simd>(simd: S, weight: S::V, value: S::V, sum: S::V) -> S::V;
}

/// `f32` times `f32`.
pub(crate) struct Single;

/// Two bfloat16 numbers times two others.
pub(crate) struct Pair;

impl Product for Single {
    const CHANNELS: usize = 1;

    #[inline(always)]
    fn add<S: Simd>(simd: S, weight: S::V, value: S::V, sum: S::V) -> S::V {
        simd.mul_add(weight, value, sum)
    }
}

impl Product for Pair {
    const CHANNELS: usize = 2;

    #[inline(always)]
    fn add<S: Simd>(simd: S, weight: S::V, value: S::V, sum: S::V) -> S::V {
        simd.dot_pairs(weight, value, sum)
    }
}

impl Operands<'_> {
    /// Panics unless the slices hold what `pixels` pixels by some vectors read.
    #[inline(always)]
    pub(crate) fn check<S: Simd, const VECTORS: usize>(&self, pixels: usize) {
        let Operands { weights, packed, limits, input, taps, group, .. } = *self;
        let blocks = if VECTORS * S::LANES > BLOCK { 2 } else { 1 };
        let last = limits[blocks - 1];
        assert!(pixels > 0 && last > 0 && group > 0 && (blocks == 1 || limits[0] <= limits[1]));
        let mut farthest = 0;
        for &tap in taps {
            farthest = if tap > farthest { tap } else { farthest };
        }
        let (groups, widest) = (last.div_ceil(group), if last < group { last } else { group });
        let (of_groups, of_pixels) = ((groups - 1).checked_mul(self.group_stride), (pixels - 1).checked_mul(self.step));
        let end = match (of_groups, of_pixels) {
            (Some(groups), Some(pixels)) => {
                groups.saturating_add(pixels).saturating_add(farthest).saturating_add(widest)
            }
            _ => usize::MAX,
        };
        assert!(input.len() >= end, "the input ends before its last pixel");
        for block in 0..blocks {
            assert!(limits[block] <= packed[block] && weights[block].len() >= packed[block] * taps.len() * BLOCK);
        }
    }
}

/// The sums of `PIXELS` pixels from pixel `first` on, by `VECTORS` vectors of output channels: some vectors of one block, or all of two.
///
/// # Safety
/// [`Operands::check`] has passed for these vectors and at least `first + PIXELS` pixels.
#[inline(always)]
pub(crate) unsafe fn multiply<S: Simd, P: Product, const VECTORS: usize, const PIXELS: usize>(
    simd: S,
    operands: &Operands<'_>,
    first: usize,
) -> [[S::V; PIXELS]; VECTORS] {
    let Operands { weights, packed, limits, input, taps, group, group_stride, step } = *operands;
    let two = const { VECTORS * S::LANES > BLOCK };
    let last = limits[if two { 1 } else { 0 }];
    let mut sums = [[simd.splat(0.0); PIXELS]; VECTORS];
    let mut weights = [weights[0].as_ptr(), weights[1].as_ptr()];
    let mut start = input.as_ptr().wrapping_add(first * step);
    let mut before = 0;
    while before < last {
        let both = within(limits[0], before, group);
        let all = within(last, before, group);
        let next = [within(packed[0], before, group) * BLOCK, within(packed[1], before, group) * BLOCK];
        for &tap in taps {
            // SAFETY: by the caller's promise the weights of all taps and packed channels exist, and the last pixel's farthest tap of the
            // last channel is in `input`; all others are before it.
            unsafe {
                let values = start.add(tap);
                for channel in 0..both {
                    let mut of_channel = [simd.splat(0.0); VECTORS];
                    for vector in 0..VECTORS {
                        let (block, at) = (vector * S::LANES / BLOCK, vector * S::LANES % BLOCK);
                        of_channel[vector] = simd.load(weights[block].add(channel * BLOCK + at));
                    }
                    for pixel in 0..PIXELS {
                        let value = simd.splat(*values.add(channel + pixel * step));
                        for vector in 0..VECTORS {
                            sums[vector][pixel] = P::add(simd, of_channel[vector], value, sums[vector][pixel]);
                        }
                    }
                }
                if two {
                    // The first block ends here; the second, which is the last vector, goes on.
                    for channel in both..all {
                        let weight = simd.load(weights[1].add(channel * BLOCK));
                        for pixel in 0..PIXELS {
                            let value = simd.splat(*values.add(channel + pixel * step));
                            sums[VECTORS - 1][pixel] = P::add(simd, weight, value, sums[VECTORS - 1][pixel]);
                        }
                    }
                }
            }
            weights = [weights[0].wrapping_add(next[0]), weights[1].wrapping_add(next[1])];
        }
        before += group;
        // After the last group this may point out of bounds; it is not read.
        start = start.wrapping_add(group_stride);
    }
    sums
}

/// How many of the first `channels` are in the group after `before` others.
#[inline(always)]
fn within(channels: usize, before: usize, group: usize) -> usize {
    let rest = channels.saturating_sub(before);
    if rest < group { rest } else { group }
}

/// Most pixels whose sums stay in registers, beside the weights of a channel and one value.
const fn most_pixels(registers: usize, vectors: usize) -> usize {
    let mut pixels = MAX_PIXELS;
    while pixels > 1 && (pixels + 1) * vectors + 1 > registers {
        pixels -= 1;
    }
    pixels
}

/// Cuts `total` pixels into parts of nearly equal size: twice the first pixel, the pixels of a part, and the number of parts.
#[inline(always)]
pub(crate) fn parts<S: Simd>(total: usize, vectors: usize) -> [(usize, usize, usize); 2] {
    let count = total.div_ceil(most_pixels(S::REGISTERS, vectors));
    let (small, large) = (total / count, total % count);
    [(0, small + 1, large), (large * (small + 1), small, count - large)]
}

/// Most pixels of a call.
pub(crate) const MAX_PIXELS: usize = 8;

/// Calls a kernel of type `$kernel::<_, VECTORS, PIXELS>` with these fields. Combinations that exceed the registers generate no code.
///
/// Each combination is a separate function; compiling all of them into one takes minutes.
macro_rules! call_tile {
    ($simd:ident: $set:ident, $vectors:expr, $pixels:expr, $kernel:ident { $($field:ident: $value:expr),* $(,)? }) => {
        call_tile!(@ $simd: $set, $vectors, $pixels, $kernel { $($field: $value),* },
            (1, 1) (1, 2) (1, 3) (1, 4) (1, 5) (1, 6) (1, 7) (1, 8) (2, 1) (2, 2) (2, 3) (2, 4) (2, 5) (2, 6) (2, 7) (2, 8)
            (3, 1) (3, 2) (3, 3) (3, 4) (3, 5) (3, 6) (3, 7) (3, 8) (4, 1) (4, 2) (4, 3) (4, 4) (4, 5) (4, 6) (4, 7) (4, 8))
    };
    (@ $simd:ident: $set:ident, $vectors:expr, $pixels:expr, $kernel:ident $fields:tt, $(($v:literal, $p:literal))*) => {
        match ($vectors, $pixels) {
            $(($v, $p) if const { $crate::engine::kernel::gemm::exists::<$set>($v, $p) } => {
                call_tile!(@@ $simd, $kernel, $v, $p, $fields)
            })*
            (vectors, pixels) => unreachable!("{vectors} vectors by {pixels} pixels"),
        }
    };
    (@@ $simd:ident, $kernel:ident, $v:literal, $p:literal, { $($field:ident: $value:expr),* }) => {
        $simd.call($kernel::<_, $v, $p> { $($field: $value),* })
    };
}
pub(crate) use call_tile;

/// Whether tiles of these sizes are used with an instruction set.
pub(crate) const fn exists<S: Simd>(vectors: usize, pixels: usize) -> bool {
    vectors <= most_vectors::<S>() && pixels <= most_pixels(S::REGISTERS, vectors)
}

/// Vectors that share broadcasts: two blocks where a block is one vector, else one block.
pub(crate) const fn most_vectors<S: Simd>() -> usize {
    if S::LANES == BLOCK { 2 } else { BLOCK / S::LANES }
}
