//! Gives ONNX nodes their meaning: a list of layers with every constant folded into the layer that it belongs to.
//!
//! Flattening and identity vanish, a convolution that sees its whole input at once becomes a linear layer, and a
//! BatchNorm moves into the weights before it where nothing else reads between the two.

use std::sync::Arc;

use super::parse::{Constant, File, Operand, ParsedNode};
use super::{LoadError, MAX_CHANNELS, MAX_ITEM_LEN, at_most};
use crate::engine::graph::{Affine, Clamp, Conv, Graph, Head, Linear, Node, NodeId, Op, Pool, PoolKind, Shape, Window};

/// What became of a parsed node: the value it names, and whether its pixels have been flattened into features.
#[derive(Clone, Copy)]
struct Value {
    id: NodeId,
    flat: bool,
}

struct Lowering {
    nodes: Vec<Node>,
    values: Vec<Value>,
}

/// Turns a parsed file into layers.
pub(super) fn lower(file: &File) -> Result<Graph, LoadError> {
    let [_, Some(channels), Some(height), Some(width)] = file.image[..] else {
        return Err(LoadError::NotAClassifier("the image must be [N, channels, height, width]".into()));
    };
    let shape = Shape { channels, height, width };
    let image = Node { name: "image".into(), op: Op::Input, inputs: vec![], shape, sliced: false };
    let mut lowering = Lowering { nodes: vec![image], values: vec![] };
    for node in &file.nodes {
        let value = lowering.node(node)?;
        lowering.values.push(value);
        let values = lowering.nodes.iter().map(|node| node.shape.len()).sum();
        at_most("the number of values that one image's layers hold", values, MAX_ITEM_LEN)?;
    }
    let output = match file.output {
        Operand::Node(index) => lowering.values[index],
        _ => return Err(LoadError::NotAClassifier("the output does not depend on the image".into())),
    };
    let (nodes, output) = fold_affine(lowering.nodes, output.id)?;
    take_head(nodes, output)
}

impl Lowering {
    fn node(&mut self, node: &ParsedNode) -> Result<Value, LoadError> {
        match node.operator.as_str() {
            "Identity" | "Dropout" => self.value(node, 0),
            "Flatten" | "Reshape" | "Squeeze" => self.flatten(node),
            "Conv" => self.conv(node),
            "Gemm" | "MatMul" => self.linear(node),
            "BatchNormalization" => self.batch_norm(node),
            "Relu" => self.clamp(node, Clamp::RELU),
            "Clip" => {
                let bound = |index, default| Ok::<_, LoadError>(scalar(node, index)?.unwrap_or(default));
                self.clamp(node, Clamp { low: bound(1, f32::NEG_INFINITY)?, high: bound(2, f32::INFINITY)? })
            }
            "MaxPool" | "AveragePool" => self.pool(node),
            "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean" | "ReduceMax" => self.global_pool(node),
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(node),
            other => Err(unsupported(node, format!("operator {other} on the image"), "it may only make constants")),
        }
    }

    fn value(&self, node: &ParsedNode, index: usize) -> Result<Value, LoadError> {
        match node.inputs.get(index) {
            Some(Operand::Image) => Ok(Value { id: 0, flat: false }),
            Some(Operand::Node(at)) => Ok(self.values[*at]),
            _ => Err(malformed(node, format!("input {index} must come from the image"))),
        }
    }

    /// The value of input 0, which must still be an image.
    fn picture(&self, node: &ParsedNode) -> Result<(NodeId, Shape), LoadError> {
        let value = self.value(node, 0)?;
        if value.flat {
            return Err(malformed(node, format!("{} of a value that was flattened", node.operator)));
        }
        Ok((value.id, self.nodes[value.id].shape))
    }

    fn push(&mut self, node: &ParsedNode, op: Op, inputs: Vec<NodeId>, shape: Shape) -> NodeId {
        let sliced = matches!(op, Op::Conv(_) | Op::Linear(_)) || self.nodes[inputs[0]].sliced;
        self.nodes.push(Node { name: node.name.clone(), op, inputs, shape, sliced });
        self.nodes.len() - 1
    }

    /// Flatten, or a reshape that does the same or nothing.
    fn flatten(&mut self, node: &ParsedNode) -> Result<Value, LoadError> {
        let value = self.value(node, 0)?;
        let shape = self.nodes[value.id].shape;
        match node.output[..] {
            [_, Some(features)] if features == shape.len() => Ok(Value { flat: true, ..value }),
            [_, Some(c), Some(h), Some(w)] if !value.flat && (Shape { channels: c, height: h, width: w }) == shape => {
                Ok(value)
            }
            _ => Err(unsupported(node, format!("{} to {:?}", node.operator, node.output), "[N, features] is")),
        }
    }

