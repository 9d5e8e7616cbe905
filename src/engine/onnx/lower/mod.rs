//! Lowers ONNX nodes to layers, with every constant folded into its layer.
//!
//! A node reads constants, which [`super::fold`] computes with, and activations ([`Activation`]). Operators that only
//! regroup axes vanish. Each other kind of layer has a file of its own.

mod advice;
mod arithmetic;
mod clamp;
mod conv;
mod finish;
mod function;
mod layout;
mod linear;
mod pool;
mod recognise;

use std::collections::HashMap;
use std::sync::Arc;

use super::axes::Axes;
use super::fold::{self, Budget, fold};
use super::node::ParsedNode;
use super::parse::File;
use super::tensor::{Int, Tensor};
use super::{LoadError, MAX_CHANNELS, MAX_ITEM_LEN, MAX_WEIGHTS, MAX_WORK, at_most};
use crate::engine::graph::{Conv, Graph, Linear, Node, NodeId, Op, Pool, Shape};

/// The value of a name in the file.
#[derive(Clone)]
enum Value {
    Constant(Arc<Tensor>),
    Activation(Activation),
    /// Integers that are unknown without running the network.
    Unknown,
    /// An omitted optional input.
    Absent,
}

/// A value that depends on the image.
#[derive(Clone)]
struct Activation {
    /// The layer that computes it.
    id: NodeId,
    axes: Axes,
    /// Pending zero padding for the next layer: above, left, below, right.
    pad: [usize; 4],
    /// The shape to which an Expand broadcasts a value of one pixel. Only a product reads that.
    expanded: Option<Vec<Int>>,
    /// Operator and name of a softmax between the layer and the value. It is allowed only at the end.
    softmax: Option<String>,
}

struct Lowering {
    /// The batch size, if the file fixes it.
    batch: Option<usize>,
    nodes: Vec<Node>,
    values: HashMap<String, Value>,
    budget: Budget,
    /// Values held by one image's layers so far.
    item_len: usize,
    /// Multiplications and comparisons per image so far.
    work: usize,
    /// Weights of the layers so far.
    weights: usize,
}

/// A node with its input values.
struct Call<'a> {
    node: &'a ParsedNode,
    inputs: Vec<Value>,
}

/// Lowers a parsed file to layers. Also returns notes on what was left out.
///
/// If the batch is symbolic and lowering fails, it is repeated for a batch of one. The engine runs each image by
/// itself, and some exporters write arithmetic on the batch size.
pub(super) fn lower(file: &File) -> Result<(Graph, Vec<String>), LoadError> {
    let [batch, Some(channels), Some(height), Some(width)] = file.dims[..] else {
        return Err(LoadError::NotAClassifier("the image must be [N, channels, height, width]".into()));
    };
    let shape = Shape { channels, height, width };
    lower_with(file, shape, batch).or_else(|error| match batch {
        None => lower_with(file, shape, Some(1)).map_err(|_| error),
        Some(_) => Err(error),
    })
}

fn lower_with(file: &File, shape: Shape, batch: Option<usize>) -> Result<(Graph, Vec<String>), LoadError> {
    let image = Node { name: "image".into(), op: Op::Input, inputs: vec![], shape, sliced: false };
    let constant = |(name, tensor): (&String, &Arc<Tensor>)| (name.clone(), Value::Constant(tensor.clone()));
    let mut values: HashMap<String, Value> = file.constants.iter().map(constant).collect();
    values.insert(file.image.clone(), Value::Activation(Activation::of(0, Axes::nchw())));
    let (nodes, item_len) = (vec![image], shape.len());
    let budget = Budget::new(file.numbers());
    let mut lowering = Lowering { batch, nodes, values, budget, item_len, work: 0, weights: 0 };
    for node in &file.nodes {
        lowering.node(node, &file.output)?;
    }
    let output = match lowering.values.remove(&file.output) {
        Some(Value::Activation(activation)) => activation,
        Some(_) => return Err(LoadError::NotAClassifier("the output does not depend on the image".into())),
        None => {
            let name = super::text::name(&file.output);
            return Err(LoadError::NotAClassifier(format!("no node writes the graph's output {name}")));
        }
    };
    finish::finish(lowering.nodes, output)
}

