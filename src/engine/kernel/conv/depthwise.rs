//! Depthwise convolution, of any kernel and stride: one filter per channel. Lanes are channels.

use crate::engine::buffer::{BLOCK, BufferLayout};
use crate::engine::graph::Conv;
use crate::engine::kernel::epilogue::Epilogue;
use crate::engine::kernel::gemm::MAX_PIXELS;
use crate::engine::kernel::lane_wise::{LaneWise, run};
use crate::engine::kernel::simd::Simd;
use crate::engine::kernel::{Context, Step};
use crate::engine::memory::Aligned;

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
    /// Offsets of the taps from the first.
    taps: Vec<usize>,
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
        DepthwiseStep { weights: Aligned::from(weights), input, output, epilogue, corner, taps, steps }
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
            let left = width - x;
            let input = &row[x * self.steps[0]..];
            let output = &mut output[x * lanes..];
            let pixels = if left < MAX_PIXELS { left } else { MAX_PIXELS };
            if pixels == MAX_PIXELS {
                let sums = self.pixels::<S, MAX_PIXELS>(simd, input, weights);
                for (pixel, &sum) in sums.iter().enumerate() {
                    simd.write(&mut output[pixel * lanes..], finish.pixel(simd, sum, None));
                }
            } else {
                for pixel in 0..pixels {
                    let [sum] = self.pixels::<S, 1>(simd, &input[pixel * self.steps[0]..], weights);
                    simd.write(&mut output[pixel * lanes..], finish.pixel(simd, sum, None));
                }
            }
            x += pixels;
        }
    }
}

impl DepthwiseStep {
    /// The sums of some pixels.
    #[inline(always)]
    fn pixels<S: Simd, const PIXELS: usize>(&self, simd: S, input: &[f32], weights: &[f32]) -> [S::V; PIXELS] {
        let mut sums = [simd.splat(0.0); PIXELS];
        for (index, &tap) in self.taps.iter().enumerate() {
            let weight = simd.read(&weights[index * BLOCK..]);
            for (pixel, sum) in sums.iter_mut().enumerate() {
                *sum = simd.mul_add(simd.read(&input[tap + pixel * self.steps[0]..]), weight, *sum);
            }
        }
        sums
    }
}