    fn conv(&mut self, node: &ParsedNode) -> Result<Value, LoadError> {
        let (source, shape) = self.picture(node)?;
        let constant = weights(node, 1)?;
        let [outputs, inputs_per_group, ref kernel @ ..] = constant.dims[..] else {
            return Err(malformed(node, format!("weights {:?} are not those of a convolution", constant.dims)));
        };
        check_outputs(node, outputs)?;
        let window = window(node, kernel)?;
        let groups = int(node, "group", 1)?;
        let depthwise = groups != 1;
        if depthwise && (groups != shape.channels || outputs != groups || inputs_per_group != 1) {
            let what = format!("a convolution in {groups} groups from {} to {outputs} channels", shape.channels);
            return Err(unsupported(node, what, "one group, or one group per channel, is"));
        }
        if inputs_per_group * groups != shape.channels {
            let what = format!("weights {:?} do not fit {} input channels", constant.dims, shape.channels);
            return Err(malformed(node, what));
        }
        let bias = optional_row(node, 2, outputs)?;
        let conv = Conv { weights: constant.values.clone(), bias, window };
        let [height, width] = output_of(node, &window, shape)?;
        let shape_out = Shape { channels: outputs, height, width };
        let whole = window.kernel == [shape.height, shape.width] && height * width == 1;
        let op = match (depthwise, whole && window.before == [0, 0] && window.after == [0, 0]) {
            (true, _) => Op::Depthwise(conv),
            (false, true) => Op::Linear(Linear { weights: conv.weights, bias: conv.bias }),
            (false, false) => Op::Conv(conv),
        };
        Ok(Value { id: self.push(node, op, vec![source], shape_out), flat: false })
    }

    fn linear(&mut self, node: &ParsedNode) -> Result<Value, LoadError> {
        let value = self.value(node, 0)?;
        let features = self.nodes[value.id].shape.len();
        if !value.flat {
            return Err(malformed(node, format!("{} reads a value that was not flattened", node.operator)));
        }
        let gemm = node.operator == "Gemm";
        if gemm && (float(node, "alpha", 1.0) != 1.0 || float(node, "beta", 1.0) != 1.0 || int(node, "transA", 0)? != 0)
        {
            return Err(unsupported(node, "Gemm with alpha, beta or transA".into(), "their defaults are"));
        }
        let constant = weights(node, 1)?;
        let transposed = gemm && int(node, "transB", 0)? != 0;
        let (outputs, inputs) = match (<[usize; 2]>::try_from(&constant.dims[..]), transposed) {
            (Ok([outputs, inputs]), true) | (Ok([inputs, outputs]), false) => (outputs, inputs),
            _ => return Err(malformed(node, format!("weights {:?} are not a matrix", constant.dims))),
        };
        if inputs != features {
            return Err(malformed(node, format!("weights {:?} do not fit {features} features", constant.dims)));
        }
        check_outputs(node, outputs)?;
        let weights = match transposed {
            true => constant.values.clone(),
            false => transpose(&constant.values, outputs),
        };
        let bias = if gemm { optional_row(node, 2, outputs)? } else { vec![0.0; outputs] };
        let shape = Shape { channels: outputs, height: 1, width: 1 };
        Ok(Value { id: self.push(node, Op::Linear(Linear { weights, bias }), vec![value.id], shape), flat: true })
    }

    fn batch_norm(&mut self, node: &ParsedNode) -> Result<Value, LoadError> {
        let value = self.value(node, 0)?;
        let shape = self.nodes[value.id].shape;
        if value.flat && shape.pixels() != 1 {
            return Err(unsupported(node, "BatchNorm after flattening".into(), "before it, per channel, is"));
        }
        let epsilon = float(node, "epsilon", 1e-5);
        let row = |index| row(node, index, shape.channels);
        let (gain, offset, mean, variance) = (row(1)?, row(2)?, row(3)?, row(4)?);
        // Ioffe and Szegedy, 2015: gain * (x - mean) / sqrt(variance + epsilon) + offset.
        let scale: Vec<f32> = gain.iter().zip(&variance).map(|(gain, var)| gain / (var + epsilon).sqrt()).collect();
        let shift = offset.iter().zip(&mean).zip(&scale).map(|((offset, mean), scale)| offset - mean * scale).collect();
        self.affine(node, value, Affine { scale, shift })
    }

