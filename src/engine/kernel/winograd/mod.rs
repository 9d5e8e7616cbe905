//! 3x3 convolutions by Winograd's minimal filtering: a fourth (4x4 tiles) or four ninths (2x2 tiles) of the multiplications.
//!
//! A run goes over the map in chunks of whole rows of tiles. It copies the input channels to blocks of [`BLOCK`] channels per pixel,
//! transforms the tiles (lanes are channels), multiplies at each frequency (lanes are output channels), and transforms the products
//! back. Each sum is over ascending input channels, whatever the width, the tile or its neighbours: so widening in steps gives the
//! bits of running at once. A block that a width cuts is computed again, but only new channels are written.

mod gemm;
mod pack;
mod tile;
mod transform;

use std::marker::PhantomData;
use std::ops::Range;

use super::simd::{Block, InstructionSet, Kernel, Simd, dispatch};
use super::{Run, split};
use crate::engine::buffer::BufferLayout;
use crate::engine::graph::{Affine, Clamp, Conv, Shape};
use crate::engine::pack::BLOCK;
use gemm::Gemm;
use tile::{Epilogue, input_tile, output_tile};
use transform::{Four, Transform, Two};

pub(crate) use pack::PackedWinograd;
pub(crate) use transform::Tiling;

/// A 3x3 convolution with stride 1, ready to run.
#[derive(Debug)]
pub(crate) struct WinogradStep {
    pub(crate) packed: PackedWinograd,
    pub(crate) input: BufferLayout,
    pub(crate) output: BufferLayout,
    /// Zero padding above and to the left.
    pub(crate) before: [usize; 2],
    /// The maximum over squares of 2x2 pixels that follows, if one does.
    pub(crate) pooling: Option<Pooling>,
    /// The clamp after everything else.
    pub(crate) clamp: Clamp,
}

/// A maximum over 2x2 pixels with stride 2, with what is fused around it.
#[derive(Debug)]
pub(crate) struct Pooling {
    /// The clamp before it.
    clamp: Clamp,
    /// Scale and shift after it, `[blocks][BLOCK]` each.
    affine: [Vec<f32>; 2],
}

impl Pooling {
    /// `affine` has an entry for each channel.
    pub(crate) fn new(clamp: Clamp, affine: Option<&Affine>, channels: usize) -> Pooling {
        let padded = |values: Option<&Vec<f32>>, neutral: f32| {
            let mut values = values.cloned().unwrap_or_else(|| vec![neutral; channels]);
            values.resize(channels.next_multiple_of(BLOCK), 0.0);
            values
        };
        let affine = [padded(affine.map(|affine| &affine.scale), 1.0), padded(affine.map(|affine| &affine.shift), 0.0)];
        Pooling { clamp, affine }
    }
}

/// Input channels below which the transforms cost more than they save.
const MIN_CHANNELS: usize = 8;
/// Smallest side of a map for 4x4 tiles: below it, they have four times the weights for a tile or two.
const MIN_SIDE_OF_FOUR: usize = 7;
/// Smallest side of a map for 2x2 tiles.
const MIN_SIDE: usize = 3;
/// Tiles per chunk, unless a row of tiles has more: their transformed input stays in the L2 cache.
const TILES_PER_CHUNK: usize = 16;
/// Floats between frequencies beyond what they hold: a multiple of 1 KB from one to the next would map all of them to a few sets of
/// the L1 cache.
const SKEW: usize = BLOCK;
/// Most tiles of a [`Gemm`].
const MAX_TILES: usize = 8;

/// Runs the [`Gemm`] of this many blocks and tiles. Combinations that exceed the registers generate no code.
macro_rules! any_gemm {
    ($simd:ident: $set:ident, $blocks:expr, $tiles:expr, $weights:expr, $limits:expr, $input:expr, $stride:expr, $output:expr,
        $($count:literal)*) => {
        match ($blocks * BLOCK / $set::LANES, $tiles) {
            $((1, $count) if const { $set::LANES == BLOCK } => any_gemm!(@ $simd, 1, $count, $weights, $limits, $input, $stride, $output),
            (2, $count) if const { $set::LANES >= BLOCK / 2 && $count <= most_tiles($set::REGISTERS, $set::LANES) } => {
                any_gemm!(@ $simd, 2, $count, $weights, $limits, $input, $stride, $output)
            }
            (4, $count) if const { $set::LANES == BLOCK / 4 && $count <= most_tiles($set::REGISTERS, $set::LANES) } => {
                any_gemm!(@ $simd, 4, $count, $weights, $limits, $input, $stride, $output)
            })*
            (vectors, tiles) => unreachable!("{vectors} vectors by {tiles} tiles"),
        }
    };
    (@ $simd:ident, $vectors:literal, $count:literal, $weights:expr, $limits:expr, $input:expr, $stride:expr, $output:expr) => {
        $simd.call(Gemm::<$vectors, $count> {
            weights: $weights, limits: $limits, input: $input, stride: $stride, output: $output,
        })
    };
}

