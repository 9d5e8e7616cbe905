//! One tile of one vector of channels: to frequencies, and from their products to pixels.
#![expect(unsafe_code, reason = "bounds are checked once per tile, not at each load and store")]

use super::transform::{MAX_SIDE, Transform};
use crate::engine::graph::Clamp;
use crate::engine::kernel::simd::Simd;
use crate::engine::pack::BLOCK;

/// What happens to the sums of a block.
#[derive(Clone, Copy)]
pub(super) struct Epilogue<'a> {
    /// `[BLOCK]`
    pub(super) bias: &'a [f32],
    /// The clamp before pooling, and scale and shift after it.
    pub(super) pooling: Option<(Clamp, [&'a [f32]; 2])>,
    pub(super) clamp: Clamp,
}

/// Transforms a tile of one vector of input channels. `pixels` are `[lines][BLOCK]` with lines `pitch` apart, `target` has frequencies
/// `stride` apart.
///
/// # Panics
/// If a slice is too short.
#[inline(always)]
pub(super) fn input_tile<S: Simd, T: Transform>(
    simd: S,
    pixels: &[f32],
    pitch: usize,
    target: &mut [f32],
    stride: usize,
) {
    let last = T::INPUTS - 1;
    assert!(pixels.len() >= last * pitch + last * BLOCK + S::LANES);
    assert!(target.len() >= (T::INPUTS * T::INPUTS - 1) * stride + S::LANES);
    let (pixels, target) = (pixels.as_ptr(), target.as_mut_ptr());
    let zero = simd.splat(0.0);
    let mut lines = [[zero; MAX_SIDE]; MAX_SIDE];
    for x in 0..T::INPUTS {
        let mut column = [zero; MAX_SIDE];
        for (y, value) in column.iter_mut().enumerate().take(T::INPUTS) {
            // SAFETY: `x` and `y` are at most `last`, and the first assertion has these lanes.
            *value = unsafe { simd.load(pixels.add(y * pitch + x * BLOCK)) };
        }
        let column = T::input(simd, column);
        for (line, value) in lines.iter_mut().zip(column) {
            line[x] = value;
        }
    }
    for (y, &line) in lines.iter().enumerate().take(T::INPUTS) {
        let line = T::input(simd, line);
        for (x, &value) in line.iter().enumerate().take(T::INPUTS) {
            // SAFETY: this is one of the frequencies of the second assertion.
            unsafe { simd.store(target.add((y * T::INPUTS + x) * stride), value) };
        }
    }
}

/// Transforms the products of one vector of output channels back, and writes the tile's pixels after pooling. `products` have
/// frequencies `stride` apart, `target` is `[lines][BLOCK]` with lines `pitch` apart, and `part` is the vector's place in its block.
///
/// # Panics
/// If a slice is too short.
#[inline(always)]
pub(super) fn output_tile<S: Simd, T: Transform>(
    simd: S,
    products: &[f32],
    stride: usize,
    epilogue: Epilogue<'_>,
    part: usize,
    target: &mut [f32],
    pitch: usize,
) {
    let side = if epilogue.pooling.is_some() { T::OUTPUTS / 2 } else { T::OUTPUTS };
    assert!(products.len() >= (T::INPUTS * T::INPUTS - 1) * stride + S::LANES);
    assert!(target.len() >= (side - 1) * (pitch + BLOCK) + S::LANES);
    let (products, target) = (products.as_ptr(), target.as_mut_ptr());
    let zero = simd.splat(0.0);
    let mut lines = [[zero; MAX_SIDE]; MAX_SIDE];
    for x in 0..T::INPUTS {
        let mut column = [zero; MAX_SIDE];
        for (y, value) in column.iter_mut().enumerate().take(T::INPUTS) {
            // SAFETY: this is one of the frequencies of the first assertion.
            *value = unsafe { simd.load(products.add((y * T::INPUTS + x) * stride)) };
        }
        let column = T::output(simd, column);
        for (line, value) in lines.iter_mut().zip(column) {
            line[x] = value;
        }
    }
    let mut pixels = [[zero; MAX_SIDE]; MAX_SIDE];
    for (pixels, line) in pixels.iter_mut().zip(lines).take(T::OUTPUTS) {
        *pixels = T::output(simd, line);
    }
    let bias = simd.read(&epilogue.bias[part..]);
    let (low, high) = (simd.splat(epilogue.clamp.low), simd.splat(epilogue.clamp.high));
    match epilogue.pooling {
        None => {
            for (y, pixels) in pixels.iter().enumerate().take(T::OUTPUTS) {
                for (x, &pixel) in pixels.iter().enumerate().take(T::OUTPUTS) {
                    let value = simd.clamp(simd.add(pixel, bias), low, high);
                    // SAFETY: `x` and `y` are below `side`, and the second assertion has these lanes.
                    unsafe { simd.store(target.add(y * pitch + x * BLOCK), value) };
                }
            }
        }
        Some((before, [scale, shift])) => {
            let (scale, shift) = (simd.read(&scale[part..]), simd.read(&shift[part..]));
            let (low_before, high_before) = (simd.splat(before.low), simd.splat(before.high));
            for y in 0..T::OUTPUTS / 2 {
                for x in 0..T::OUTPUTS / 2 {
                    let [above, below] = [pixels[2 * y], pixels[2 * y + 1]];
                    let above = simd.max(above[2 * x], above[2 * x + 1]);
                    let largest = simd.max(above, simd.max(below[2 * x], below[2 * x + 1]));
                    let value = simd.clamp(simd.add(largest, bias), low_before, high_before);
                    let value = simd.clamp(simd.mul_add(value, scale, shift), low, high);
                    // SAFETY: `x` and `y` are below `side`, and the second assertion has these lanes.
                    unsafe { simd.store(target.add(y * pitch + x * BLOCK), value) };
                }
            }
        }
    }
}