    fn clamp(&mut self, node: &ParsedNode, clamp: Clamp) -> Result<Value, LoadError> {
        if clamp.low.is_nan() || clamp.high.is_nan() || clamp.low > clamp.high {
            return Err(malformed(node, format!("the bounds {} and {} leave nothing", clamp.low, clamp.high)));
        }
        let value = self.value(node, 0)?;
        let shape = self.nodes[value.id].shape;
        Ok(Value { id: self.push(node, Op::Clamp(clamp), vec![value.id], shape), ..value })
    }

    fn pool(&mut self, node: &ParsedNode) -> Result<Value, LoadError> {
        let (source, shape) = self.picture(node)?;
        let kernel = ints(node, "kernel_shape")?.ok_or_else(|| malformed(node, "kernel_shape is missing".into()))?;
        let window = window(node, &kernel)?;
        if int(node, "ceil_mode", 0)? != 0 {
            return Err(unsupported(node, "ceil_mode".into(), "rounding down is"));
        }
        let kind = match (node.operator.as_str(), int(node, "count_include_pad", 0)?) {
            ("MaxPool", _) => PoolKind::Max,
            (_, 0) => PoolKind::Average,
            _ => PoolKind::AverageWithPadding,
        };
        let [height, width] = output_of(node, &window, shape)?;
        let op = Op::Pool(Pool { kind, window });
        Ok(Value { id: self.push(node, op, vec![source], Shape { height, width, ..shape }), flat: false })
    }

    fn global_pool(&mut self, node: &ParsedNode) -> Result<Value, LoadError> {
        let (source, shape) = self.picture(node)?;
        let reduction = node.operator.starts_with("Reduce");
        if reduction {
            let mut axes = match node.inputs.get(1) {
                Some(Operand::Constant(axes)) => axes.values.iter().map(|&axis| axis as i64).collect(),
                _ => node.attributes.ints.get("axes").cloned().unwrap_or_default(),
            };
            axes.iter_mut().for_each(|axis| *axis += if *axis < 0 { 4 } else { 0 });
            axes.sort_unstable();
            if axes != [2, 3] {
                return Err(unsupported(node, format!("{} over axes {axes:?}", node.operator), "[2, 3] is"));
            }
        }
        let kind = if node.operator.ends_with("Max") || node.operator == "GlobalMaxPool" {
            PoolKind::Max
        } else {
            PoolKind::Average
        };
        let window = Window { kernel: [shape.height, shape.width], stride: [1, 1], before: [0, 0], after: [0, 0] };
        let shape = Shape { height: 1, width: 1, ..shape };
        let id = self.push(node, Op::Pool(Pool { kind, window }), vec![source], shape);
        Ok(Value { id, flat: reduction && int(node, "keepdims", 1)? == 0 })
    }

    /// Adds two values, or rescales one by constants.
    fn arithmetic(&mut self, node: &ParsedNode) -> Result<Value, LoadError> {
        let (constant, at) = match &node.inputs[..] {
            [a, Operand::Constant(constant)] if !matches!(a, Operand::Constant(_)) => (constant, 0),
            [Operand::Constant(constant), _] => (constant, 1),
            [_, _] if node.operator == "Add" => return self.add(node),
            _ => return Err(unsupported(node, format!("{} of two values", node.operator), "Add is")),
        };
        let value = self.value(node, at)?;
        let constant = per_channel(node, constant, self.nodes[value.id].shape, value.flat)?;
        let count = constant.len();
        let (scale, shift): (Vec<f32>, Vec<f32>) = match (node.operator.as_str(), at) {
            ("Add", _) => (vec![1.0; count], constant),
            ("Sub", 0) => (vec![1.0; count], constant.iter().map(|c| -c).collect()),
            ("Sub", _) => (vec![-1.0; count], constant),
            ("Mul", _) => (constant, vec![0.0; count]),
            ("Div", 0) => (constant.iter().map(|c| 1.0 / c).collect(), vec![0.0; count]),
            _ => return Err(unsupported(node, "division by a value".into(), "division by a constant is")),
        };
        self.affine(node, value, Affine { scale, shift })
    }

    fn affine(&mut self, node: &ParsedNode, value: Value, affine: Affine) -> Result<Value, LoadError> {
        if !affine.scale.iter().chain(&affine.shift).all(|number| number.is_finite()) {
            return Err(malformed(node, "its constants are not finite numbers".into()));
        }
        let shape = self.nodes[value.id].shape;
        Ok(Value { id: self.push(node, Op::Affine(affine), vec![value.id], shape), ..value })
    }

