//! Weights in the order in which the kernels read them, packed once: a width needs a prefix of the blocks of output channels, and each
//! block a prefix of the input channels.
//!
//! The upper triangle is not stored: a block ends at the last input channel that its last row reads.

use super::buffer::BLOCK;
use super::graph::Linear;
use super::memory::Aligned;
use super::triangle::Triangle;

/// The fan-in of each output channel of a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FanIn {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// Whether the fan-in follows the [`Triangle`]. If not, it is all inputs; the first layer reads the whole image.
    pub(crate) triangular: bool,
}

/// A weight matrix in blocks of [`BLOCK`] outputs, each `[features][BLOCK]`.
#[derive(Debug)]
pub(crate) struct PackedLinear {
    /// Features per input channel.
    pub(crate) features_per_channel: usize,
    fan_in: FanIn,
    weights: Aligned,
    starts: Vec<usize>,
    /// `[blocks][BLOCK]`
    pub(crate) bias: Vec<f32>,
}

impl FanIn {
    /// Number of input channels that output channel `row` reads.
    pub(crate) fn of(&self, row: usize) -> usize {
        if self.triangular { Triangle::new(self.inputs, self.outputs).fan_in(row) } else { self.inputs }
    }

    /// Number of input channels that block `index` of [`BLOCK`] output channels reads for its channels before `to`.
    pub(crate) fn of_block(&self, index: usize, to: usize) -> usize {
        self.of(((index + 1) * BLOCK).min(to) - 1)
    }

    /// Number of connected pairs of an input channel and one of the first `active` output channels.
    pub(crate) fn pairs(&self, active: usize) -> usize {
        (0..active).map(|row| self.of(row)).sum()
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
            for k in 0..fan_in.of_block(first / BLOCK, fan_in.outputs) * features_per_channel {
                let of_row = |row: usize| linear.weights.get(row * features + k).copied().unwrap_or(0.0);
                weights.extend((first..first + BLOCK).map(of_row));
            }
        }
        let mut bias = linear.bias.clone();
        bias.resize(starts.len() * BLOCK, 0.0);
        PackedLinear { features_per_channel, fan_in, weights: Aligned::from(weights), starts, bias }
    }

    /// Number of features that block `index` reads for its rows before `to`.
    pub(crate) fn features(&self, index: usize, to: usize) -> usize {
        self.fan_in.of_block(index, to) * self.features_per_channel
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
