//! The transformed weights of a Winograd convolution, in blocks of output channels.

use super::transform::Tiling;
use crate::engine::buffer::BLOCK;
use crate::engine::graph::Conv;
use crate::engine::kernel::simd::pair_of;
use crate::engine::memory::Aligned;
use crate::engine::pack::FanIn;
use crate::engine::precision::Precision;

/// Blocks of [`BLOCK`] output channels, each `[frequencies][input channels][BLOCK]` up to the last input channel that the block's
/// last channel reads. Above the triangle within a block there are zeros. As bfloat16, two input channels share the memory of a float.
#[derive(Debug)]
pub(super) struct PackedWinograd {
    fan_in: FanIn,
    weights: Aligned,
    /// Offset of each block, and its input channels or pairs of them.
    starts: Vec<(usize, usize)>,
}

impl PackedWinograd {
    /// Transforms the weights of a convolution, in double precision.
    pub(super) fn new(conv: &Conv, fan_in: FanIn, tiling: Tiling, precision: Precision) -> PackedWinograd {
        let (mut weights, mut starts) = (Vec::new(), Vec::new());
        for first in (0..fan_in.outputs).step_by(BLOCK) {
            let (block, inputs) = transformed(conv, fan_in, tiling, first);
            let rows = block.chunks_exact(inputs * BLOCK);
            match precision {
                Precision::F32 => {
                    starts.push((weights.len(), inputs));
                    weights.extend(block);
                }
                Precision::Bf16 => {
                    starts.push((weights.len(), inputs.div_ceil(2)));
                    weights.extend(rows.flat_map(pairs));
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
        self.fan_in.of_block(index, to)
    }

    /// Input channels, or pairs of them, that block `index` was packed with.
    #[inline(always)]
    pub(super) fn packed(&self, index: usize) -> usize {
        self.starts[index].1
    }

    /// The weights of block `index` at a frequency, `[input channels or pairs][BLOCK]`.
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

/// A block of output channels, `[frequencies][input channels][BLOCK]`, and its input channels.
fn transformed(conv: &Conv, fan_in: FanIn, tiling: Tiling, first: usize) -> (Vec<f32>, usize) {
    let (area, lines) = (conv.window.area(), tiling.lines());
    let rows = first..(first + BLOCK).min(fan_in.outputs);
    let inputs = fan_in.of_block(first / BLOCK, fan_in.outputs);
    let mut block = vec![0.0; tiling.frequencies() * inputs * BLOCK];
    for row in rows.clone() {
        for input in 0..fan_in.of(row) {
            let taps = &conv.weights[(row * fan_in.inputs + input) * area..][..area];
            for (frequency, weight) in tiling.kernel(&lines, taps).into_iter().enumerate() {
                block[(frequency * inputs + input) * BLOCK + row - first] = weight as f32;
            }
        }
    }
    (block, inputs)
}

/// Weights of one frequency, `[input channels][BLOCK]`, as pairs of bfloat16. The channel after the last is zero.
fn pairs(weights: &[f32]) -> Vec<f32> {
    let pair = |two: &[f32]| {
        let (low, high) = two.split_at(BLOCK);
        (0..BLOCK).map(|row| pair_of([low[row], high.get(row).copied().unwrap_or(0.0)])).collect::<Vec<f32>>()
    };
    weights.chunks(2 * BLOCK).flat_map(pair).collect()
}