    fn add(&mut self, node: &ParsedNode) -> Result<Value, LoadError> {
        let (a, b) = (self.value(node, 0)?, self.value(node, 1)?);
        let (left, right) = (&self.nodes[a.id], &self.nodes[b.id]);
        if left.shape != right.shape || a.flat != b.flat {
            return Err(unsupported(node, "Add of values of different shapes".into(), "of equal shapes is"));
        }
        if left.sliced != right.sliced {
            let what = "Add of a value that has all channels at every width and one that has not".into();
            return Err(unsupported(node, what, "two of a kind are"));
        }
        let shape = left.shape;
        Ok(Value { id: self.push(node, Op::Add, vec![a.id, b.id], shape), ..a })
    }
}

/// Moves every rescaling into the layer before it, where nothing else reads that layer.
fn fold_affine(nodes: Vec<Node>, output: NodeId) -> Result<(Vec<Node>, NodeId), LoadError> {
    let mut readers = vec![0; nodes.len()];
    nodes.iter().flat_map(|node| &node.inputs).chain([&output]).for_each(|&id| readers[id] += 1);
    let mut kept: Vec<Node> = Vec::with_capacity(nodes.len());
    // Where each old node's value is found among the kept ones, and how many read it there.
    let mut moved: Vec<(NodeId, usize)> = Vec::with_capacity(nodes.len());
    for (old, mut node) in nodes.into_iter().enumerate() {
        let source = node.inputs.first().map(|&input| moved[input]);
        node.inputs.iter_mut().for_each(|input| *input = moved[*input].0);
        if let (Op::Affine(affine), Some((at, 1))) = (&node.op, source)
            && let Some((weights, bias)) = kept[at].op.rows()
        {
            affine.fold_into(weights, bias);
            if !weights.iter().chain(bias.iter()).all(|number| number.is_finite()) {
                let what = "its weights overflow when the rescaling after it is folded into them".into();
                return Err(LoadError::Malformed { node: kept[at].name.clone(), what });
            }
            moved.push((at, readers[old]));
            continue;
        }
        moved.push((kept.len(), readers[old]));
        kept.push(node);
    }
    Ok((kept, moved[output].0))
}

impl Op {
    /// Weights and bias of a layer that a rescaling of its output can move into.
    fn rows(&mut self) -> Option<(&mut [f32], &mut [f32])> {
        match self {
            Op::Conv(conv) | Op::Depthwise(conv) => Some((&mut conv.weights, &mut conv.bias)),
            Op::Linear(linear) => Some((&mut linear.weights, &mut linear.bias)),
            Op::Affine(affine) => Some((&mut affine.scale, &mut affine.shift)),
            Op::Input | Op::Clamp(_) | Op::Pool(_) | Op::Add => None,
        }
    }
}

/// Splits off the last layer, which must be linear and read by nobody.
fn take_head(mut nodes: Vec<Node>, output: NodeId) -> Result<Graph, LoadError> {
    if nodes.iter().any(|node| node.inputs.contains(&output)) {
        return Err(LoadError::NotAClassifier("the layer that gives the output is also read inside the graph".into()));
    }
    let last = nodes.remove(output);
    let Op::Linear(linear) = last.op else {
        let name = last.name;
        return Err(LoadError::NotAClassifier(format!("the output must come from a linear layer; {name} is none")));
    };
    for node in &mut nodes[output..] {
        node.inputs.iter_mut().for_each(|input| *input -= usize::from(*input > output));
    }
    Ok(Graph { head: Head { name: last.name, source: last.inputs[0], linear }, nodes })
}

fn check_outputs(node: &ParsedNode, outputs: usize) -> Result<(), LoadError> {
    if outputs == 0 {
        return Err(malformed(node, "it has no outputs".into()));
    }
    at_most(format!("the number of output channels of {}", node.name), outputs, MAX_CHANNELS)
}

/// The window that a node's attributes describe.
fn window(node: &ParsedNode, kernel: &[usize]) -> Result<Window, LoadError> {
    let Ok(kernel) = <[usize; 2]>::try_from(kernel) else {
        return Err(unsupported(node, format!("a kernel {kernel:?}"), "kernels over rows and columns are"));
    };
    if !matches!(node.attributes.texts.get("auto_pad").map(String::as_str), None | Some("" | "NOTSET" | "VALID")) {
        return Err(unsupported(node, "auto_pad".into(), "explicit pads are"));
    }
    if ints(node, "dilations")?.is_some_and(|dilations| dilations.iter().any(|&d| d != 1)) {
        return Err(unsupported(node, "dilation".into(), "1 is"));
    }
    let stride = ints(node, "strides")?.unwrap_or_else(|| vec![1, 1]);
    let pads = ints(node, "pads")?.unwrap_or_else(|| vec![0; 4]);
    let (&[rows, columns], &[top, left, bottom, right]) = (&stride[..], &pads[..]) else {
        return Err(malformed(node, format!("strides {stride:?} and pads {pads:?} are not those of two axes")));
    };
    let window = Window { kernel, stride: [rows, columns], before: [top, left], after: [bottom, right] };
    let sane = |axis: usize| kernel[axis] > window.before[axis].max(window.after[axis]) && window.stride[axis] > 0;
    if !sane(0) || !sane(1) {
        return Err(malformed(
            node,
            format!("kernel {kernel:?}, strides {stride:?} and pads {pads:?} do not go together"),
        ));
    }
    Ok(window)
}

