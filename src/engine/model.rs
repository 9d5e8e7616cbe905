//! A network in memory: read, proved triangular, packed once, and then never changed.

use super::graph::{Graph, Op, Shape};
use super::metadata::Metadata;
use super::onnx::{self, DataFiles, LoadError};
use super::pack::{Reach, panel_rows};
use super::plan::Plan;
use super::triangular;
use super::width::Width;

/// A network, ready to run at any width. Immutable: share it between threads.
#[derive(Debug)]
pub struct Model {
    pub(crate) plan: Plan,
    metadata: Metadata,
    input: Shape,
    grid: Vec<Width>,
    layers: Vec<LayerSummary>,
    notes: Vec<String>,
}

/// One layer, as `inspect` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerSummary {
    /// Its name in the model file.
    pub name: String,
    /// What it does: `conv 3x3`, `max pool 2x2`, `linear`.
    pub kind: String,
    /// Extent of what it reads, at full width.
    pub input: Shape,
    /// Extent of what it computes, at full width.
    pub output: Shape,
    work: Work,
}

/// What one image takes at some width.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Multiplications of an activation by a weight; those above the triangle do not exist.
    pub multiply_adds: u64,
    /// Weights and biases that are read; those above the triangle do not exist.
    pub parameters: u64,
    /// Memory of the activations that are computed.
    pub activation_bytes: u64,
}

/// What a layer costs, for any number of channels.
#[derive(Debug, Clone, PartialEq)]
struct Work {
    reach: Reach,
    /// Does the number of outputs, of inputs, follow the width?
    sliced: [bool; 2],
    /// Weights for each pair of an input and an output channel, and for each output channel.
    weights: [usize; 2],
    /// Times that each weight is used.
    uses: usize,
}

/// Most widths in a grid.
const MAX_GRID: usize = 32;

impl Model {
    /// Reads an ONNX file, proves that it runs at any width, and packs its weights. All weights must be in the file itself.
    ///
    /// # Errors
    /// Says what in the file is wrong: see [`LoadError`].
    pub fn from_onnx(bytes: &[u8]) -> Result<Model, LoadError> {
        Model::read(onnx::read(bytes, None)?)
    }

    /// As [`Model::from_onnx`], of a file whose weights may lie in others beside it.
    ///
    /// # Errors
    /// Says what in the files is wrong: see [`LoadError`].
    pub fn from_onnx_with(bytes: &[u8], files: &mut dyn DataFiles) -> Result<Model, LoadError> {
        Model::read(onnx::read(bytes, Some(files))?)
    }

    fn read(contents: onnx::Contents) -> Result<Model, LoadError> {
        let model = Model::new(&contents.graph, contents.metadata)?;
        Ok(Model { notes: contents.notes, ..model })
    }

    pub(crate) fn new(graph: &Graph, metadata: Metadata) -> Result<Model, LoadError> {
        triangular::prove(graph)?;
        let plan = Plan::new(graph);
        onnx::at_most("the number of values that the memory of one image holds", plan.item_len, onnx::MAX_ITEM_LEN)?;
        let (grid, layers) = (grid(graph), summarise(graph));
        Ok(Model { plan, metadata, input: graph.input(), grid, layers, notes: vec![] })
    }

    /// Extent of the image that the network reads.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.plan.head.classes
    }

    /// What the file says of itself.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The widths at which no panel of weights is cut, ascending, the last of them full width; at most 32.
    ///
    /// Any width can be run; these are the steps for metrics, profiles and schedulers.
    pub fn grid(&self) -> &[Width] {
        &self.grid
    }

    /// The narrowest width of the grid that is at least `width`.
    pub fn step(&self, width: Width) -> Width {
        let at = self.grid.partition_point(|&step| step < width);
        self.grid.get(at).copied().unwrap_or(Width::FULL)
    }

    /// The layers, in the order in which they run; the last is the one that gives the class scores.
    pub fn layers(&self) -> &[LayerSummary] {
        &self.layers
    }

    /// What was left out of the file because it changes no answer, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What one image takes at `width`.
    pub fn cost(&self, width: Width) -> Cost {
        let mut cost = Cost::default();
        for layer in &self.layers {
            let (multiply_adds, parameters) = layer.work.at(width);
            cost.multiply_adds += multiply_adds;
            cost.parameters += parameters;
        }
        let places = self.plan.steps.iter().map(|step| step.output()).chain([&self.plan.image]);
        let floats: usize = places.map(|place| place.active(Some(width)) * place.plane).sum();
        cost.activation_bytes = (floats * size_of::<f32>()) as u64;
        cost
    }

    /// Bytes of the packed weights: the one copy that serves every width.
    pub fn packed_bytes(&self) -> usize {
        self.plan.packed_bytes()
    }
}

