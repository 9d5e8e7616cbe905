//! Direct convolution, of any kernel, stride and dilation: one product for each pair of channels, tap and pixel.
//!
//! Lanes are output channels, and pixels lie at equal distances along a row, so strides cost nothing and no matrix of patches is made.
#![expect(unsafe_code, reason = "bounds are checked once per row, not at each load")]

use std::marker::PhantomData;

use super::{Layer, Taps};
use crate::engine::buffer::{BLOCK, BufferLayout};
use crate::engine::kernel::epilogue::Epilogue;
use crate::engine::kernel::gemm::{Operands, Product, Single, call_tile, multiply, parts};
use crate::engine::kernel::simd::{InstructionSet, Kernel, Simd, dispatch_lanes};
use crate::engine::kernel::{Context, Step, split};
use crate::engine::memory::Aligned;
use crate::engine::pack::FanIn;

/// A convolution, ready to run.
#[derive(Debug)]
pub(crate) struct DirectStep {
    weights: Weights,
    output: BufferLayout,
    epilogue: Epilogue,
    /// Offset in an item of the first pixel's first tap.
    corner: usize,
    /// Offsets of the taps from the first.
    taps: Vec<usize>,
    /// Floats from one group of input channels to the next.
    group_stride: usize,
    /// Floats of the input from one output pixel to the next, and from one output row to the next.
    steps: [usize; 2],
    /// Rows and columns of the output; all pixels are one row where nothing is between rows.
    extent: [usize; 2],
}

/// Weights in blocks of output channels, as the microkernel reads them.
///
/// A group is a block of input channels. For an image with few channels it is a row of the kernel instead, whose columns and channels
/// follow each other in memory.
#[derive(Debug)]
struct Weights {
    fan_in: FanIn,
    group: usize,
    /// Whether groups are rows of the kernel.
    by_rows: bool,
    weights: Aligned,
    /// Offset of each block, and its input channels.
    starts: Vec<(usize, usize)>,
}

/// The cost of a layer, in multiply-adds of vectors.
pub(super) fn cost(layer: &Layer<'_>) -> usize {
    layer.vectors() * layer.conv.window.area() * layer.output.pixels()
}

impl DirectStep {
    /// Packs a layer.
    pub(crate) fn new(layer: &Layer<'_>, input: BufferLayout, output: BufferLayout, epilogue: Epilogue) -> DirectStep {
        let window = layer.conv.window;
        let weights = Weights::new(layer);
        let Taps { corner, offsets, steps } = Taps::of(&window, &input);
        let every = if weights.by_rows { window.kernel[1] } else { 1 };
        let taps = offsets.into_iter().step_by(every).collect();
        let residual = epilogue.residual.is_none_or(|value| value.is_contiguous());
        let one_row = residual && output.is_contiguous() && steps[1] == output.shape.width * steps[0];
        let extent = if one_row { [1, output.shape.pixels()] } else { [output.shape.height, output.shape.width] };
        DirectStep { weights, output, epilogue, corner, taps, group_stride: input.block, steps, extent }
    }
}

impl Weights {
    fn new(layer: &Layer<'_>) -> Weights {
        let (conv, fan_in) = (layer.conv, layer.fan_in());
        let ([rows, columns], area) = (conv.window.kernel, conv.window.area());
        let by_rows = !layer.sliced && fan_in.inputs < BLOCK && conv.window.dilation[1] == 1;
        let group = if by_rows { columns * fan_in.inputs } else { BLOCK };
        let taps = if by_rows { rows } else { area };
        // Index of a tap of an input channel among the weights of an output channel.
        let index = |tap: usize, k: usize| match by_rows {
            true => k % fan_in.inputs * area + tap * columns + k / fan_in.inputs,
            false => k * area + tap,
        };
        let (mut weights, mut starts) = (vec![], vec![]);
        for first in (0..fan_in.outputs).step_by(BLOCK) {
            let inputs = if by_rows { group } else { fan_in.of_block(first / BLOCK, fan_in.outputs) };
            starts.push((weights.len(), inputs));
            for channels in (0..inputs).step_by(group).map(|channel| channel..(channel + group).min(inputs)) {
                for (tap, k) in (0..taps).flat_map(|tap| channels.clone().map(move |k| (tap, k))) {
                    let of_row = |row: usize| match row < fan_in.outputs {
                        true => conv.weights[row * fan_in.inputs * area + index(tap, k)],
                        false => 0.0,
                    };
                    weights.extend((first..first + BLOCK).map(of_row));
                }
            }
        }
        Weights { fan_in, group, by_rows, weights: Aligned::from(weights), starts }
    }

    /// Input channels that block `index` reads for its rows before `to`.
    fn limit(&self, index: usize, to: usize) -> usize {
        if self.by_rows { self.group } else { self.fan_in.of_block(index, to) }
    }
}

impl Step for DirectStep {
    fn output(&self) -> &BufferLayout {
        &self.output
    }

    fn run(&self, context: &mut Context<'_>, items: &mut [&mut [f32]], from: usize, to: usize) {
        // All items read the weights of a block while the caches hold them.
        for (index, count) in blocks(context.set, from, to) {
            let lanes = (to - index * BLOCK).min(count * BLOCK);
            let limits = [self.weights.limit(index, to), self.weights.limit(index + count - 1, to)];
            for item in items.iter_mut() {
                let (before, output) = split(item, &self.output);
                let rows = Rows { step: self, before, output, index, count, lanes, limits };
                dispatch_lanes(context.set, lanes, rows);
            }
        }
    }

