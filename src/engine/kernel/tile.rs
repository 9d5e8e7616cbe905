//! The microkernel of every convolution: a tile of `ROWS` output channels by `P` vectors of consecutive pixels.
//!
//! For each tap it loads `P` input vectors, broadcasts `ROWS` weights and performs `ROWS * P` multiply-adds in
//! registers. Bounds are checked once per tile, not once per load.
#![expect(unsafe_code, reason = "bounds are checked once per tile, not at each load and store")]

use super::simd::{Kernel, Simd};
use crate::engine::graph::Clamp;

/// The parameters that the tiles of some rows of one panel share.
#[derive(Clone, Copy)]
pub(crate) struct Panel<'a> {
    /// `[input channels][taps][stride]`, from the first computed row.
    pub(crate) weights: &'a [f32],
    /// Weights from one tap to the next: the row count that the panel was packed with.
    pub(crate) stride: usize,
    /// One per computed row.
    pub(crate) bias: &'a [f32],
    /// Number of input channels to read.
    pub(crate) channels: usize,
    /// Offset of each tap relative to the top left one, within an input channel.
    pub(crate) taps: &'a [usize],
    /// Floats from one input channel to the next.
    pub(crate) input_plane: usize,
    /// Floats from one output channel to the next.
    pub(crate) output_plane: usize,
    pub(crate) clamp: Clamp,
}

/// A tile of `ROWS` rows by `pixels` pixels, where `(P - 1) * LANES < pixels <= P * LANES`.
///
/// Running it panics if `input`, `output`, or the panel's weights or bias are too short.
pub(crate) struct Tile<'a, const ROWS: usize, const P: usize> {
    pub(crate) panel: &'a Panel<'a>,
    /// Starts at the first pixel's top left tap in the first input channel. Whole vectors are read.
    pub(crate) input: &'a [f32],
    /// Starts at the first pixel of the first row. Exactly `pixels` floats of each row are written.
    pub(crate) output: &'a mut [f32],
    pub(crate) pixels: usize,
}

/// Live vectors of a tile at each tap: the sums, the pixels and one weight.
pub(crate) const fn held(rows: usize, vectors: usize) -> usize {
    rows * vectors + vectors + 1
}

impl<const ROWS: usize, const P: usize> Kernel for Tile<'_, ROWS, P> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        assert!(held(ROWS, P) <= S::REGISTERS, "a sum would be spilled at each tap");
        let Tile { panel, input, output, pixels } = self;
        compute::<S, ROWS, P>(simd, panel, input, output, pixels);
    }
}

#[inline(always)]
fn compute<S: Simd, const ROWS: usize, const P: usize>(
    simd: S,
    panel: &Panel<'_>,
    input: &[f32],
    output: &mut [f32],
    pixels: usize,
) {
    let Panel { channels, taps, stride, input_plane, .. } = *panel;
    let farthest = taps.iter().max().copied().unwrap_or(0);
    let steps = channels * taps.len();
    assert!(pixels <= P * S::LANES && pixels > (P - 1) * S::LANES && panel.bias.len() == ROWS);
    assert!(steps > 0 && input.len() >= (channels - 1) * input_plane + farthest + P * S::LANES);
    assert!(panel.weights.len() >= (steps - 1) * stride + ROWS);
    assert!(output.len() >= (ROWS - 1) * panel.output_plane + pixels);

    // No closures here: their bodies are compiled without the instruction set of the function that this is inlined
    // into.
    let mut sums = [[simd.splat(0.0); P]; ROWS];
    for (sums, &bias) in sums.iter_mut().zip(panel.bias) {
        *sums = [simd.splat(bias); P];
    }
    let mut weights = panel.weights.as_ptr();
    let mut plane = input.as_ptr();
    for _ in 0..channels {
        for &tap in taps {
            // SAFETY: by the second assertion a channel's plane, the tap in it and the `P` vectors from there end
            // inside `input`. By the third the weights of this step end inside `panel.weights`.
            unsafe {
                let mut pixels = [simd.splat(0.0); P];
                for (p, pixels) in pixels.iter_mut().enumerate() {
                    *pixels = simd.load(plane.add(tap + p * S::LANES));
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let weight = simd.splat(*weights.add(row));
                    for (sum, &pixels) in sums.iter_mut().zip(&pixels) {
                        *sum = simd.mul_add(pixels, weight, *sum);
                    }
                }
            }
            // After the last step this may point out of bounds; it is not read.
            weights = weights.wrapping_add(stride);
        }
        plane = plane.wrapping_add(input_plane);
    }
    write(simd, panel, &sums, output, pixels);
}

#[inline(always)]
fn write<S: Simd, const ROWS: usize, const P: usize>(
    simd: S,
    panel: &Panel<'_>,
    sums: &[[S::V; P]; ROWS],
    output: &mut [f32],
    pixels: usize,
) {
    let (low, high) = (simd.splat(panel.clamp.low), simd.splat(panel.clamp.high));
    let last = pixels - (P - 1) * S::LANES;
    for (row, sums) in sums.iter().enumerate() {
        let start = output[row * panel.output_plane..][..pixels].as_mut_ptr();
        for (p, &sum) in sums.iter().enumerate() {
            let value = simd.clamp(sum, low, high);
            // SAFETY: `start` points to a slice of `pixels` floats, and `p` whole vectors of it precede this one.
            unsafe {
                let to = start.add(p * S::LANES);
                if p + 1 < P { simd.store(to, value) } else { simd.store_first(to, value, last) }
            }
        }
    }
}
