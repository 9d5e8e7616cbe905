//! The transformed weights of a Winograd convolution, in blocks of output channels.

use super::transform::Tiling;
use crate::engine::graph::Conv;
use crate::engine::pack::{BLOCK, FanIn};

/// Blocks of [`BLOCK`] output channels, each `[frequencies][input channels][BLOCK]` up to the last input channel that the block's
/// last channel reads. Above the triangle within a block there are zeros.
#[derive(Debug)]
pub(crate) struct PackedWinograd {
    pub(super) tiling: Tiling,
    fan_in: FanIn,
    weights: Vec<f32>,
    /// Offset of each block, and its input channels.
    starts: Vec<(usize, usize)>,
    /// `[blocks][BLOCK]`
    bias: Vec<f32>,
}

impl PackedWinograd {
    /// Transforms the weights of a 3x3 convolution.
    pub(crate) fn new(conv: &Conv, fan_in: FanIn, tiling: Tiling) -> PackedWinograd {
        let (mut weights, mut starts) = (Vec::new(), Vec::new());
        for first in (0..fan_in.outputs).step_by(BLOCK) {
            let start = weights.len();
            let rows = first..(first + BLOCK).min(fan_in.outputs);
            let inputs = fan_in.of(rows.end - 1);
            starts.push((start, inputs));
            weights.resize(start + tiling.frequencies() * inputs * BLOCK, 0.0);
            for row in rows.clone() {
                for input in 0..fan_in.of(row) {
                    let taps = &conv.weights[(row * fan_in.inputs + input) * 9..][..9];
                    for (frequency, weight) in tiling.kernel(taps).into_iter().enumerate() {
                        weights[start + (frequency * inputs + input) * BLOCK + row - first] = weight as f32;
                    }
                }
            }
        }
        let mut bias = conv.bias.clone();
        bias.resize(starts.len() * BLOCK, 0.0);
        PackedWinograd { tiling, fan_in, weights, starts, bias }
    }

    /// Input channels that the rows before `to` read.
    pub(super) fn inputs(&self, to: usize) -> usize {
        self.fan_in.of(to - 1)
    }

    /// Input channels that block `index` reads for its rows before `to`.
    pub(super) fn limit(&self, index: usize, to: usize) -> usize {
        self.fan_in.of(((index + 1) * BLOCK).min(to) - 1)
    }

    /// The weights of block `index` at a frequency, `[input channels][BLOCK]`.
    #[inline(always)]
    pub(super) fn weights(&self, index: usize, frequency: usize) -> &[f32] {
        let (start, inputs) = self.starts[index];
        &self.weights[start + frequency * inputs * BLOCK..][..inputs * BLOCK]
    }

    /// The biases of block `index`.
    #[inline(always)]
    pub(super) fn bias(&self, index: usize) -> &[f32] {
        &self.bias[index * BLOCK..][..BLOCK]
    }

    /// Bytes of the transformed weights and biases.
    pub(crate) fn bytes(&self) -> usize {
        (self.weights.len() + self.bias.len()) * size_of::<f32>()
    }
}
