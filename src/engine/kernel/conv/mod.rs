//! Convolutions: several kernels, of which the cheapest that supports a layer computes it.
//!
//! The choice depends on shapes alone, never on a width or a batch, so the bits of an answer do not depend on those either.

pub(crate) mod depthwise;
pub(crate) mod direct;
#[cfg(test)]
mod tests;
pub(crate) mod winograd;

use super::{Epilogue, Step};
use crate::engine::buffer::{BLOCK, Border, BufferLayout, lanes};
use crate::engine::graph::{Conv, Pool, Shape, Window};
use crate::engine::pack::FanIn;
use crate::engine::precision::Precision;
use direct::DirectStep;
use winograd::{Tiling, WinogradStep};

/// A convolution to choose a kernel for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layer<'a> {
    pub(crate) conv: &'a Conv,
    pub(crate) input: Shape,
    /// Whether the channels of the input scale with width.
    pub(crate) sliced: bool,
    /// Shape of the output, before any pooling.
    pub(crate) output: Shape,
}

/// How to compute a convolution that reads many channels for each output channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// One product for each pair of channels, tap and pixel.
    Direct,
    /// Fewer products, between transforms.
    Winograd(Tiling),
}

impl Layer<'_> {
    /// The fan-in of the output channels.
    pub(crate) fn fan_in(&self) -> FanIn {
        FanIn { inputs: self.input.channels, outputs: self.output.channels, triangular: self.sliced }
    }

    /// Channels per block of the input.
    fn lanes(&self) -> usize {
        lanes(self.input.channels, self.sliced)
    }

    /// Multiply-adds of vectors for one pixel and tap: pairs of an input channel and a block of output channels.
    fn vectors(&self) -> usize {
        let fan_in = self.fan_in();
        (0..fan_in.outputs.div_ceil(BLOCK)).map(|index| fan_in.of_block(index, fan_in.outputs)).sum()
    }
}

/// Where the taps of a window are in a value.
#[derive(Debug)]
struct Taps {
    /// Offset in an item of the first pixel's first tap, in the first block of channels.
    corner: usize,
    /// Offsets from there, row by row; the last is the farthest.
    offsets: Vec<usize>,
    /// Floats from one output pixel to the next, and from one output row to the next.
    steps: [usize; 2],
}

impl Taps {
    fn of(window: &Window, input: &BufferLayout) -> Taps {
        let Window { kernel: [rows, columns], stride, dilation, before, .. } = *window;
        let pixel = |row: usize, column: usize| row * input.pitch + column * input.lanes;
        let tap = |row: usize, column: usize| pixel(row * dilation[0], column * dilation[1]);
        let offsets = (0..rows).flat_map(|row| (0..columns).map(move |column| tap(row, column))).collect();
        let steps = [stride[1] * input.lanes, stride[0] * input.pitch];
        Taps { corner: input.row(0, 0) - pixel(before[0], before[1]), offsets, steps }
    }
}

impl Algorithm {
    /// The cheapest that supports a layer, by what each estimates.
    pub(crate) fn of(layer: &Layer<'_>) -> Algorithm {
        let tilings = Tiling::ALL.into_iter().filter(|&tiling| winograd::supports(layer, tiling));
        let costs = tilings.map(|tiling| (winograd::cost(layer, tiling), Algorithm::Winograd(tiling)));
        let all = costs.chain([(direct::cost(layer), Algorithm::Direct)]);
        all.min_by_key(|&(cost, _)| cost).map_or(Algorithm::Direct, |(_, algorithm)| algorithm)
    }

    /// Packed weights of a layer, as `f32`.
    pub(crate) fn weights(self, layer: &Layer<'_>) -> usize {
        let of_pair = match self {
            Algorithm::Direct => layer.conv.window.area(),
            Algorithm::Winograd(tiling) => tiling.frequencies(),
        };
        layer.vectors().saturating_mul(BLOCK * of_pair)
    }

    /// The border of zeros that it needs around its input.
    pub(crate) fn border(self, layer: &Layer<'_>) -> Border {
        match self {
            Algorithm::Direct => Border::of(&layer.conv.window, layer.input, layer.output),
            Algorithm::Winograd(tiling) => winograd::border(layer, tiling),
        }
    }

    /// Whether it can pool its output of this shape.
    pub(crate) fn pools(self, pool: &Pool, output: Shape) -> bool {
        matches!(self, Algorithm::Winograd(tiling) if tiling.pools(pool, output))
    }

    /// Packs a layer. `precision` is that of products, for algorithms that have several.
    pub(crate) fn pack(
        self,
        layer: &Layer<'_>,
        precision: Precision,
        input: BufferLayout,
        output: BufferLayout,
        epilogue: Epilogue,
    ) -> Box<dyn Step> {
        match self {
            Algorithm::Direct => Box::new(DirectStep::new(layer, input, output, epilogue)),
            Algorithm::Winograd(tiling) => {
                Box::new(WinogradStep::new(layer, (tiling, precision), input, output, epilogue))
            }
        }
    }
}