impl Activation {
    fn of(id: NodeId, axes: Axes) -> Activation {
        Activation { id, axes, pad: [0; 4], expanded: None, softmax: None }
    }

    /// The same values with other axes.
    fn with_axes(&self, axes: Axes) -> Activation {
        Activation { axes, ..self.clone() }
    }
}

impl Lowering {
    /// Lowers a node. `graphs_output` is the name of the graph's output.
    fn node(&mut self, node: &ParsedNode, graphs_output: &str) -> Result<(), LoadError> {
        let Some(output) = node.outputs.iter().position(|name| !name.is_empty()) else { return Ok(()) };
        let inputs = node.inputs.iter().map(|name| self.value(node, name)).collect::<Result<Vec<_>, _>>()?;
        let call = Call { node, inputs };
        advice::check(&call, node.outputs[output] == graphs_output)?;
        if output != 0 {
            return Err(node.unsupported("an output other than the first", "only the first output may be read"));
        }
        let value = self.evaluate(&call)?;
        fold::check_rank(node, value.rank())?;
        self.values.insert(node.outputs[0].clone(), value);
        at_most("the number of values that one image's layers hold", self.item_len, MAX_ITEM_LEN)?;
        at_most("the number of all layers' weights", self.weights, MAX_WEIGHTS)?;
        at_most("the number of multiplications and comparisons that one image takes", self.work, MAX_WORK)
    }

    fn value(&self, node: &ParsedNode, name: &str) -> Result<Value, LoadError> {
        if name.is_empty() {
            return Ok(Value::Absent);
        }
        let unwritten = || {
            let name = super::text::name(name);
            node.malformed(format!("it reads {name}, which no earlier node writes, or which is not a first output"))
        };
        self.values.get(name).cloned().ok_or_else(unwritten)
    }

    fn evaluate(&mut self, call: &Call) -> Result<Value, LoadError> {
        if matches!(call.node.operator.as_str(), "Shape" | "Size") {
            return self.shape_of(call);
        }
        // A constant cast to an activation's type does not depend on the image.
        let numbers = if call.node.operator == "CastLike" { 1 } else { call.inputs.len() };
        if call.inputs.iter().take(numbers).any(|input| matches!(input, Value::Activation(_))) {
            return self.layer(call).map(Value::Activation);
        }
        if !fold::folds(&call.node.operator) {
            let what = format!("{} of constants alone", call.node.operator);
            return Err(call.node.unsupported(what, "arithmetic is"));
        }
        if call.inputs.iter().take(numbers).any(|input| matches!(input, Value::Unknown)) {
            return Ok(Value::Unknown);
        }
        let constants: Vec<_> = call.inputs.iter().map(Value::constant).collect();
        Ok(fold(call.node, &constants, &mut self.budget)?.map_or(Value::Unknown, Value::Constant))
    }

    /// Lowers Shape and Size. For an activation everything but the batch is known.
    fn shape_of(&self, call: &Call) -> Result<Value, LoadError> {
        let dims = match call.inputs.first() {
            Some(Value::Constant(tensor)) => tensor.dims.iter().map(|&dim| Int::Known(dim as i64)).collect(),
            Some(Value::Activation(activation)) => {
                let mut shape = self.nodes[activation.id].shape;
                shape.height += activation.pad[0] + activation.pad[2];
                shape.width += activation.pad[1] + activation.pad[3];
                activation.expanded.clone().unwrap_or_else(|| activation.axes.dims(shape, self.batch))
            }
            Some(Value::Unknown) => return Ok(Value::Unknown),
            _ => return Err(call.node.malformed("input 0 is missing")),
        };
        if call.node.operator == "Size" {
            let size = dims.iter().fold(Int::Known(1), |size, &dim| size.mul(dim));
            return Ok(Value::Constant(Arc::new(Tensor::ints(vec![], vec![size]))));
        }
        let (start, end) = (call.node.int("start", 0)?, call.node.int("end", i64::MAX)?);
        let (first, len) = fold::sliced(dims.len(), start, end, 1).unwrap_or_default();
        Ok(Value::Constant(Arc::new(Tensor::shape(dims[first..first + len].to_vec()))))
    }

