//! Compiles layers into steps: fusion, memory layout, and how each convolution reads its input.
//!
//! Planning happens once at load, for full width. A narrower width runs a prefix of each step's channels.

mod fuse;
mod layout;

use super::buffer::BufferLayout;
use super::graph::{Conv, Graph, Linear, Op, Pool, Shape};
use super::kernel::conv::{ConvStep, Filters, Geometry};
use super::kernel::elementwise::ElementwiseStep;
use super::kernel::linear::LinearStep;
use super::kernel::pool::PoolStep;
use super::kernel::repack::RepackStep;
use super::kernel::simd::InstructionSet;
use super::kernel::winograd::{PackedWinograd, Pooling, WinogradStep};
use super::pack::{FanIn, PackedConv, PackedLinear, panel_rows_for};
use fuse::{Fused, fuse};
use layout::{ItemLayout, Source};

/// An executable network.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) head: HeadStep,
    /// Buffer of the image.
    pub(crate) image: BufferLayout,
    /// Floats of memory per item.
    pub(crate) item_len: usize,
}

/// A step computes channels of one value from earlier values.
#[derive(Debug)]
pub(crate) enum Step {
    Conv(ConvStep),
    Winograd(WinogradStep),
    Linear(LinearStep),
    Repack(RepackStep),
    Pool(PoolStep),
    Elementwise(ElementwiseStep),
}

/// Memory for what steps compute in between.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The contiguous pixels of a value.
    pub(crate) features: Vec<f32>,
    /// Transformed tiles of a convolution.
    tiles: Vec<f32>,
}

/// The last linear layer.
#[derive(Debug)]
pub(crate) struct HeadStep {
    pub(crate) packed: PackedLinear,
    pub(crate) input: BufferLayout,
    pub(crate) classes: usize,
}

impl Plan {
    /// Plans a network and packs its weights.
    pub(crate) fn new(graph: &Graph) -> Plan {
        let (layers, layer_of) = fuse(graph);
        let layout = ItemLayout::new(&layers);
        let mut steps = vec![];
        for (index, layer) in layers.iter().enumerate() {
            if let Some(repack) = &layout.repacks[index] {
                steps.push(Step::Repack(RepackStep {
                    input: layout.buffers[layer.inputs[0]],
                    output: repack.buffer,
                    plane: repack.plane,
                }));
            }
            steps.extend(step(&layers, index, &layout));
        }
        let input = layout.buffers[layer_of[graph.head.source]];
        let classes = graph.head.linear.bias.len();
        let fan_in = FanIn { inputs: input.shape.channels, outputs: classes, triangular: false };
        let head = HeadStep { packed: PackedLinear::new(&graph.head.linear, fan_in), input, classes };
        Plan { steps, head, image: layout.buffers[0], item_len: layout.item_len }
    }

    /// Bytes of all packed weights, the one copy that serves every width.
    pub(crate) fn packed_bytes(&self) -> usize {
        self.steps.iter().map(Step::packed_bytes).sum::<usize>() + self.head.packed.bytes()
    }
}

impl Step {
    /// Buffer of the step's value.
    pub(crate) fn output(&self) -> &BufferLayout {
        match self {
            Step::Conv(step) => &step.output,
            Step::Winograd(step) => &step.output,
            Step::Linear(step) => &step.output,
            Step::Repack(step) => &step.output,
            Step::Pool(step) => &step.output,
            Step::Elementwise(step) => &step.output,
        }
    }

    /// Computes channels `from..to` of the step's value.
    pub(crate) fn run(&self, set: InstructionSet, item: &mut [f32], scratch: &mut Scratch, from: usize, to: usize) {
        match self {
            Step::Conv(step) => step.run(set, item, from, to),
            Step::Winograd(step) => step.run(set, item, &mut scratch.tiles, from, to),
            Step::Linear(step) => step.run(set, item, &mut scratch.features, from, to),
            Step::Repack(step) => step.run(item, from, to),
            Step::Pool(step) => step.run(set, item, from, to),
            Step::Elementwise(step) => step.run(set, item, from, to),
        }
    }

