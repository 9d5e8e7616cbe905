//! Convolutions by Winograd's minimal filtering: between a fourth and four ninths of the multiplications.
//!
//! A run goes over the maps of its items in chunks of tiles. It transforms the tiles (lanes are input channels), multiplies at each
//! frequency (lanes are output channels), and transforms the products back. Each sum is over ascending input channels, whatever the
//! width, the tile or its neighbours: so widening in steps gives the bits of running at once.
#![expect(unsafe_code, reason = "bounds are checked once per frequency, not at each load")]

mod pack;
mod tile;
mod transform;

use std::marker::PhantomData;
use std::ops::Range;

use super::direct::blocks;
use super::{Layer, Taps};
use crate::engine::buffer::{BLOCK, Border, BufferLayout};
use crate::engine::graph::Shape;
use crate::engine::kernel::epilogue::Epilogue;
use crate::engine::kernel::gemm::{Operands, Pair, Product, Single, call_tile, multiply, parts};
use crate::engine::kernel::simd::{InstructionSet, Kernel, Simd, dispatch_lanes, dispatch_pairs};
use crate::engine::kernel::{Context, Step, lanes_of, split};
use crate::engine::precision::Precision;
use pack::PackedWinograd;
use tile::{Target, input_tile, output_tile, write_pooled_tile, write_tile};
use transform::{Four, Transform, Two, TwoOfFive};

pub(crate) use transform::Tiling;

/// A convolution with stride 1, ready to run.
#[derive(Debug)]
pub(crate) struct WinogradStep {
    packed: PackedWinograd,
    tiling: Tiling,
    precision: Precision,
    input: BufferLayout,
    output: BufferLayout,
    epilogue: Epilogue,
    /// The map before pooling.
    map: Shape,
    /// Offset in an item of the first tile.
    corner: usize,
}

/// Most tiles per chunk, unless a row of tiles has more: their transformed input stays in the L2 cache.
const TILES_PER_CHUNK: usize = 16;
/// Tiles that a vector of weights must serve, or it takes longer to arrive from the L3 cache than to be used.
const TILES_PER_WEIGHT: usize = 4;

/// Whether a tiling computes a layer.
pub(super) fn supports(layer: &Layer<'_>, tiling: Tiling) -> bool {
    let window = layer.conv.window;
    let dense = window.stride == [1, 1] && window.dilation == [1, 1];
    dense && window.kernel == [tiling.kernel_side(); 2] && layer.lanes() == BLOCK
}

/// The cost of a layer, in multiply-adds of vectors: products, and instructions of the transforms.
pub(super) fn cost(layer: &Layer<'_>, tiling: Tiling) -> usize {
    let [down, across] = tiling.tiles(layer.output);
    let (tiles, side) = (down * across, tiling.inputs());
    let blocks = layer.input.channels.div_ceil(BLOCK) + layer.output.channels.div_ceil(BLOCK);
    // A load and a store of each element, and about as many operations in both directions.
    let transforms = blocks * tiles * 4 * side * side;
    layer.vectors() * tiling.frequencies() * tiles.max(TILES_PER_WEIGHT) + transforms
}

/// The zeros around the input: padding, and what tiles that overhang the map read.
pub(super) fn border(layer: &Layer<'_>, tiling: Tiling) -> Border {
    let before = layer.conv.window.before;
    let tiles = tiling.tiles(layer.output);
    let after = |axis: usize, len: usize| {
        let end = tiles[axis] * tiling.outputs() + tiling.kernel_side() - 1;
        end.saturating_sub(before[axis] + len)
    };
    Border { before, after: [after(0, layer.input.height), after(1, layer.input.width)] }
}

impl WinogradStep {
    /// Packs a layer.
    pub(super) fn new(
        layer: &Layer<'_>,
        (tiling, precision): (Tiling, Precision),
        input: BufferLayout,
        output: BufferLayout,
        epilogue: Epilogue,
    ) -> WinogradStep {
        let packed = PackedWinograd::new(layer.conv, layer.fan_in(), tiling, precision);
        let corner = Taps::of(&layer.conv.window, &input).corner;
        WinogradStep { packed, tiling, precision, input, output, epilogue, map: layer.output, corner }
    }