    /// Lowers a node that reads an activation.
    fn layer(&mut self, call: &Call) -> Result<Activation, LoadError> {
        if let Some(activation) = self.unchanged(call)? {
            return Ok(activation);
        }
        self.after_softmax(call)?;
        match call.node.operator.as_str() {
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "Transpose" | "Gather" | "Slice" | "Expand" => {
                self.rename(call)
            }
            "Pad" => self.pad(call),
            "Conv" => self.conv(call),
            "Gemm" | "MatMul" => self.linear(call),
            "BatchNormalization" => self.batch_norm(call),
            "Relu" | "Clip" => self.clamp(call),
            "LeakyRelu" | "Sigmoid" | "Tanh" | "Erf" | "HardSwish" | "Swish" | "Gelu" => self.function(call),
            "HardSigmoid" => self.hard_sigmoid(call),
            "Pow" => self.power(call),
            "Max" | "Min" => self.bound(call),
            "MaxPool" | "AveragePool" => self.pool(call),
            "GlobalAveragePool" | "GlobalMaxPool" => self.global_pool(call),
            "ReduceMean" | "ReduceMax" | "ReduceSum" => self.reduce(call),
            "Add" | "Sub" | "Mul" | "Div" | "Sum" => self.arithmetic(call),
            "Softmax" | "LogSoftmax" => self.softmax(call),
            "Log" => self.log(call),
            "Neg" => self.negated(call),
            other => Err(call.node.unsupported(format!("operator {other} on activations"), advice::advice(other))),
        }
    }

    /// Adds a layer.
    fn push(&mut self, call: &Call, op: Op, inputs: Vec<NodeId>, shape: Shape) -> NodeId {
        let sliced = matches!(op, Op::Conv(_) | Op::Linear(_)) || self.nodes[inputs[0]].sliced;
        self.item_len = self.item_len.saturating_add(shape.len());
        let reads = match &op {
            Op::Conv(Conv { weights, .. }) | Op::Linear(Linear { weights, .. }) => weights.len() / shape.channels,
            Op::Depthwise(Conv { window, .. }) | Op::Pool(Pool { window, .. }) => window.area(),
            Op::Input | Op::Affine(_) | Op::Clamp(_) | Op::Function(_) | Op::Add | Op::Mul => 1,
        };
        self.work = self.work.saturating_add(shape.len().saturating_mul(reads));
        if let Op::Conv(Conv { weights, .. })
        | Op::Depthwise(Conv { weights, .. })
        | Op::Linear(Linear { weights, .. }) = &op
        {
            self.weights += weights.len();
        }
        self.nodes.push(Node { name: call.node.name.clone(), op, inputs, shape, sliced });
        self.nodes.len() - 1
    }

    fn shape(&self, activation: &Activation) -> Shape {
        self.nodes[activation.id].shape
    }

    /// Input `index`, which must be an activation without pending padding.
    fn activation(&self, call: &Call, index: usize) -> Result<Activation, LoadError> {
        call.activation(index)?;
        self.factor(call, index)
    }

    /// Input `index`, which must be an activation without pending padding, and may be expanded.
    fn factor(&self, call: &Call, index: usize) -> Result<Activation, LoadError> {
        let activation = call.broadcast(index)?;
        if activation.pad != [0; 4] {
            let what = format!("a Pad that {} reads", call.node.operator);
            return Err(call.node.unsupported(what, "Pad is merged into the convolution or average pooling after it"));
        }
        Ok(activation.clone())
    }

    /// Input 0, which must be an activation `[N, C, H, W]`.
    fn feature_map(&self, call: &Call) -> Result<(Activation, Shape), LoadError> {
        let activation = call.activation(0)?.clone();
        let shape = self.shape(&activation);
        if !activation.axes.is_ordered(shape) {
            let what = format!("{} of a transposed value {}", call.node.operator, activation.axes.describe(shape));
            let allowed = match activation.id {
                0 => layout::CHANNELS_FIRST,
                _ => "[N, channels, rows, columns] is: transpose it back first",
            };
            return Err(call.node.unsupported(what, allowed));
        }
        if !activation.axes.is_nchw(shape) {
            let what = format!("{} of a value of shape {}", call.node.operator, activation.axes.describe(shape));
            return Err(call.node.malformed(format!("{what}; [N, channels, rows, columns] is expected")));
        }
        Ok((activation, shape))
    }
}

