//! Direct convolution over packed panels, without im2col.
//!
//! Rows are computed with the row stride of the input plane, so a whole plane is one long pixel axis. The positions
//! between two rows are wasted columns; they fall into the output's border.

use std::ops::Range;

use super::simd::{InstructionSet, Kernel, Simd, dispatch};
use super::tile::{Panel, Tile, held};
use super::{Run, split};
use crate::engine::buffer::BufferLayout;
use crate::engine::graph::Clamp;
use crate::engine::pack::{MAX_ROWS, PackedConv};

/// A convolution, ready to run.
#[derive(Debug)]
pub(crate) struct ConvStep {
    pub(crate) filters: Filters,
    pub(crate) geometry: Geometry,
    pub(crate) output: BufferLayout,
    pub(crate) clamp: Clamp,
}

/// The weights of a convolution.
#[derive(Debug)]
pub(crate) enum Filters {
    /// Dense or triangular: each output channel reads many input channels.
    Packed(PackedConv),
    /// One filter per channel: `[channels][taps]` and `[channels]`.
    Depthwise { weights: Vec<f32>, bias: Vec<f32> },
}

/// The input addresses of a convolution.
#[derive(Debug)]
pub(crate) struct Geometry {
    /// Offset of the first pixel's top left tap in the item's memory.
    pub(crate) start: usize,
    /// Floats from one input channel to the next.
    pub(crate) plane: usize,
    /// Offsets of the taps relative to the top left one.
    pub(crate) taps: Vec<usize>,
    /// Length of the pixel axis, including wasted columns.
    pub(crate) pixels: usize,
}

/// Maximum vectors per tile.
const MAX_VECTORS: usize = 4;
/// Input bytes that all panels process before the next strip: fits the L2 cache.
const STRIP_BYTES: usize = 384 << 10;

/// Runs the tile with the given number of rows and vectors.
///
/// Each tile is a separate function; compiling all of them into one takes minutes. Combinations that exceed the
/// instruction set's registers or the caller's maximum generate no code, because both limits are constants.
macro_rules! any_tile {
    ($simd:ident: $set:ident, $most:expr, $panel:expr, $input:expr, $output:expr, $pixels:expr, $($rows:literal)*) => {
        any_tile!(@ $simd: $set, $most, $panel, $input, $output, $pixels, $(($rows, 1) ($rows, 2) ($rows, 3) ($rows, 4))*)
    };
    (@ $simd:ident: $set:ident, $most:expr, $panel:expr, $input:expr, $output:expr, $pixels:expr,
        $(($rows:literal, $vectors:literal))*) => {
        match ($panel.bias.len(), $pixels.div_ceil($set::LANES)) {
            $(($rows, $vectors) if const { $vectors <= $most && $vectors <= most_vectors($set::REGISTERS, $rows) } => {
                $simd.call(Tile::<$rows, $vectors> { panel: $panel, input: $input, output: $output, pixels: $pixels })
            })*
            (rows, vectors) => unreachable!("a tile of {rows} rows and {vectors} vectors"),
        }
    };
}

impl ConvStep {
    /// Computes channels `from..to` of the output.
    pub(crate) fn run(&self, set: InstructionSet, item: &mut [f32], from: usize, to: usize) {
        let (before, output) = split(item, &self.output);
        let input = &before[self.geometry.start..];
        dispatch(set, Run { step: self, input, output: &mut *output, from, to });
        if self.output.border {
            self.output.clear_border(output, from, to);
        }
    }

    /// Some rows of panel `index`, and the offset of their output.
    #[inline(always)]
    fn panel<'a>(&'a self, packed: &'a PackedConv, index: usize, rows: Range<usize>) -> (Panel<'a>, usize) {
        let panel = Panel {
            weights: packed.weights_from(index, rows.start),
            stride: packed.rows,
            bias: packed.bias(rows.clone()),
            channels: packed.channels(rows.end - 1),
            taps: &self.geometry.taps,
            input_plane: self.geometry.plane,
            output_plane: self.output.plane,
            clamp: self.clamp,
        };
        (panel, self.output.row(rows.start, 0))
    }
}

impl Kernel for Run<'_, ConvStep> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match &self.step.filters {
            Filters::Packed(packed) => self.panels(simd, packed),
            Filters::Depthwise { weights, bias } => self.depthwise(simd, weights, bias),
        }
    }
}