    fn chunks<T: Transform, P: Product>(
        &self,
        context: &mut Context<'_>,
        items: &mut [&mut [f32]],
        from: usize,
        to: usize,
    ) {
        let channels = self.packed.inputs(to);
        let tiles = self.tiling.tiles(self.map);
        let sizes = Sizes::new::<P>(tiles, T::INPUTS * T::INPUTS, channels.div_ceil(BLOCK));
        let (transformed, multiplied) =
            context.scratch.tiles.first(sizes.transformed + 2 * sizes.multiplied).split_at_mut(sizes.transformed);
        for items in items.chunks_mut(sizes.items) {
            for first in (0..tiles[0]).step_by(sizes.rows) {
                let rows = first..(first + sizes.rows).min(tiles[0]);
                let chunk = Chunk { sizes, rows, across: tiles[1], step: self, tiling: PhantomData::<(T, P)> };
                chunk.transform(context.set, items, transformed, channels);
                for (index, count) in blocks(context.set, from, to) {
                    let lanes = (to - index * BLOCK).min(count * BLOCK);
                    let limits = [self.packed.limit(index, to), self.packed.limit(index + count - 1, to)];
                    let (tiles, pixels, multiplied) = (chunk.tiles() * items.len(), &*transformed, &mut *multiplied);
                    let (step, sizes) = (self, &sizes);
                    let limits = limits.map(|limit| limit.div_ceil(P::CHANNELS));
                    let product = PhantomData::<P>;
                    let products =
                        Multiply { product, step, sizes, tiles, pixels, multiplied, index, count, lanes, limits };
                    dispatch_product::<P>(context.set, lanes, products);
                    for block in index..index + count {
                        let products = &multiplied[(block - index) * sizes.multiplied..][..sizes.multiplied];
                        chunk.restore(context.set, items, products, block, lanes_of(block, to, BLOCK));
                    }
                }
            }
        }
    }
}

impl Step for WinogradStep {
    fn output(&self) -> &BufferLayout {
        &self.output
    }

    fn run(&self, context: &mut Context<'_>, items: &mut [&mut [f32]], from: usize, to: usize) {
        match (self.tiling, self.precision) {
            (Tiling::Two, Precision::F32) => self.chunks::<Two, Single>(context, items, from, to),
            (Tiling::Two, Precision::Bf16) => self.chunks::<Two, Pair>(context, items, from, to),
            (Tiling::Four, Precision::F32) => self.chunks::<Four, Single>(context, items, from, to),
            (Tiling::Four, Precision::Bf16) => self.chunks::<Four, Pair>(context, items, from, to),
            (Tiling::TwoOfFive, Precision::F32) => self.chunks::<TwoOfFive, Single>(context, items, from, to),
            (Tiling::TwoOfFive, Precision::Bf16) => self.chunks::<TwoOfFive, Pair>(context, items, from, to),
        }
    }

    fn packed_bytes(&self) -> usize {
        self.packed.bytes() + self.epilogue.bytes()
    }
}

/// Sizes of a run's chunks.
#[derive(Clone, Copy)]
struct Sizes {
    /// Rows of tiles, and items, of a chunk; more than one item only with all their rows.
    rows: usize,
    items: usize,
    /// Floats from one tile to the next, for a block of channels: of the transformed input, and of the products. One more than the
    /// frequencies, which are even: tiles at a multiple of many cache lines would share a few sets of the L1 cache.
    input_tile: usize,
    tile: usize,
    /// Floats of the transformed input, and of the products of one block.
    transformed: usize,
    multiplied: usize,
}

impl Sizes {
    fn new<P: Product>([down, across]: [usize; 2], frequencies: usize, blocks: usize) -> Sizes {
        let rows = (TILES_PER_CHUNK / across).clamp(1, down);
        let items = (TILES_PER_CHUNK / (down * across)).max(1);
        let tiles = rows * across * items;
        let tile = (frequencies + 1) * BLOCK;
        let input_tile = tile / P::CHANNELS;
        // Whole cache lines, because the products are after the transformed input.
        let transformed = (blocks * tiles * input_tile).next_multiple_of(BLOCK);
        Sizes { rows, items, input_tile, tile, transformed, multiplied: tiles * tile }
    }
}

/// Runs `kernel` with the best instructions for these products of `lanes` lanes.
fn dispatch_product<P: Product>(set: InstructionSet, lanes: usize, kernel: impl Kernel) {
    if P::CHANNELS == 2 { dispatch_pairs(set, lanes, kernel) } else { dispatch_lanes(set, lanes, kernel) }
}