fn output_of(node: &ParsedNode, window: &Window, shape: Shape) -> Result<[usize; 2], LoadError> {
    let too_large = || format!("kernel {:?} is larger than the {}x{} input", window.kernel, shape.height, shape.width);
    window.output(shape.height, shape.width).ok_or_else(|| malformed(node, too_large()))
}

fn constant(node: &ParsedNode, index: usize) -> Result<Option<&Arc<Constant>>, LoadError> {
    match node.inputs.get(index) {
        None | Some(Operand::Absent) => Ok(None),
        Some(Operand::Constant(constant)) => Ok(Some(constant)),
        _ => Err(unsupported(node, format!("an input {index} that depends on the image"), "a constant is")),
    }
}

fn weights(node: &ParsedNode, index: usize) -> Result<&Constant, LoadError> {
    let constant = constant(node, index)?.ok_or_else(|| malformed(node, format!("input {index} is missing")))?;
    if let Some(at) = constant.values.iter().position(|weight| !weight.is_finite()) {
        return Err(malformed(node, format!("weight {at} is {}, not a finite number", constant.values[at])));
    }
    Ok(constant)
}

/// A constant of `len` numbers.
fn row(node: &ParsedNode, index: usize, len: usize) -> Result<Vec<f32>, LoadError> {
    let constant = weights(node, index)?;
    if constant.values.len() != len {
        return Err(malformed(node, format!("input {index} has {} values for {len} channels", constant.values.len())));
    }
    Ok(constant.values.clone())
}

fn optional_row(node: &ParsedNode, index: usize, len: usize) -> Result<Vec<f32>, LoadError> {
    match constant(node, index)? {
        None => Ok(vec![0.0; len]),
        Some(constant) if constant.values.len() == 1 => Ok(vec![weights(node, index)?.values[0]; len]),
        Some(_) => row(node, index, len),
    }
}

fn scalar(node: &ParsedNode, index: usize) -> Result<Option<f32>, LoadError> {
    Ok(constant(node, index)?.and_then(|constant| constant.values.first().copied()))
}

/// A constant that is one number, or one per channel.
fn per_channel(node: &ParsedNode, constant: &Constant, shape: Shape, flat: bool) -> Result<Vec<f32>, LoadError> {
    let channels = shape.channels;
    let fits = match constant.dims[..] {
        _ if constant.values.len() == 1 => return Ok(vec![constant.values[0]; channels]),
        [count] | [1, count] => flat && shape.pixels() == 1 && count == channels,
        [count, 1, 1] | [1, count, 1, 1] => !flat && count == channels,
        _ => false,
    };
    if !fits {
        return Err(unsupported(node, format!("a constant {:?}", constant.dims), "one number per channel is"));
    }
    Ok(constant.values.clone())
}

fn int(node: &ParsedNode, name: &str, default: usize) -> Result<usize, LoadError> {
    Ok(ints(node, name)?.and_then(|values| values.first().copied()).unwrap_or(default))
}

fn ints(node: &ParsedNode, name: &str) -> Result<Option<Vec<usize>>, LoadError> {
    let Some(values) = node.attributes.ints.get(name) else { return Ok(None) };
    let values = values.iter().map(|&value| usize::try_from(value).ok().filter(|&value| value <= MAX_CHANNELS));
    let values = values.collect::<Option<Vec<usize>>>();
    values.map(Some).ok_or_else(|| malformed(node, format!("{name} is out of range")))
}

fn float(node: &ParsedNode, name: &str, default: f32) -> f32 {
    node.attributes.floats.get(name).copied().unwrap_or(default)
}

/// `[rows, columns]` of a matrix with `columns` columns become `[columns, rows]`.
fn transpose(values: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns).copied()).collect()
}

fn malformed(node: &ParsedNode, what: String) -> LoadError {
    LoadError::Malformed { node: node.name.clone(), what }
}

fn unsupported(node: &ParsedNode, what: String, allowed: &str) -> LoadError {
    LoadError::Unsupported { node: node.name.clone(), what, allowed: allowed.into() }
}