impl Work {
    /// Multiply-adds and parameters at a width.
    fn at(&self, width: Width) -> (u64, u64) {
        let active = |sliced: bool, channels: usize| if sliced { width.active(channels) } else { channels };
        let outputs = active(self.sliced[0], self.reach.outputs);
        let pairs = if self.reach.triangular {
            self.reach.pairs(outputs)
        } else {
            outputs * active(self.sliced[1], self.reach.inputs)
        };
        let weights = pairs * self.weights[0] + outputs * self.weights[1];
        let biases = if weights == 0 { 0 } else { outputs };
        ((weights * self.uses) as u64, (weights + biases) as u64)
    }
}

/// The panel borders of the layer with the fewest channels, thinned out to at most [`MAX_GRID`].
fn grid(graph: &Graph) -> Vec<Width> {
    let sliced = graph.nodes.iter().filter(|node| matches!(node.op, Op::Conv(_) | Op::Linear(_)));
    let Some(channels) = sliced.map(|node| node.shape.channels).min() else { return vec![Width::FULL] };
    let rows = panel_rows(channels);
    let step = rows * channels.div_ceil(rows).div_ceil(MAX_GRID);
    let mut grid: Vec<Width> = (step..channels).step_by(step).map(|c| Width::of_channels(c, channels)).collect();
    grid.push(Width::FULL);
    grid
}

fn summarise(graph: &Graph) -> Vec<LayerSummary> {
    let hidden = graph.nodes.iter().skip(1).map(|node| {
        let source = &graph.nodes[node.inputs[0]];
        let (input, output) = (source.shape, node.shape);
        let weights = match &node.op {
            Op::Conv(conv) => [conv.window.area(), 0],
            Op::Depthwise(conv) => [0, conv.window.area()],
            Op::Linear(_) => [input.pixels(), 0],
            Op::Affine(_) => [0, 1],
            Op::Input | Op::Clamp(_) | Op::Pool(_) | Op::Add => [0, 0],
        };
        let triangular = source.sliced && matches!(node.op, Op::Conv(_) | Op::Linear(_));
        let work = Work {
            reach: Reach { inputs: input.channels, outputs: output.channels, triangular },
            sliced: [node.sliced, source.sliced],
            weights,
            uses: output.pixels(),
        };
        LayerSummary { name: node.name.clone(), kind: kind(&node.op), input, output, work }
    });
    let source = &graph.nodes[graph.head.source];
    let output = Shape { channels: graph.head.linear.bias.len(), height: 1, width: 1 };
    let work = Work {
        reach: Reach { inputs: source.shape.channels, outputs: output.channels, triangular: false },
        sliced: [false, source.sliced],
        weights: [source.shape.pixels(), 0],
        uses: 1,
    };
    let head = LayerSummary { name: graph.head.name.clone(), kind: "linear".into(), input: source.shape, output, work };
    hidden.chain([head]).collect()
}

fn kind(op: &Op) -> String {
    let extent = |[rows, columns]: [usize; 2]| format!("{rows}x{columns}");
    match op {
        Op::Input => "image".into(),
        Op::Conv(conv) => format!("conv {}", extent(conv.window.kernel)),
        Op::Depthwise(conv) => format!("depthwise {}", extent(conv.window.kernel)),
        Op::Linear(_) => "linear".into(),
        Op::Affine(_) => "rescale".into(),
        Op::Clamp(clamp) if *clamp == super::graph::Clamp::RELU => "relu".into(),
        Op::Clamp(clamp) => format!("clip {}..{}", clamp.low, clamp.high),
        Op::Pool(pool) => {
            let word = if pool.kind == super::graph::PoolKind::Max { "max" } else { "average" };
            format!("{word} pool {}", extent(pool.window.kernel))
        }
        Op::Add => "add".into(),
    }
}