/// The tiling of a convolution; `None` if it is faster, or only possible, without. Depends on shapes alone.
pub(crate) fn tiling(conv: &Conv, input: Shape, output: Shape) -> Option<Tiling> {
    let window = conv.window;
    let fits = window.kernel == [3, 3] && window.stride == [1, 1] && input.channels >= MIN_CHANNELS;
    match output.height.min(output.width) {
        _ if !fits => None,
        MIN_SIDE_OF_FOUR.. => Some(Tiling::Four),
        MIN_SIDE.. => Some(Tiling::Two),
        _ => None,
    }
}

impl WinogradStep {
    /// The shape before pooling.
    fn shape(&self) -> Shape {
        let factor = if self.pooling.is_some() { 2 } else { 1 };
        let Shape { channels, height, width } = self.output.shape;
        Shape { channels, height: factor * height, width: factor * width }
    }

    /// Computes channels `from..to` of the output.
    pub(crate) fn run(&self, set: InstructionSet, item: &mut [f32], scratch: &mut Vec<f32>, from: usize, to: usize) {
        let (before, output) = split(item, &self.output);
        let run = Run { step: self, input: &before[self.input.start..], output, from, to };
        match self.packed.tiling {
            Tiling::Two => run.chunks::<Two>(set, scratch),
            Tiling::Four => run.chunks::<Four>(set, scratch),
        }
    }
}

/// Sizes of a run.
#[derive(Clone, Copy)]
struct Chunks {
    /// Tiles across the map, and down.
    across: usize,
    down: usize,
    /// Rows of tiles per chunk.
    rows: usize,
    /// Blocks of input channels.
    blocks: usize,
    /// Pixels from one row of the blocked copy to the next.
    pitch: usize,
    /// Floats of the blocked copy of one block of channels.
    plane: usize,
    /// Floats from one frequency to the next: of the transformed input, and of the products of one block.
    input_stride: usize,
    output_stride: usize,
}

impl Chunks {
    fn new(step: &WinogradStep, outputs: usize, inputs: usize, channels: usize) -> Chunks {
        let Shape { height, width, .. } = step.shape();
        let (across, down) = (width.div_ceil(outputs), height.div_ceil(outputs));
        let rows = (TILES_PER_CHUNK / across).clamp(1, down);
        let (blocks, tiles) = (channels.div_ceil(BLOCK), rows * across);
        let pitch = across * outputs + inputs - outputs;
        let plane = (rows * outputs + inputs - outputs) * pitch * BLOCK;
        let (input_stride, output_stride) = (blocks * tiles * BLOCK + SKEW, tiles * BLOCK + SKEW);
        Chunks { across, down, rows, blocks, pitch, plane, input_stride, output_stride }
    }
}

impl Run<'_, WinogradStep> {
    /// Goes over the map chunk by chunk.
    fn chunks<T: Transform>(self, set: InstructionSet, scratch: &mut Vec<f32>) {
        let Run { step, input, output, from, to } = self;
        let channels = step.packed.inputs(to);
        let chunks = Chunks::new(step, T::OUTPUTS, T::INPUTS, channels);
        let frequencies = T::INPUTS * T::INPUTS;
        // Two blocks of output channels share the broadcasts where a block is one vector.
        let together = if set.lanes() == BLOCK { 2 } else { 1 };
        let products = frequencies * chunks.output_stride;
        let sizes = [
            chunks.blocks * chunks.plane,
            frequencies * chunks.input_stride,
            together * products,
            T::OUTPUTS * chunks.across * T::OUTPUTS * BLOCK,
        ];
        let [blocked, transformed, multiplied, lines] = parts(scratch, sizes);
        for first in (0..chunks.down).step_by(chunks.rows) {
            let rows = chunks.rows.min(chunks.down - first);
            for block in 0..chunks.blocks {
                let blocked = &mut blocked[block * chunks.plane..][..chunks.plane];
                let count = (channels - block * BLOCK).min(BLOCK);
                let planes = &input[block * BLOCK * step.input.plane..];
                let lines = (first * T::OUTPUTS, rows * T::OUTPUTS + T::INPUTS - T::OUTPUTS);
                dispatch(set, CopyBlocked { step, planes, blocked, count, lines, pitch: chunks.pitch });
                dispatch(set, InputTiles::<T> { blocked, transformed, block, rows, chunks, tiling: PhantomData });
            }
            for index in (from / BLOCK..to.div_ceil(BLOCK)).step_by(together) {
                let count = together.min(to.div_ceil(BLOCK) - index);
                let blocks = [index, index + count - 1];
                let limits = blocks.map(|block| step.packed.limit(block, to));
                let tiles = rows * chunks.across;
                dispatch(set, Multiply { step, transformed, multiplied, blocks, limits, tiles, chunks, frequencies });
                for block in index..index + count {
                    let channels = (block * BLOCK).max(from)..((block + 1) * BLOCK).min(to);
                    let products = &multiplied[(block - index) * products..][..products];
                    let (lines, output) = (&mut *lines, &mut *output);
                    let tiling = PhantomData::<T>;
                    dispatch(set, OutputTiles { step, products, lines, output, channels, first, rows, chunks, tiling });
                }
            }
        }
    }
}

