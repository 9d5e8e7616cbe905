//! The transformed weights of a Winograd convolution, in blocks of output channels.

use super::transform::Tiling;
use crate::engine::buffer::BLOCK;
use crate::engine::graph::Conv;
use crate::engine::memory::Aligned;
use crate::engine::pack::FanIn;

/// Blocks of [`BLOCK`] output channels, each `[frequencies][input channels][BLOCK]` up to the last input channel that the block's
/// last channel reads. Above the triangle within a block there are zeros.
#[derive(Debug)]
pub(super) struct PackedWinograd {
    fan_in: FanIn,
    weights: Aligned,
    /// Offset of each block, and its input channels.
    starts: Vec<(usize, usize)>,
}

impl PackedWinograd {
    /// Transforms the weights of a convolution, in double precision.
    pub(super) fn new(conv: &Conv, fan_in: FanIn, tiling: Tiling) -> PackedWinograd {
        let (mut weights, mut starts) = (Vec::new(), Vec::new());
        let area = conv.window.area();
        for first in (0..fan_in.outputs).step_by(BLOCK) {
            let start = weights.len();
            let rows = first..(first + BLOCK).min(fan_in.outputs);
            let inputs = fan_in.of(rows.end - 1);
            starts.push((start, inputs));
            weights.resize(start + tiling.frequencies() * inputs * BLOCK, 0.0);
            for row in rows.clone() {
                for input in 0..fan_in.of(row) {
                    let taps = &conv.weights[(row * fan_in.inputs + input) * area..][..area];
                    for (frequency, weight) in tiling.kernel(taps).into_iter().enumerate() {
                        weights[start + (frequency * inputs + input) * BLOCK + row - first] = weight as f32;
                    }
                }
            }
        }
        PackedWinograd { fan_in, weights: Aligned::from(weights), starts }
    }

    /// Input channels that the rows before `to` read.
    pub(super) fn inputs(&self, to: usize) -> usize {
        self.fan_in.of(to - 1)
    }

    /// Input channels that block `index` reads for its rows before `to`.
    pub(super) fn limit(&self, index: usize, to: usize) -> usize {
        self.fan_in.of(((index + 1) * BLOCK).min(to) - 1)
    }

    /// Input channels that block `index` was packed with.
    #[inline(always)]
    pub(super) fn packed(&self, index: usize) -> usize {
        self.starts[index].1
    }

    /// The weights of block `index` at a frequency, `[input channels][BLOCK]`.
    #[inline(always)]
    pub(super) fn weights(&self, index: usize, frequency: usize) -> &[f32] {
        let (start, inputs) = self.starts[index];
        &self.weights[start + frequency * inputs * BLOCK..][..inputs * BLOCK]
    }

    /// Bytes of the transformed weights.
    pub(super) fn bytes(&self) -> usize {
        self.weights.len() * size_of::<f32>()
    }
}
