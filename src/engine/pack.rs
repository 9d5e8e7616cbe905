//! Weights in the order in which the kernels read them, packed once: a width needs a prefix of the panels, and each
//! panel a prefix of the input channels.
//!
//! The upper triangle is not stored: a panel ends at the last input channel that its last row reads.

use std::ops::Range;

use super::graph::{Conv, Linear};
use super::triangle::Triangle;

/// The fan-in of each output channel of a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FanIn {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// Whether the fan-in follows the [`Triangle`]. If not, it is all inputs; the first layer reads the whole image.
    pub(crate) triangular: bool,
}

/// The weights of a convolution, in panels of a few output channels.
#[derive(Debug)]
pub(crate) struct PackedConv {
    /// Output channels per panel, at most [`MAX_ROWS`].
    pub(crate) rows: usize,
    fan_in: FanIn,
    /// Panel after panel, each `[input channels][taps][rows]`.
    weights: Vec<f32>,
    /// Offset of each panel.
    starts: Vec<usize>,
    /// `[output channels]`
    bias: Vec<f32>,
}

/// A weight matrix in blocks of [`BLOCK`] outputs, each `[features][BLOCK]`.
#[derive(Debug)]
pub(crate) struct PackedLinear {
    /// Features per input channel.
    pub(crate) features_per_channel: usize,
    fan_in: FanIn,
    weights: Vec<f32>,
    starts: Vec<usize>,
    /// `[blocks][BLOCK]`
    pub(crate) bias: Vec<f32>,
}

/// Outputs per block of a linear layer.
pub(crate) const BLOCK: usize = 16;

impl FanIn {
    /// Number of input channels that output channel `row` reads.
    pub(crate) fn of(&self, row: usize) -> usize {
        if self.triangular { Triangle::new(self.inputs, self.outputs).fan_in(row) } else { self.inputs }
    }

    /// Number of connected pairs of an input channel and one of the first `active` output channels.
    pub(crate) fn pairs(&self, active: usize) -> usize {
        (0..active).map(|row| self.of(row)).sum()
    }
}

impl PackedConv {
    /// Packs a convolution into panels of `rows` rows.
    pub(crate) fn new(conv: &Conv, fan_in: FanIn, rows: usize) -> PackedConv {
        let taps = conv.window.area();
        let (mut weights, mut starts) = (vec![], vec![]);
        for first in (0..fan_in.outputs).step_by(rows) {
            starts.push(weights.len());
            let last = (first + rows).min(fan_in.outputs) - 1;
            for k in 0..fan_in.of(last) * taps {
                let of_row = |row: usize| conv.weights.get(row * fan_in.inputs * taps + k).copied().unwrap_or(0.0);
                weights.extend((first..first + rows).map(of_row));
            }
        }
        let bias = conv.bias.clone();
        PackedConv { rows, fan_in, weights, starts, bias }
    }

    /// Indices of the panels that contain any of the rows `from..to`.
    pub(crate) fn covering(&self, from: usize, to: usize) -> Range<usize> {
        from / self.rows..to.div_ceil(self.rows)
    }

    /// The rows of panel `index` within `from..to`.
    pub(crate) fn rows_of(&self, index: usize, from: usize, to: usize) -> Range<usize> {
        let first = index * self.rows;
        first.max(from)..(first + self.rows).min(to)
    }

    /// Number of input channels that row `row` reads.
    pub(crate) fn channels(&self, row: usize) -> usize {
        self.fan_in.of(row)
    }

    /// The weights of panel `index` from row `row` of the layer. The stride between input channels is `rows * taps`.
    pub(crate) fn weights_from(&self, index: usize, row: usize) -> &[f32] {
        &self.weights[self.starts[index] + row % self.rows..]
    }

    /// The biases of some rows.
    pub(crate) fn bias(&self, rows: Range<usize>) -> &[f32] {
        &self.bias[rows]
    }

    /// Bytes of the packed weights and biases.
    pub(crate) fn bytes(&self) -> usize {
        (self.weights.len() + self.bias.len()) * size_of::<f32>()
    }
}

impl PackedLinear {
    /// Packs a linear layer.
    pub(crate) fn new(linear: &Linear, fan_in: FanIn) -> PackedLinear {
        let features = linear.weights.len() / fan_in.outputs;
        let features_per_channel = features / fan_in.inputs;
        let (mut weights, mut starts) = (vec![], vec![]);
        for first in (0..fan_in.outputs).step_by(BLOCK) {
            starts.push(weights.len());
            let last = (first + BLOCK).min(fan_in.outputs) - 1;
            for k in 0..fan_in.of(last) * features_per_channel {
                let of_row = |row: usize| linear.weights.get(row * features + k).copied().unwrap_or(0.0);
                weights.extend((first..first + BLOCK).map(of_row));
            }
        }
        let mut bias = linear.bias.clone();
        bias.resize(starts.len() * BLOCK, 0.0);
        PackedLinear { features_per_channel, fan_in, weights, starts, bias }
    }

    /// Number of features that the first `end` rows of block `index` read.
    pub(crate) fn features(&self, index: usize, end: usize) -> usize {
        self.fan_in.of(index * BLOCK + end - 1) * self.features_per_channel
    }

    /// The weights of block `index` for features `from..to`.
    pub(crate) fn weights(&self, index: usize, from: usize, to: usize) -> &[f32] {
        &self.weights[self.starts[index]..][from * BLOCK..to * BLOCK]
    }

    /// Bytes of the packed weights and biases.
    pub(crate) fn bytes(&self) -> usize {
        (self.weights.len() + self.bias.len()) * size_of::<f32>()
    }
}

/// Maximum rows per panel.
pub(crate) const MAX_ROWS: usize = 8;

/// The panel height for maps of `pixels` pixels and vectors of `lanes` lanes. If one vector covers the map, only taller
/// panels keep the multipliers busy.
pub(crate) fn panel_rows_for(outputs: usize, pixels: usize, lanes: usize) -> usize {
    if pixels <= lanes { MAX_ROWS } else { panel_rows(outputs) }
}

/// The panel height that leaves the fewest empty rows in the last panel; the tallest on a tie.
pub(crate) fn panel_rows(outputs: usize) -> usize {
    let empty = |rows: usize| outputs.div_ceil(rows) * rows - outputs;
    [6, 5, 4].into_iter().min_by_key(|&rows| empty(rows)).unwrap_or(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panel_heights_minimise_empty_rows() {
        assert_eq!([45, 64, 90, 23, 6, 1].map(panel_rows), [5, 4, 6, 6, 6, 4]);
    }

    #[test]
    fn panels_are_tall_if_one_vector_covers_the_map() {
        assert_eq!([16, 17].map(|pixels| panel_rows_for(90, pixels, 16)), [8, 6]);
    }
}