/// Parts of these sizes of a scratch that grows as needed.
fn parts(scratch: &mut Vec<f32>, sizes: [usize; 4]) -> [&mut [f32]; 4] {
    let needed = sizes.iter().sum();
    if scratch.len() < needed {
        scratch.resize(needed, 0.0);
    }
    let (a, rest) = scratch.split_at_mut(sizes[0]);
    let (b, rest) = rest.split_at_mut(sizes[1]);
    let (c, rest) = rest.split_at_mut(sizes[2]);
    [a, b, c, &mut rest[..sizes[3]]]
}

/// Copies lines of the first `count` planes to `[lines][pitch][BLOCK]`, with zeros around the map.
struct CopyBlocked<'a> {
    step: &'a WinogradStep,
    planes: &'a [f32],
    blocked: &'a mut [f32],
    count: usize,
    /// The first line, counted from the padding above, and their number.
    lines: (usize, usize),
    pitch: usize,
}

impl Kernel for CopyBlocked<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let CopyBlocked { step, planes, blocked, count, lines: (first, lines), pitch } = self;
        let Shape { height, width, .. } = step.input.shape;
        let [top, left] = step.before;
        for (line, target) in blocked.chunks_exact_mut(pitch * BLOCK).take(lines).enumerate() {
            let y = (first + line).wrapping_sub(top);
            if y >= height {
                target.fill(0.0);
                continue;
            }
            let (before, rest) = target.split_at_mut(left * BLOCK);
            let inside = width.min(pitch - left);
            let (pixels, after) = rest.split_at_mut(inside * BLOCK);
            before.fill(0.0);
            after.fill(0.0);
            for (x, pixels) in pixels.chunks_mut(BLOCK * BLOCK).enumerate() {
                let mut block: Block = [[0.0; BLOCK]; BLOCK];
                for (channel, row) in block.iter_mut().enumerate().take(count) {
                    let line = &planes[step.input.row(channel, y) + x * BLOCK..];
                    copy_some(row, line, pixels.len() / BLOCK);
                }
                simd.transpose(&mut block);
                pixels.copy_from_slice(&block.as_flattened()[..pixels.len()]);
            }
        }
    }
}

/// Copies the first `count` floats, at most a block; common counts without a loop.
#[inline(always)]
fn copy_some(to: &mut [f32], from: &[f32], count: usize) {
    match count {
        BLOCK => to[..BLOCK].copy_from_slice(&from[..BLOCK]),
        8 => to[..8].copy_from_slice(&from[..8]),
        4 => to[..4].copy_from_slice(&from[..4]),
        _ => to[..count].copy_from_slice(&from[..count]),
    }
}

/// Transforms the tiles of one block of input channels.
struct InputTiles<'a, T> {
    blocked: &'a [f32],
    transformed: &'a mut [f32],
    block: usize,
    rows: usize,
    chunks: Chunks,
    tiling: PhantomData<T>,
}

impl<T: Transform> Kernel for InputTiles<'_, T> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let InputTiles { blocked, transformed, block, rows, chunks, .. } = self;
        let of_block = &mut transformed[block * rows * chunks.across * BLOCK..];
        for row in 0..rows {
            for column in 0..chunks.across {
                let corner = (row * T::OUTPUTS * chunks.pitch + column * T::OUTPUTS) * BLOCK;
                let tile = (row * chunks.across + column) * BLOCK;
                for part in (0..BLOCK).step_by(S::LANES) {
                    input_tile::<S, T>(
                        simd,
                        &blocked[corner + part..],
                        chunks.pitch * BLOCK,
                        &mut of_block[tile + part..],
                        chunks.input_stride,
                    );
                }
            }
        }
    }
}

/// Multiplies all frequencies of one or two neighboring blocks of output channels.
struct Multiply<'a> {
    step: &'a WinogradStep,
    transformed: &'a [f32],
    multiplied: &'a mut [f32],
    /// The first block and the last.
    blocks: [usize; 2],
    /// Input channels that they read.
    limits: [usize; 2],
    tiles: usize,
    chunks: Chunks,
    frequencies: usize,
}