    fn packed_bytes(&self) -> usize {
        self.weights.weights.len() * size_of::<f32>() + self.epilogue.bytes()
    }
}

/// The first of one or two blocks that share the values of a pixel, and their number: two where a block is one vector, and the second
/// is more than half in use.
pub(super) fn blocks(set: InstructionSet, from: usize, to: usize) -> impl Iterator<Item = (usize, usize)> {
    let (mut index, end) = (from / BLOCK, to.div_ceil(BLOCK));
    // Half a block is faster alone, with half vectors.
    let pairs_end = if set.lanes() < BLOCK { 0 } else { to.div_ceil(BLOCK / 2) / 2 };
    std::iter::from_fn(move || {
        let (first, count) = (index, if index + 2 <= pairs_end { 2 } else { 1 });
        index += count;
        (first < end).then_some((first, count))
    })
}

/// All pixels of one or two blocks.
struct Rows<'a> {
    step: &'a DirectStep,
    /// The item before the output.
    before: &'a [f32],
    output: &'a mut [f32],
    /// First block, number of blocks, and lanes in use from there.
    index: usize,
    count: usize,
    lanes: usize,
    limits: [usize; 2],
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Rows { step, before, output, index, count, lanes, limits } = self;
        let blocks = [step.weights.starts[index], step.weights.starts[index + count - 1]];
        let weights = &step.weights.weights;
        let operands = &Operands {
            weights: [&weights[blocks[0].0..], &weights[blocks[1].0..]],
            packed: [blocks[0].1, blocks[1].1],
            limits,
            input: &before[step.corner..],
            taps: &step.taps,
            group: step.weights.group,
            group_stride: step.group_stride,
            step: step.steps[0],
        };
        let vectors = lanes.div_ceil(S::LANES);
        for (first, pixels, parts) in parts::<S>(step.extent[1], vectors) {
            let output = &mut *output;
            if parts > 0 {
                call_tile!(simd: S, vectors, pixels, Tiles {
                    product: PhantomData::<Single>,
                    operands: operands, step: step, index: index, before: before, output: output, first: first, parts: parts,
                });
            }
        }
    }
}

/// Parts of all rows, in one or two blocks.
struct Tiles<'a, P, const VECTORS: usize, const PIXELS: usize> {
    product: PhantomData<P>,
    /// Of the first row.
    operands: &'a Operands<'a>,
    step: &'a DirectStep,
    index: usize,
    before: &'a [f32],
    output: &'a mut [f32],
    /// First pixel of a row, and the number of parts from there.
    first: usize,
    parts: usize,
}

impl<P: Product, const VECTORS: usize, const PIXELS: usize> Kernel for Tiles<'_, P, VECTORS, PIXELS> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Tiles { operands, step, index, before, output, first, parts, .. } = self;
        let (layout, end) = (&step.output, first + parts * PIXELS);
        let none = step.epilogue.of(simd, index, 0);
        let mut finish = [none; VECTORS];
        for (vector, finish) in finish.iter_mut().enumerate() {
            *finish = step.epilogue.of(simd, index + vector * S::LANES / BLOCK, vector * S::LANES % BLOCK);
        }
        for y in 0..step.extent[0] {
            let operands = &Operands { input: &operands.input[y * step.steps[1]..], ..*operands };
            operands.check::<S, VECTORS>(end);
            let row = layout.row(index, y) - layout.start;
            for part in 0..parts {
                let x = first + part * PIXELS;
                // SAFETY: checked up to `end`, where the last part ends.
                let sums = unsafe { multiply::<S, P, VECTORS, PIXELS>(simd, operands, x) };
                for (vector, sums) in sums.iter().enumerate() {
                    let (block, part) = (vector * S::LANES / BLOCK, vector * S::LANES % BLOCK);
                    let pixels = &mut output[row + block * layout.block + x * BLOCK..][..PIXELS * BLOCK];
                    let residual = match &step.epilogue.residual {
                        Some(value) => Some(&before[value.row(index + block, y) + x * BLOCK..][..PIXELS * BLOCK]),
                        None => None,
                    };
                    for (pixel, &sum) in sums.iter().enumerate() {
                        let at = pixel * BLOCK + part;
                        let residual = match residual {
                            Some(values) => Some(simd.read(&values[at..])),
                            None => None,
                        };
                        simd.write(&mut pixels[at..], finish[vector].pixel(simd, sum, residual));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::kernel::lanes_of;

    #[test]
    fn every_block_is_computed_once_and_pairs_are_whole() {
        for set in InstructionSet::available() {
            for (from, to) in (1..90).flat_map(|to| (0..to).map(move |from| (from, to))) {
                let all: Vec<_> = blocks(set, from, to).collect();
                let computed: Vec<usize> = all.iter().flat_map(|&(first, count)| first..first + count).collect();
                assert_eq!(computed, (from / BLOCK..to.div_ceil(BLOCK)).collect::<Vec<_>>());
                let half = |index: usize| lanes_of(index, to, BLOCK) <= BLOCK / 2;
                assert!(all.iter().all(|&(first, count)| count == 1 || !half(first + 1)), "{from}..{to}: {all:?}");
            }
        }
    }
}