/// Some rows of tiles of some items.
struct Chunk<'a, T, P> {
    sizes: Sizes,
    /// Rows of tiles of each item.
    rows: Range<usize>,
    /// Tiles per row.
    across: usize,
    step: &'a WinogradStep,
    tiling: PhantomData<(T, P)>,
}

impl<T: Transform, P: Product> Chunk<'_, T, P> {
    /// Tiles of an item.
    #[inline(always)]
    fn tiles(&self) -> usize {
        self.rows.len() * self.across
    }

    /// Transforms the tiles of the first `channels` input channels to `[blocks][tiles][frequencies][BLOCK]`.
    fn transform(&self, set: InstructionSet, items: &[&mut [f32]], transformed: &mut [f32], channels: usize) {
        for block in 0..channels.div_ceil(BLOCK) {
            let lanes = lanes_of(block, channels, BLOCK);
            for (index, item) in items.iter().enumerate() {
                let first = (block * items.len() + index) * self.tiles() * self.sizes.input_tile;
                let target = &mut transformed[first..];
                dispatch_product::<P>(set, lanes, InputTiles { chunk: self, item, target, block, lanes });
            }
        }
    }

    /// Transforms the products of one block of output channels back, and writes its pixels.
    fn restore(&self, set: InstructionSet, items: &mut [&mut [f32]], products: &[f32], block: usize, lanes: usize) {
        for (index, item) in items.iter_mut().enumerate() {
            let products = &products[index * self.tiles() * self.sizes.tile..];
            let (before, output) = split(item, &self.step.output);
            dispatch_lanes(set, lanes, OutputTiles { chunk: self, products, before, output, block, lanes });
        }
    }
}

/// Transforms the tiles of one block of input channels of one item.
struct InputTiles<'a, T, P> {
    chunk: &'a Chunk<'a, T, P>,
    item: &'a [f32],
    /// From this block and item on.
    target: &'a mut [f32],
    block: usize,
    lanes: usize,
}

impl<T: Transform, P: Product> Kernel for InputTiles<'_, T, P> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let InputTiles { chunk, item, target, block, lanes } = self;
        let step = chunk.step;
        let pitch = step.input.pitch;
        let mut tile = 0;
        for row in chunk.rows.clone() {
            for column in 0..chunk.across {
                let corner =
                    step.corner + block * step.input.block + row * T::OUTPUTS * pitch + column * T::OUTPUTS * BLOCK;
                let mut part = 0;
                while part < lanes {
                    let (pixels, target) = (&item[corner + part..], &mut target[tile + part / P::CHANNELS..]);
                    input_tile::<S, T, P>(simd, pixels, pitch, target);
                    part += S::LANES;
                }
                if P::CHANNELS == 2 && lanes % 2 == 1 {
                    clear_second(&mut target[tile + lanes / 2..], T::INPUTS * T::INPUTS);
                }
                tile += chunk.sizes.input_tile;
            }
        }
    }
}

/// Zeros the second channel of a pair at each frequency: it does not exist, may be NaN, and is multiplied with a weight of zero.
#[inline(always)]
fn clear_second(pairs: &mut [f32], frequencies: usize) {
    for pair in pairs.iter_mut().step_by(BLOCK / 2).take(frequencies) {
        *pair = f32::from_bits(pair.to_bits() & 0xffff);
    }
}

/// Multiplies all frequencies of one block of output channels, or of two.
struct Multiply<'a, P> {
    product: PhantomData<P>,
    step: &'a WinogradStep,
    sizes: &'a Sizes,
    tiles: usize,
    /// The transformed input.
    pixels: &'a [f32],
    multiplied: &'a mut [f32],
    /// First block, number of blocks, and lanes in use from there.
    index: usize,
    count: usize,
    lanes: usize,
    /// Input channels that the blocks read.
    limits: [usize; 2],
}