impl Value {
    /// Its axes; none where it is not known.
    fn rank(&self) -> usize {
        match self {
            Value::Constant(tensor) => tensor.dims.len(),
            Value::Activation(activation) => activation.axes.rank(),
            Value::Unknown | Value::Absent => 0,
        }
    }

    fn constant(&self) -> Option<Arc<Tensor>> {
        match self {
            Value::Constant(tensor) => Some(tensor.clone()),
            _ => None,
        }
    }
}

impl Call<'_> {
    /// An activation with the shape of its layer.
    fn activation(&self, index: usize) -> Result<&Activation, LoadError> {
        let activation = self.broadcast(index)?;
        if activation.expanded.is_some() {
            let what = format!("an Expand that {} reads", self.node.operator);
            return Err(self.node.unsupported(what, "as a factor in a product it is"));
        }
        Ok(activation)
    }

    /// An activation that may be expanded.
    fn broadcast(&self, index: usize) -> Result<&Activation, LoadError> {
        match self.inputs.get(index) {
            Some(Value::Activation(activation)) => Ok(activation),
            _ => Err(self.node.malformed(format!("input {index} must come from the image"))),
        }
    }

    /// A constant input; `None` if it is omitted.
    fn constant(&self, index: usize) -> Result<Option<&Arc<Tensor>>, LoadError> {
        match self.inputs.get(index) {
            None | Some(Value::Absent) => Ok(None),
            Some(Value::Constant(constant)) => Ok(Some(constant)),
            Some(_) => {
                Err(self.node.unsupported(format!("an input {index} that depends on the image"), "a constant is"))
            }
        }
    }

    /// A constant input of finite numbers, and its dimensions.
    fn weights(&self, index: usize) -> Result<(&[usize], &[f32]), LoadError> {
        let constant = self.constant(index)?.ok_or_else(|| self.node.malformed(format!("input {index} is missing")))?;
        let not_floats = || self.node.malformed(format!("input {index} must be float32"));
        let values = constant.as_floats().ok_or_else(not_floats)?;
        if let Some(at) = values.iter().position(|weight| !weight.is_finite()) {
            return Err(self.node.malformed(format!("weight {at} is {}, not a finite number", values[at])));
        }
        Ok((&constant.dims, values))
    }

    /// A constant of `len` numbers.
    fn row(&self, index: usize, len: usize) -> Result<Vec<f32>, LoadError> {
        let (_, values) = self.weights(index)?;
        if values.len() != len {
            let count = values.len();
            return Err(self.node.malformed(format!("input {index} has {count} values for {len} channels")));
        }
        Ok(values.to_vec())
    }

    /// A constant of `len` numbers, one number for all of them, or zeros if it is omitted.
    fn bias(&self, index: usize, len: usize) -> Result<Vec<f32>, LoadError> {
        match self.constant(index)? {
            None => Ok(vec![0.0; len]),
            Some(constant) if constant.len() == 1 => Ok(vec![self.weights(index)?.1[0]; len]),
            Some(_) => self.row(index, len),
        }
    }

    /// A single number; `None` if it is omitted.
    fn scalar(&self, index: usize) -> Result<Option<f32>, LoadError> {
        let Some(constant) = self.constant(index)? else { return Ok(None) };
        match constant.as_floats() {
            Some(&[value]) => Ok(Some(value)),
            _ => Err(self.node.malformed(format!("input {index} must be one float32 number"))),
        }
    }

    /// The integers of an input, or of the attribute that replaces it in other operator sets.
    fn ints(&self, index: usize, attribute: &str) -> Result<Option<Vec<i64>>, LoadError> {
        if matches!(self.inputs.get(index), Some(Value::Unknown)) {
            return Err(self
                .node
                .unsupported(format!("an input {index} that cannot be computed beforehand"), "a constant is"));
        }
        match self.constant(index)? {
            None => Ok(self.node.ints(attribute)?.map(<[i64]>::to_vec)),
            Some(constant) => {
                let unknown =
                    || self.node.malformed(format!("input {index} must be integers that do not depend on the batch"));
                constant.known().map(Some).ok_or_else(unknown)
            }
        }
    }
}

fn check_outputs(call: &Call, outputs: usize) -> Result<(), LoadError> {
    if outputs == 0 {
        return Err(call.node.malformed("it has no outputs"));
    }
    at_most(format!("the number of output channels of {}", call.node.name), outputs, MAX_CHANNELS)
}
