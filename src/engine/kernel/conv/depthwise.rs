//! Depthwise convolution, of any kernel, stride and dilation: one filter per channel. Lanes are channels.
//!
//! A tile is a few pixels of a row. For the common kernels of three columns it loads each input pixel of a kernel row once, for all
//! taps that read it.
#![expect(unsafe_code, reason = "bounds are checked once per tile, not at each load")]

use super::Taps;
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
    taps: Taps,
    /// Columns of the kernel that follow each other in the input.
    columns: usize,
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
        let (taps, columns) = (Taps::of(&window, &input), if window.dilation[1] == 1 { window.kernel[1] } else { 1 });
        DepthwiseStep { weights: Aligned::from(weights), input, output, epilogue, taps, columns }
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
        let row = &before[self.taps.corner + block * self.input.block + y * self.taps.steps[1] + part..];
        let weights = &self.weights[block * self.taps.offsets.len() * BLOCK + part..];
        let finish = self.epilogue.of(simd, block, part);
        let mut x = 0;
        while x < width {
            let input = &row[x * self.taps.steps[0]..];
            let output = &mut output[x * lanes..];
            // More pixels than this leave no registers for the input.
            let most = if const { S::REGISTERS >= 32 } { MOST } else { 4 };
            if width - x >= most {
                if const { S::REGISTERS >= 32 } {
                    self.write(simd, self.sums::<S, MOST>(simd, input, weights), &finish, output);
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
        let (taps, step) = (&*self.taps.offsets, self.taps.steps[0]);
        assert!(input.len() >= taps[taps.len() - 1] + (PIXELS - 1) * step + S::LANES);
        assert!(weights.len() >= (taps.len() - 1) * BLOCK + S::LANES);
        // SAFETY: the last tap of the last pixel and the weights of the last tap are checked; strides are those of the layer.
        unsafe {
            match (self.columns, step / self.input.lanes) {
                (3, 1) => self.sums_of_three::<S, PIXELS, 1>(simd, input.as_ptr(), weights.as_ptr()),
                (3, 2) => self.sums_of_three::<S, PIXELS, 2>(simd, input.as_ptr(), weights.as_ptr()),
                _ => {
                    let mut sums = [simd.splat(0.0); PIXELS];
                    for tap in 0..taps.len() {
                        let weight = simd.load(weights.as_ptr().add(tap * BLOCK));
                        for pixel in 0..PIXELS {
                            let value = simd.load(input.as_ptr().add(taps[tap] + pixel * step));
                            sums[pixel] = simd.mul_add(value, weight, sums[pixel]);
                        }
                    }
                    sums
                }
            }
        }
    }

    /// [`DepthwiseStep::sums`] for a kernel of three columns and this stride.
    ///
    /// # Safety
    /// The last tap of the last pixel must be readable, and the weights of the last tap; the layer has this stride.
    #[inline(always)]
    unsafe fn sums_of_three<S: Simd, const PIXELS: usize, const STRIDE: usize>(
        &self,
        simd: S,
        input: *const f32,
        weights: *const f32,
    ) -> [S::V; PIXELS] {
        let (taps, lanes) = (&*self.taps.offsets, self.input.lanes);
        let mut sums = [simd.splat(0.0); PIXELS];
        for row in 0..taps.len() / 3 {
            let mut pixels = [simd.splat(0.0); 2 * MOST + 1];
            for at in 0..STRIDE * (PIXELS - 1) + 3 {
                // SAFETY: by the caller's promise: this is at most the last tap of the last pixel.
                pixels[at] = unsafe { simd.load(input.add(taps[3 * row] + at * lanes)) };
            }
            for column in 0..3 {
                // SAFETY: by the caller's promise.
                let weight = unsafe { simd.load(weights.add((3 * row + column) * BLOCK)) };
                for pixel in 0..PIXELS {
                    sums[pixel] = simd.mul_add(pixels[STRIDE * pixel + column], weight, sums[pixel]);
                }
            }
        }
        sums
    }
}
