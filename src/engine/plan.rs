//! From layers to steps: which layers run together, where each value lies, and how each convolution reads its input.
//!
//! Decided once at load, for full width; a width only takes a prefix of each step's channels.

mod fuse;
mod layout;

use super::graph::{Conv, Graph, Linear, Op, Pool, Shape};
use super::kernel::conv::{ConvStep, Filters, Geometry};
use super::kernel::dense::DenseStep;
use super::kernel::gather::GatherStep;
use super::kernel::map::MapStep;
use super::kernel::pool::PoolStep;
use super::kernel::simd::InstructionSet;
use super::pack::{Blocks, Panels, Reach, panel_rows_for};
use super::place::Place;
use fuse::{Fused, fuse};
use layout::{Layout, Source};

/// A network, ready to run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) head: HeadStep,
    /// Where the image goes.
    pub(crate) image: Place,
    /// Floats of an item's memory.
    pub(crate) item_len: usize,
}

/// One step: it computes some channels of one value from values before it.
#[derive(Debug)]
pub(crate) enum Step {
    Conv(ConvStep),
    Dense(DenseStep),
    Gather(GatherStep),
    Pool(PoolStep),
    Map(MapStep),
}

/// The last linear layer.
#[derive(Debug)]
pub(crate) struct HeadStep {
    pub(crate) blocks: Blocks,
    pub(crate) input: Place,
    pub(crate) classes: usize,
}

impl Plan {
    /// Plans a network and packs its weights.
    pub(crate) fn new(graph: &Graph) -> Plan {
        let (layers, places) = fuse(graph);
        let layout = Layout::new(&layers);
        let mut steps = vec![];
        for (index, layer) in layers.iter().enumerate() {
            if let Some(gather) = &layout.gathers[index] {
                steps.push(Step::Gather(GatherStep {
                    input: layout.places[layer.inputs[0]],
                    output: gather.place,
                    gathered: gather.gathered,
                }));
            }
            steps.extend(step(layer, index, &layout));
        }
        let input = layout.places[places[graph.head.source]];
        let classes = graph.head.linear.bias.len();
        let reach = Reach { inputs: input.shape.channels, outputs: classes, triangular: false };
        let head = HeadStep { blocks: Blocks::new(&graph.head.linear, reach), input, classes };
        Plan { steps, head, image: layout.places[0], item_len: layout.item_len }
    }

    /// Bytes of all packed weights: the one copy that serves every width.
    pub(crate) fn packed_bytes(&self) -> usize {
        self.steps.iter().map(Step::packed_bytes).sum::<usize>() + self.head.blocks.bytes()
    }
}

impl Step {
    /// Where the step's value goes.
    pub(crate) fn output(&self) -> &Place {
        match self {
            Step::Conv(step) => &step.output,
            Step::Dense(step) => &step.output,
            Step::Gather(step) => &step.output,
            Step::Pool(step) => &step.output,
            Step::Map(step) => &step.output,
        }
    }

    /// Computes channels `from..to` of the step's value; `features` is scratch.
    pub(crate) fn run(&self, set: InstructionSet, item: &mut [f32], features: &mut Vec<f32>, from: usize, to: usize) {
        match self {
            Step::Conv(step) => step.run(set, item, from, to),
            Step::Dense(step) => step.run(set, item, features, from, to),
            Step::Gather(step) => step.run(item, from, to),
            Step::Pool(step) => step.run(set, item, from, to),
            Step::Map(step) => step.run(set, item, from, to),
        }
    }

    fn packed_bytes(&self) -> usize {
        match self {
            Step::Conv(ConvStep { filters: Filters::Panels(panels), .. }) => panels.bytes(),
            Step::Conv(ConvStep { filters: Filters::Depthwise { weights, bias }, .. }) => {
                (weights.len() + bias.len()) * size_of::<f32>()
            }
            Step::Dense(step) => step.blocks.bytes(),
            Step::Gather(_) | Step::Pool(_) | Step::Map(_) => 0,
        }
    }
}

/// The step of one layer; the image has none.
fn step(layer: &Fused<'_>, index: usize, layout: &Layout) -> Option<Step> {
    let output = layout.places[index];
    let input = |at: usize| layout.places[layer.inputs[at]];
    let (affine, clamp) = (layer.affine.cloned(), layer.clamp);
    Some(match layer.op {
        Op::Input => return None,
        Op::Conv(conv) | Op::Depthwise(conv) => {
            let geometry = geometry(conv, layout.source(index, layer), &output);
            let filters = match layer.op {
                Op::Conv(_) => {
                    let lanes = InstructionSet::best().lanes();
                    let rows = panel_rows_for(output.shape.channels, geometry.pixels, lanes);
                    Filters::Panels(Panels::new(conv, reach(&input(0), output.shape), rows))
                }
                _ => Filters::Depthwise { weights: conv.weights.clone(), bias: conv.bias.clone() },
            };
            Step::Conv(ConvStep { filters, geometry, output, clamp })
        }
        Op::Linear(linear) => Step::Dense(dense(linear, input(0), output, layer)),
        &Op::Pool(pool) => Step::Pool(pool_step(pool, input(0), output, layer)),
        Op::Affine(_) | Op::Clamp(_) | Op::Add => {
            let b = layer.inputs.get(1).map(|&at| layout.places[at]);
            Step::Map(MapStep { a: input(0), b, output, affine, clamp })
        }
    })
}

fn dense(linear: &Linear, input: Place, output: Place, layer: &Fused<'_>) -> DenseStep {
    DenseStep { blocks: Blocks::new(linear, reach(&input, output.shape)), input, output, clamp: layer.clamp }
}

fn pool_step(pool: Pool, input: Place, output: Place, layer: &Fused<'_>) -> PoolStep {
    PoolStep { pool, input, output, affine: layer.affine.cloned(), clamp: layer.clamp }
}

fn reach(input: &Place, output: Shape) -> Reach {
    Reach { inputs: input.shape.channels, outputs: output.channels, triangular: input.sliced }
}

/// Where the taps of a convolution lie in what it reads, and how long the axis of pixels is.
fn geometry(conv: &Conv, source: Source<'_>, output: &Place) -> Geometry {
    let [kernel_rows, kernel_columns] = conv.window.kernel;
    let positions = (0..kernel_rows).flat_map(|ky| (0..kernel_columns).map(move |kx| (ky, kx)));
    let Shape { height, width, .. } = output.shape;
    let pixels = (height - 1) * output.pitch + width;
    match source {
        Source::Direct(place) => {
            let corner = place.origin - conv.window.before[0] * place.pitch - conv.window.before[1];
            let taps = positions.map(|(ky, kx)| ky * place.pitch + kx).collect();
            Geometry { start: place.start + corner, plane: place.plane, taps, pixels }
        }
        Source::Gathered(gather) => {
            let taps = positions.map(|(ky, kx)| gather.gathered.tap(ky, kx)).collect();
            Geometry { start: gather.place.start, plane: gather.place.plane, taps, pixels }
        }
    }
}