impl Run<'_, ConvStep> {
    #[inline(always)]
    fn panels<S: Simd>(self, simd: S, packed: &PackedConv) {
        let Run { step, input, output, from, to } = self;
        let pixels = step.geometry.pixels;
        let tallest = most_rows(S::REGISTERS);
        let most = S::LANES * most_vectors(S::REGISTERS, packed.rows.min(tallest));
        let strip = STRIP_BYTES / size_of::<f32>() / packed.channels(to - 1) / most * most;
        // No closures here: their bodies are compiled without the instruction set of the function that this is inlined
        // into.
        for (first, len) in Tiles::new(pixels, most, strip.max(most)) {
            for index in packed.covering(from, to) {
                let rows = packed.rows_of(index, from, to);
                for (above, count) in Tiles::new(rows.len(), 1, tallest) {
                    let above = rows.start + above;
                    let (panel, row) = step.panel(packed, index, above..above + count);
                    for (start, pixels) in Tiles::new(len, S::LANES, most) {
                        let start = first + start;
                        let (input, output) = (&input[start..], &mut output[row + start..]);
                        any_tile!(simd: S, most_vectors(S::REGISTERS, 4), &panel, input, output, pixels, 1 2 3 4 5 6 7 8);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn depthwise<S: Simd>(self, simd: S, weights: &[f32], bias: &[f32]) {
        let Run { step, input, output, from, to } = self;
        let geometry = &step.geometry;
        let taps = geometry.taps.len();
        for channel in from..to {
            let panel = Panel {
                weights: &weights[channel * taps..][..taps],
                stride: 1,
                bias: &bias[channel..=channel],
                channels: 1,
                taps: &geometry.taps,
                input_plane: geometry.plane,
                output_plane: step.output.plane,
                clamp: step.clamp,
            };
            let input = &input[channel * geometry.plane..];
            let output = &mut output[step.output.row(channel, 0)..];
            for (start, pixels) in Tiles::new(geometry.pixels, S::LANES, most_vectors(S::REGISTERS, 1) * S::LANES) {
                any_tile!(simd: S, MAX_VECTORS, &panel, &input[start..], &mut output[start..], pixels, 1);
            }
        }
    }
}

/// An iterator over a pixel axis, cut into tiles of nearly equal vector counts. It yields the start and length of each.
struct Tiles {
    start: usize,
    pixels: usize,
    lanes: usize,
    most: usize,
}

impl Tiles {
    /// Tiles of at most `most` pixels. All but the last consist of whole vectors.
    #[inline(always)]
    fn new(pixels: usize, lanes: usize, most: usize) -> Tiles {
        Tiles { start: 0, pixels, lanes, most }
    }
}

impl Iterator for Tiles {
    type Item = (usize, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, usize)> {
        let left = self.pixels - self.start;
        if left == 0 {
            return None;
        }
        let vectors = left.div_ceil(self.lanes).div_ceil(left.div_ceil(self.most));
        let (start, len) = (self.start, (vectors * self.lanes).min(left));
        self.start += len;
        Some((start, len))
    }
}

/// Maximum vectors of a tile of `rows` rows without register spills; 0 if not even one vector fits.
const fn most_vectors(registers: usize, rows: usize) -> usize {
    let mut vectors = MAX_VECTORS;
    while vectors > 0 && held(rows, vectors) > registers {
        vectors -= 1;
    }
    vectors
}

/// Maximum rows of a one-vector tile without register spills.
const fn most_rows(registers: usize) -> usize {
    let mut rows = MAX_ROWS;
    while held(rows, 1) > registers {
        rows -= 1;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Register counts of AVX-512 and NEON, AVX2, and the portable kernel.
    const REGISTERS: [usize; 3] = [32, 15, 8];

    #[test]
    fn the_vectors_of_every_tile_fit_the_registers() {
        for registers in REGISTERS {
            for rows in 1..=most_rows(registers) {
                let vectors = most_vectors(registers, rows);
                assert!((1..=MAX_VECTORS).contains(&vectors) && held(rows, vectors) <= registers, "{rows}x{vectors}");
                assert!(vectors == MAX_VECTORS || held(rows, vectors + 1) > registers, "{rows}x{vectors}");
            }
        }
        assert_eq!(REGISTERS.map(most_rows), [8, 8, 6]);
        assert_eq!([4, 5, 6, 8].map(|rows| most_vectors(15, rows)), [2, 2, 2, 1]);
    }

    #[test]
    fn fewer_rows_never_allow_fewer_vectors() {
        for registers in REGISTERS {
            let most: Vec<_> = (1..=most_rows(registers)).map(|rows| most_vectors(registers, rows)).collect();
            assert!(most.is_sorted_by(|few, many| few >= many), "{most:?}");
        }
    }
}