    fn packed_bytes(&self) -> usize {
        match self {
            Step::Conv(ConvStep { filters: Filters::Packed(packed), .. }) => packed.bytes(),
            Step::Conv(ConvStep { filters: Filters::Depthwise { weights, bias }, .. }) => {
                (weights.len() + bias.len()) * size_of::<f32>()
            }
            Step::Winograd(step) => step.packed.bytes(),
            Step::Linear(step) => step.packed.bytes(),
            Step::Repack(_) | Step::Pool(_) | Step::Elementwise(_) => 0,
        }
    }
}

/// The step of a layer; `None` for the image.
fn step(layers: &[Fused<'_>], index: usize, layout: &ItemLayout) -> Option<Step> {
    let (layer, output) = (&layers[index], layout.buffers[index]);
    let input = |at: usize| layout.buffers[layer.inputs[at]];
    let (affine, clamp) = (layer.affine.cloned(), layer.clamp);
    if let (Op::Conv(conv), Some(tiling)) = (layer.op, layer.tiling(layers)) {
        let packed = PackedWinograd::new(conv, fan_in(&input(0), output.shape), tiling);
        let pooling = layer.before_pooling.map(|clamp| Pooling::new(clamp, layer.affine, output.shape.channels));
        let before = conv.window.before;
        return Some(Step::Winograd(WinogradStep { packed, input: input(0), output, before, pooling, clamp }));
    }
    Some(match layer.op {
        Op::Input => return None,
        Op::Conv(conv) | Op::Depthwise(conv) => {
            let geometry = geometry(conv, layout.source(index, layer), &output);
            let filters = match layer.op {
                Op::Conv(_) => {
                    let lanes = InstructionSet::best().lanes();
                    let rows = panel_rows_for(output.shape.channels, geometry.pixels, lanes);
                    Filters::Packed(PackedConv::new(conv, fan_in(&input(0), output.shape), rows))
                }
                _ => Filters::Depthwise { weights: conv.weights.clone(), bias: conv.bias.clone() },
            };
            Step::Conv(ConvStep { filters, geometry, output, clamp })
        }
        Op::Linear(linear) => Step::Linear(linear_step(linear, input(0), output, layer)),
        &Op::Pool(pool) => Step::Pool(pool_step(pool, input(0), output, layer)),
        Op::Affine(_) | Op::Clamp(_) | Op::Add => {
            let b = layer.inputs.get(1).map(|&at| layout.buffers[at]);
            Step::Elementwise(ElementwiseStep { a: input(0), b, output, affine, clamp })
        }
    })
}

fn linear_step(linear: &Linear, input: BufferLayout, output: BufferLayout, layer: &Fused<'_>) -> LinearStep {
    LinearStep { packed: PackedLinear::new(linear, fan_in(&input, output.shape)), input, output, clamp: layer.clamp }
}

fn pool_step(pool: Pool, input: BufferLayout, output: BufferLayout, layer: &Fused<'_>) -> PoolStep {
    PoolStep { pool, input, output, affine: layer.affine.cloned(), clamp: layer.clamp }
}

fn fan_in(input: &BufferLayout, output: Shape) -> FanIn {
    FanIn { inputs: input.shape.channels, outputs: output.channels, triangular: input.sliced }
}

/// The addresses of a convolution's taps in its source, and the length of its pixel axis.
fn geometry(conv: &Conv, source: Source<'_>, output: &BufferLayout) -> Geometry {
    let [kernel_rows, kernel_columns] = conv.window.kernel;
    let positions = (0..kernel_rows).flat_map(|ky| (0..kernel_columns).map(move |kx| (ky, kx)));
    let Shape { height, width, .. } = output.shape;
    let pixels = (height - 1) * output.pitch + width;
    match source {
        Source::Direct(buffer) => {
            let corner = buffer.origin - conv.window.before[0] * buffer.pitch - conv.window.before[1];
            let taps = positions.map(|(ky, kx)| ky * buffer.pitch + kx).collect();
            Geometry { start: buffer.start + corner, plane: buffer.plane, taps, pixels }
        }
        Source::Repacked(repack) => {
            let taps = positions.map(|(ky, kx)| repack.plane.tap(ky, kx)).collect();
            Geometry { start: repack.buffer.start, plane: repack.buffer.plane, taps, pixels }
        }
    }
}
