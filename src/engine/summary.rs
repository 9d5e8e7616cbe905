//! The layers of a network, and their cost by width, for display.

use std::fmt;

use super::graph::{Clamp, Function, Graph, Op, Pool, PoolKind, Shape};
use super::pack::FanIn;
use super::width::Width;

/// One layer, as `anywidth inspect` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerSummary {
    /// Its name in the model file.
    pub name: String,
    /// Its operator.
    pub kind: LayerKind,
    /// Shape of its input at full width.
    pub input: Shape,
    /// Shape of its output at full width.
    pub output: Shape,
    pub(crate) work: Work,
}

/// The operator of a layer. `Display` gives its name and parameters, such as `conv 3x3`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum LayerKind {
    /// A convolution.
    Conv {
        /// Rows and columns of the kernel.
        kernel: [usize; 2],
    },
    /// A convolution with one filter per channel.
    Depthwise {
        /// Rows and columns of the kernel.
        kernel: [usize; 2],
    },
    /// A linear layer.
    Linear,
    /// `x * scale + shift` per channel.
    Rescale,
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, low), high)`
    Clip {
        /// Lower bound.
        low: f32,
        /// Upper bound.
        high: f32,
    },
    /// The maximum over a window.
    MaxPool {
        /// Rows and columns of the window.
        kernel: [usize; 2],
    },
    /// The mean over a window.
    AveragePool {
        /// Rows and columns of the window.
        kernel: [usize; 2],
    },
    /// An activation function, by its name.
    Activation(&'static str),
    /// The sum of two values.
    Add,
    /// The product of two values.
    Multiply,
}

/// Cost of one image at a width.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WidthCost {
    /// Products of an activation and a weight, without those above the triangle.
    pub multiply_adds: u64,
    /// Weights and biases read, without those above the triangle.
    pub parameters: u64,
    /// Bytes of the computed activations.
    pub activation_bytes: u64,
}

/// Cost of a layer as a function of width.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Work {
    fan_in: FanIn,
    /// Whether the number of outputs, and of inputs, scales with width.
    sliced: [bool; 2],
    /// Weights per connected channel pair, and weights per output channel.
    weights: [usize; 2],
    /// Uses of each weight per image.
    uses: usize,
}

impl Work {
    /// Multiply-adds and parameters at a width.
    pub(crate) fn at(&self, width: Width) -> (u64, u64) {
        let active = |sliced: bool, channels: usize| if sliced { width.active(channels) } else { channels };
        let outputs = active(self.sliced[0], self.fan_in.outputs);
        let pairs = if self.fan_in.triangular {
            self.fan_in.pairs(outputs)
        } else {
            outputs * active(self.sliced[1], self.fan_in.inputs)
        };
        let weights = pairs * self.weights[0] + outputs * self.weights[1];
        let biases = if weights == 0 { 0 } else { outputs };
        ((weights * self.uses) as u64, (weights + biases) as u64)
    }
}

impl LayerKind {
    /// Kind of an operator; `None` for the image.
    fn of(op: &Op) -> Option<LayerKind> {
        Some(match op {
            Op::Input => return None,
            Op::Conv(conv) => LayerKind::Conv { kernel: conv.window.kernel },
            Op::Depthwise(conv) => LayerKind::Depthwise { kernel: conv.window.kernel },
            Op::Linear(_) => LayerKind::Linear,
            Op::Affine(_) => LayerKind::Rescale,
            Op::Clamp(clamp) if *clamp == Clamp::RELU => LayerKind::Relu,
            Op::Clamp(clamp) => LayerKind::Clip { low: clamp.low, high: clamp.high },
            Op::Function(function) => LayerKind::Activation(name(function)),
            Op::Pool(Pool { kind: PoolKind::Max, window }) => LayerKind::MaxPool { kernel: window.kernel },
            Op::Pool(Pool { window, .. }) => LayerKind::AveragePool { kernel: window.kernel },
            Op::Add => LayerKind::Add,
            Op::Mul => LayerKind::Multiply,
        })
    }
}

/// Name of an activation function.
fn name(function: &Function) -> &'static str {
    match function {
        Function::LeakyRelu { .. } => "leaky relu",
        Function::Sigmoid => "sigmoid",
        Function::Tanh => "tanh",
        Function::Erf => "erf",
        Function::Swish { .. } => "silu",
        Function::HardSwish => "hard swish",
        Function::Gelu | Function::GeluTanh => "gelu",
    }
}

impl fmt::Display for LayerKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayerKind::Conv { kernel: [rows, columns] } => write!(out, "conv {rows}x{columns}"),
            LayerKind::Depthwise { kernel: [rows, columns] } => write!(out, "depthwise {rows}x{columns}"),
            LayerKind::Linear => out.write_str("linear"),
            LayerKind::Rescale => out.write_str("rescale"),
            LayerKind::Relu => out.write_str("relu"),
            LayerKind::Clip { low, high } => write!(out, "clip {low}..{high}"),
            LayerKind::MaxPool { kernel: [rows, columns] } => write!(out, "max pool {rows}x{columns}"),
            LayerKind::AveragePool { kernel: [rows, columns] } => write!(out, "average pool {rows}x{columns}"),
            LayerKind::Activation(name) => out.write_str(name),
            LayerKind::Add => out.write_str("add"),
            LayerKind::Multiply => out.write_str("multiply"),
        }
    }
}

/// The layers of a network in order of execution, the head last.
pub(crate) fn summarise(graph: &Graph) -> Vec<LayerSummary> {
    let hidden = graph.nodes.iter().filter_map(|node| {
        let kind = LayerKind::of(&node.op)?;
        let source = &graph.nodes[node.inputs[0]];
        let (input, output) = (source.shape, node.shape);
        let weights = match &node.op {
            Op::Conv(conv) => [conv.window.area(), 0],
            Op::Depthwise(conv) => [0, conv.window.area()],
            Op::Linear(_) => [input.pixels(), 0],
            Op::Affine(_) => [0, 1],
            Op::Input | Op::Clamp(_) | Op::Function(_) | Op::Pool(_) | Op::Add | Op::Mul => [0, 0],
        };
        let triangular = source.sliced && matches!(node.op, Op::Conv(_) | Op::Linear(_));
        let work = Work {
            fan_in: FanIn { inputs: input.channels, outputs: output.channels, triangular },
            sliced: [node.sliced, source.sliced],
            weights,
            uses: output.pixels(),
        };
        Some(LayerSummary { name: node.name.clone(), kind, input, output, work })
    });
    let source = &graph.nodes[graph.head.source];
    let output = Shape { channels: graph.head.linear.bias.len(), height: 1, width: 1 };
    let work = Work {
        fan_in: FanIn { inputs: source.shape.channels, outputs: output.channels, triangular: false },
        sliced: [false, source.sliced],
        weights: [source.shape.pixels(), 0],
        uses: 1,
    };
    let head =
        LayerSummary { name: graph.head.name.clone(), kind: LayerKind::Linear, input: source.shape, output, work };
    hidden.chain([head]).collect()
}