impl<P: Product> Kernel for Multiply<'_, P> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Multiply { product, step, sizes, tiles, pixels, multiplied, index, count, lanes, limits } = self;
        let other = index + count - 1;
        let operands = &Operands {
            weights: [&[]; 2],
            packed: [step.packed.packed(index), step.packed.packed(other)],
            limits,
            input: pixels,
            taps: &[0],
            group: BLOCK / P::CHANNELS,
            group_stride: tiles * sizes.input_tile,
            step: sizes.input_tile,
        };
        let vectors = lanes.div_ceil(S::LANES);
        for (first, pixels, parts) in parts::<S>(tiles, vectors) {
            let multiplied = &mut *multiplied;
            if parts > 0 {
                let weights = (&step.packed, [index, other], step.tiling.frequencies());
                call_tile!(simd: S, vectors, pixels, Products {
                    product: product,
                    operands: operands, weights: weights, sizes: sizes, multiplied: multiplied, first: first, parts: parts,
                });
            }
        }
    }
}

/// The products of some tiles at all frequencies.
struct Products<'a, P, const VECTORS: usize, const PIXELS: usize> {
    product: PhantomData<P>,
    /// Without weights.
    operands: &'a Operands<'a>,
    /// The weights, the blocks of output channels, and the frequencies.
    weights: (&'a PackedWinograd, [usize; 2], usize),
    sizes: &'a Sizes,
    multiplied: &'a mut [f32],
    /// First tile, and the number of parts from there.
    first: usize,
    parts: usize,
}

impl<P: Product, const VECTORS: usize, const PIXELS: usize> Kernel for Products<'_, P, VECTORS, PIXELS> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Products {
            operands, weights: (packed, [one, other], frequencies), sizes, multiplied, first, parts, ..
        } = self;
        for frequency in 0..frequencies {
            let weights = [packed.weights(one, frequency), packed.weights(other, frequency)];
            let input = &operands.input[frequency * BLOCK / P::CHANNELS..];
            let operands = &Operands { weights, input, ..*operands };
            operands.check::<S, VECTORS>(first + parts * PIXELS);
            for part in 0..parts {
                let tile = first + part * PIXELS;
                // SAFETY: checked up to where the last part ends.
                let sums = unsafe { multiply::<S, P, VECTORS, PIXELS>(simd, operands, tile) };
                for (vector, sums) in sums.iter().enumerate() {
                    let (block, part) = (vector * S::LANES / BLOCK, vector * S::LANES % BLOCK);
                    let at = block * sizes.multiplied + tile * sizes.tile + frequency * BLOCK + part;
                    for (pixel, &sum) in sums.iter().enumerate() {
                        simd.write(&mut multiplied[at + pixel * sizes.tile..], sum);
                    }
                }
            }
        }
    }
}

/// Transforms the products of one block of output channels of one item back.
struct OutputTiles<'a, T, P> {
    chunk: &'a Chunk<'a, T, P>,
    /// From this item on.
    products: &'a [f32],
    /// The item before the output.
    before: &'a [f32],
    output: &'a mut [f32],
    block: usize,
    lanes: usize,
}

impl<T: Transform, P: Product> Kernel for OutputTiles<'_, T, P> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let OutputTiles { chunk, products, before, output, block, lanes } = self;
        let WinogradStep { epilogue, output: layout, .. } = chunk.step;
        let side = if epilogue.pooling.is_some() { T::OUTPUTS / 2 } else { T::OUTPUTS };
        let Shape { height, width, .. } = layout.shape;
        let mut part = 0;
        while part < lanes {
            let finish = epilogue.of(simd, block, part);
            let mut tile = part;
            for row in chunk.rows.clone() {
                let y = row * side;
                for column in 0..chunk.across {
                    let x = column * side;
                    let sums = output_tile::<S, T>(simd, &products[tile..]);
                    let pixels = &mut output[layout.row(block, y) - layout.start + x * BLOCK + part..];
                    let target = Target { pixels, pitch: layout.pitch, inside: [height - y, width - x] };
                    match &epilogue.pooling {
                        Some(pooling) => {
                            write_pooled_tile::<S, T>(simd, &sums, &finish, &pooling.of(simd, block, part), target);
                        }
                        None => {
                            let residual = match &epilogue.residual {
                                Some(value) => Some((&before[value.row(block, y) + x * BLOCK + part..], value.pitch)),
                                None => None,
                            };
                            write_tile::<S, T>(simd, &sums, &finish, residual, target);
                        }
                    }
                    tile += chunk.sizes.tile;
                }
            }
            part += S::LANES;
        }
    }
}
