//! Depthwise convolution, of any kernel and stride: one filter per channel. Lanes are channels.
//!
//! A tile is a few pixels of a row. For the common kernels of three columns it loads each input pixel of a kernel row once, for all
//! taps that read it.
#![expect(unsafe_code, reason = "bounds are checked once per tile, not at each load")]

use crate::engine::buffer::{BLOCK, BufferLayout};
use crate::engine::graph::Conv;
use crate::engine::kernel::epilogue::{Epilogue, Finish};
use crate::engine::kernel::lane_wise::{LaneWise, run};
use crate::engine::kernel::simd::Simd;
use crate::engine::kernel::{Context, Step};
use crate::engine::memory::Aligned;

/// Most pixels of a tile.
const MOST: usize = 8;

/// A depthwise convolution, ready to run.
#[derive(Debug)]
pub(crate) struct DepthwiseStep {
    /// `[blocks][taps][BLOCK]`
    weights: Aligned,
    input: BufferLayout,
    output: BufferLayout,
    epilogue: Epilogue,
    /// Offset of the first pixel's first tap from the input's first pixel, negated.
    corner: usize,
    /// Offsets of the taps from the first; the last is the farthest.
    taps: Vec<usize>,
    /// Columns of the kernel.
    columns: usize,
    /// Floats of the input from one output pixel to the next, and from one output row to the next.
    steps: [usize; 2],
}

impl DepthwiseStep {
    /// Packs a layer.
    pub(crate) fn new(conv: &Conv, input: BufferLayout, output: BufferLayout, epilogue: Epilogue) -> DepthwiseStep {
        let window = conv.window;
        let (channels, area) = (output.shape.channels, window.area());
        let mut weights = vec![];
        for first in (0..channels).step_by(BLOCK) {
            for tap in 0..area {
                let of_channel = |channel: usize| conv.weights.get(channel * area + tap).copied().unwrap_or(0.0);
                weights.extend((first..first + BLOCK).map(of_channel));
            }
        }
        let corner = window.before[0] * input.pitch + window.before[1] * input.lanes;
        let [rows, columns] = window.kernel;
        let tap = |row: usize, column: usize| row * input.pitch + column * input.lanes;
        let taps = (0..rows).flat_map(|row| (0..columns).map(move |column| tap(row, column))).collect();
        let steps = [window.stride[1] * input.lanes, window.stride[0] * input.pitch];
        DepthwiseStep { weights: Aligned::from(weights), input, output, epilogue, corner, taps, columns, steps }
    }
}

impl Step for DepthwiseStep {
    fn output(&self) -> &BufferLayout {
        &self.output
    }

    fn run(&self, context: &mut Context<'_>, items: &mut [&mut [f32]], from: usize, to: usize) {
        run(self, context.set, items, from, to);
    }

    fn packed_bytes(&self) -> usize {
        self.weights.len() * size_of::<f32>() + self.epilogue.bytes()
    }
}

impl LaneWise for DepthwiseStep {
    fn layout(&self) -> &BufferLayout {
        &self.output
    }

    #[inline(always)]
    fn row<S: Simd>(&self, simd: S, before: &[f32], output: &mut [f32], at: (usize, usize, usize)) {
        let (block, part, y) = at;
        let (lanes, width) = (self.output.lanes, self.output.shape.width);
        let row = &before[self.input.row(block, 0) - self.corner + y * self.steps[1] + part..];
        let weights = &self.weights[block * self.taps.len() * BLOCK + part..];
        let finish = self.epilogue.of(simd, block, part);
        let mut x = 0;
        while x < width {
            let input = &row[x * self.steps[0]..];
            let output = &mut output[x * lanes..];
            // More pixels than this leave no registers for the input.
            let most = if const { S::REGISTERS >= 32 } { 8 } else { 4 };
            if width - x >= most {
                if const { S::REGISTERS >= 32 } {
                    self.write(simd, self.sums::<S, 8>(simd, input, weights), &finish, output);
                } else {
                    self.write(simd, self.sums::<S, 4>(simd, input, weights), &finish, output);
                }
                x += most;
            } else {
                self.write(simd, self.sums::<S, 1>(simd, input, weights), &finish, output);
                x += 1;
            }
        }
    }
}

impl DepthwiseStep {
    #[inline(always)]
    fn write<S: Simd, const PIXELS: usize>(
        &self,
        simd: S,
        sums: [S::V; PIXELS],
        finish: &Finish<S>,
        output: &mut [f32],
    ) {
        for pixel in 0..PIXELS {
            simd.write(&mut output[pixel * self.output.lanes..], finish.pixel(simd, sums[pixel], None));
        }
    }

    /// The sums of some pixels, over the taps in order.
    #[inline(always)]
    fn sums<S: Simd, const PIXELS: usize>(&self, simd: S, input: &[f32], weights: &[f32]) -> [S::V; PIXELS] {
        let (taps, lanes) = (&*self.taps, self.input.lanes);
        let farthest = taps[taps.len() - 1];
        assert!(input.len() >= farthest + (PIXELS - 1) * self.steps[0] + S::LANES);
        assert!(weights.len() >= (taps.len() - 1) * BLOCK + S::LANES);
        let (input, weights) = (input.as_ptr(), weights.as_ptr());
        let mut sums = [simd.splat(0.0); PIXELS];
        match (self.columns, self.steps[0] / lanes) {
            (3, 1) => {
                for row in 0..taps.len() / 3 {
                    let mut pixels = [simd.splat(0.0); MOST + 2];
                    for at in 0..PIXELS + 2 {
                        // SAFETY: the pixel under the last tap of the last pixel is checked, and this is none after it.
                        pixels[at] = unsafe { simd.load(input.add(taps[3 * row] + at * lanes)) };
                    }
                    for column in 0..3 {
                        // SAFETY: the weights of the last tap are checked.
                        let weight = unsafe { simd.load(weights.add((3 * row + column) * BLOCK)) };
                        for pixel in 0..PIXELS {
                            sums[pixel] = simd.mul_add(pixels[pixel + column], weight, sums[pixel]);
                        }
                    }
                }
            }
            (3, 2) => {
                for row in 0..taps.len() / 3 {
                    let mut pixels = [simd.splat(0.0); 2 * MOST + 1];
                    for at in 0..2 * PIXELS + 1 {
                        // SAFETY: as with stride 1.
                        pixels[at] = unsafe { simd.load(input.add(taps[3 * row] + at * lanes)) };
                    }
                    for column in 0..3 {
                        // SAFETY: as with stride 1.
                        let weight = unsafe { simd.load(weights.add((3 * row + column) * BLOCK)) };
                        for pixel in 0..PIXELS {
                            sums[pixel] = simd.mul_add(pixels[2 * pixel + column], weight, sums[pixel]);
                        }
                    }
                }
            }
            _ => {
                for tap in 0..taps.len() {
                    // SAFETY: the weights of the last tap are checked, and the last tap of the last pixel.
                    unsafe {
                        let weight = simd.load(weights.add(tap * BLOCK));
                        for pixel in 0..PIXELS {
                            let value = simd.load(input.add(taps[tap] + pixel * self.steps[0]));
                            sums[pixel] = simd.mul_add(value, weight, sums[pixel]);
                        }
                    }
                }
            }
        }
        sums
    }
}
