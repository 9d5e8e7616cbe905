//! One tile of one vector of channels: to frequencies, and from their products to pixels.
#![expect(unsafe_code, reason = "bounds are checked once per tile, not at each load and store")]

use super::transform::{MAX_SIDE, Transform};
use crate::engine::buffer::BLOCK;
use crate::engine::kernel::epilogue::{Finish, Pooled};
use crate::engine::kernel::gemm::Product;
use crate::engine::kernel::simd::Simd;

/// Transforms a tile of one vector of input channels. `pixels` are `[lines][BLOCK]` with lines `pitch` apart, `target` is
/// `[frequencies][BLOCK]`, in memory for a channel or for two per float.
///
/// # Panics
/// If a slice is too short.
#[inline(always)]
pub(super) fn input_tile<S: Simd, T: Transform, P: Product>(simd: S, pixels: &[f32], pitch: usize, target: &mut [f32]) {
    let last = T::INPUTS - 1;
    assert!(pixels.len() >= last * pitch + last * BLOCK + S::LANES);
    let stride = BLOCK / P::CHANNELS;
    assert!(target.len() >= (T::INPUTS * T::INPUTS - 1) * stride + S::LANES / P::CHANNELS);
    let (pixels, target) = (pixels.as_ptr(), target.as_mut_ptr());
    let zero = simd.splat(0.0);
    let mut lines = [[zero; MAX_SIDE]; MAX_SIDE];
    for x in 0..T::INPUTS {
        let mut column = [zero; MAX_SIDE];
        for y in 0..T::INPUTS {
            // SAFETY: `x` and `y` are at most `last`, and the first assertion has these lanes.
            column[y] = unsafe { simd.load(pixels.add(y * pitch + x * BLOCK)) };
        }
        let column = T::input(simd, column);
        for y in 0..T::INPUTS {
            lines[y][x] = column[y];
        }
    }
    for y in 0..T::INPUTS {
        let line = T::input(simd, lines[y]);
        for x in 0..T::INPUTS {
            // SAFETY: this is one of the frequencies of the second assertion.
            unsafe {
                let to = target.add((y * T::INPUTS + x) * stride);
                if P::CHANNELS == 2 { simd.store_pairs(to, line[x]) } else { simd.store(to, line[x]) }
            }
        }
    }
}

/// The sums of a tile's pixels, `[T::OUTPUTS][T::OUTPUTS]`, from the products of one vector of output channels,
/// `[frequencies][BLOCK]`.
///
/// # Panics
/// If the slice is too short.
#[inline(always)]
pub(super) fn output_tile<S: Simd, T: Transform>(simd: S, products: &[f32]) -> [[S::V; MAX_SIDE]; MAX_SIDE] {
    assert!(products.len() >= (T::INPUTS * T::INPUTS - 1) * BLOCK + S::LANES);
    let products = products.as_ptr();
    let zero = simd.splat(0.0);
    let mut lines = [[zero; MAX_SIDE]; MAX_SIDE];
    for x in 0..T::INPUTS {
        let mut column = [zero; MAX_SIDE];
        for y in 0..T::INPUTS {
            // SAFETY: this is one of the frequencies of the assertion.
            column[y] = unsafe { simd.load(products.add((y * T::INPUTS + x) * BLOCK)) };
        }
        let column = T::output(simd, column);
        for y in 0..T::OUTPUTS {
            lines[y][x] = column[y];
        }
    }
    let mut pixels = [[zero; MAX_SIDE]; MAX_SIDE];
    for y in 0..T::OUTPUTS {
        pixels[y] = T::output(simd, lines[y]);
    }
    pixels
}

/// Where the pixels of a tile go.
pub(super) struct Target<'a> {
    /// From the tile's corner on, and floats from one row to the next.
    pub(super) pixels: &'a mut [f32],
    pub(super) pitch: usize,
    /// Rows and columns of the map from the corner on; what overhangs is not written.
    pub(super) inside: [usize; 2],
}

/// Writes the pixels of a tile. `residual` is what is added to them, as [`Target::pixels`] and [`Target::pitch`].
///
/// # Panics
/// If a slice is too short.
#[inline(always)]
pub(super) fn write_tile<S: Simd, T: Transform>(
    simd: S,
    sums: &[[S::V; MAX_SIDE]; MAX_SIDE],
    finish: &Finish<S>,
    residual: Option<(&[f32], usize)>,
    target: Target<'_>,
) {
    let Target { pixels, pitch, inside } = target;
    for y in 0..T::OUTPUTS {
        for x in 0..T::OUTPUTS {
            if y < inside[0] && x < inside[1] {
                let added = match residual {
                    Some((values, pitch)) => Some(simd.read(&values[y * pitch + x * BLOCK..])),
                    None => None,
                };
                simd.write(&mut pixels[y * pitch + x * BLOCK..], finish.pixel(simd, sums[y][x], added));
            }
        }
    }
}

/// Writes the maxima of each square of 2x2 pixels of a tile.
///
/// # Panics
/// If a slice is too short.
#[inline(always)]
pub(super) fn write_pooled_tile<S: Simd, T: Transform>(
    simd: S,
    sums: &[[S::V; MAX_SIDE]; MAX_SIDE],
    finish: &Finish<S>,
    pooled: &Pooled<S>,
    target: Target<'_>,
) {
    let Target { pixels, pitch, inside } = target;
    for y in 0..T::OUTPUTS / 2 {
        for x in 0..T::OUTPUTS / 2 {
            if y < inside[0] && x < inside[1] {
                let [above, below] = [sums[2 * y], sums[2 * y + 1]];
                let four = [above[2 * x], above[2 * x + 1], below[2 * x], below[2 * x + 1]];
                simd.write(&mut pixels[y * pitch + x * BLOCK..], finish.pool(simd, pooled, four));
            }
        }
    }
}