impl Kernel for Multiply<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Multiply { step, transformed, multiplied, blocks, limits, tiles, chunks, frequencies } = self;
        let count = blocks[1] + 1 - blocks[0];
        let (one, other) = multiplied.split_at_mut(frequencies * chunks.output_stride);
        for frequency in 0..frequencies {
            let weights = [step.packed.weights(blocks[0], frequency), step.packed.weights(blocks[1], frequency)];
            let input = &transformed[frequency * chunks.input_stride..][..chunks.blocks * tiles * BLOCK];
            let at = frequency * chunks.output_stride;
            let mut tile = 0;
            while tile < tiles {
                let left = tiles - tile;
                let some = left.div_ceil(left.div_ceil(most_tiles(S::REGISTERS, S::LANES)));
                let second = if count == 2 { &mut other[at + tile * BLOCK..] } else { &mut [] };
                let output = [&mut one[at + tile * BLOCK..], second];
                let (input, stride) = (&input[tile * BLOCK..], tiles * BLOCK);
                any_gemm!(simd: S, count, some, weights, limits, input, stride, output, 1 2 3 4 5 6 7 8);
                tile += some;
            }
        }
    }
}

/// Most tiles whose sums stay in registers.
const fn most_tiles(registers: usize, lanes: usize) -> usize {
    // One block, or two where a block is one vector.
    let vectors = if lanes == BLOCK { 2 } else { BLOCK / lanes };
    let mut tiles = MAX_TILES;
    while tiles > 1 && (tiles + 1) * vectors + 1 > registers {
        tiles -= 1;
    }
    tiles
}

/// Transforms the products of one block of output channels back, and writes its `channels`.
struct OutputTiles<'a, T> {
    step: &'a WinogradStep,
    products: &'a [f32],
    /// Scratch: lines of a row of tiles, pixel by pixel.
    lines: &'a mut [f32],
    output: &'a mut [f32],
    channels: Range<usize>,
    /// First row of tiles.
    first: usize,
    rows: usize,
    chunks: Chunks,
    tiling: PhantomData<T>,
}

impl<T: Transform> Kernel for OutputTiles<'_, T> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let OutputTiles { step, products, lines, output, channels, first, rows, chunks, .. } = self;
        let block = channels.start / BLOCK;
        let pooling = match &step.pooling {
            Some(Pooling { clamp, affine: [scale, shift] }) => {
                Some((*clamp, [&scale[block * BLOCK..][..BLOCK], &shift[block * BLOCK..][..BLOCK]]))
            }
            None => None,
        };
        let epilogue = Epilogue { bias: step.packed.bias(block), pooling, clamp: step.clamp };
        // Of a tile after pooling, and of the scratch.
        let side = if pooling.is_some() { T::OUTPUTS / 2 } else { T::OUTPUTS };
        let pitch = chunks.across * side * BLOCK;
        for row in 0..rows {
            for column in 0..chunks.across {
                let (tile, corner) = ((row * chunks.across + column) * BLOCK, column * side * BLOCK);
                for part in (0..BLOCK).step_by(S::LANES) {
                    let products = &products[tile + part..];
                    output_tile::<S, T>(
                        simd,
                        products,
                        chunks.output_stride,
                        epilogue,
                        part,
                        &mut lines[corner + part..],
                        pitch,
                    );
                }
            }
            let top = (first + row) * side;
            let count = side.min(step.output.shape.height - top);
            write_planes(simd, step, &lines[..side * pitch], pitch, output, &channels, top..top + count);
        }
    }
}

/// Writes lines `[pixels][BLOCK]` to some rows of the planes of some channels.
#[inline(always)]
fn write_planes<S: Simd>(
    simd: S,
    step: &WinogradStep,
    lines: &[f32],
    pitch: usize,
    output: &mut [f32],
    channels: &Range<usize>,
    rows: Range<usize>,
) {
    let width = step.output.shape.width;
    for (y, line) in rows.zip(lines.chunks_exact(pitch)) {
        for (x, pixels) in line[..width * BLOCK].chunks(BLOCK * BLOCK).enumerate() {
            let mut block: Block = [[0.0; BLOCK]; BLOCK];
            block.as_flattened_mut()[..pixels.len()].copy_from_slice(pixels);
            simd.transpose(&mut block);
            for channel in channels.clone() {
                let target = &mut output[step.output.row(channel, y) + x * BLOCK..];
                copy_some(target, &block[channel % BLOCK], pixels.len() / BLOCK);
            }
        }
    }
}

#[cfg(test)]
mod tests;
