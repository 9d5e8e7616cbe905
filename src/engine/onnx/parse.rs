//! Reads, types and constant-folds an ONNX file through tract: the only file that names it.
//!
//! What comes out is plain data: nodes in order, their attributes, constants and shapes. Knows no layer and no width.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tract_hir::infer::Factoid;
use tract_hir::internal::DimLike;
use tract_onnx::Onnx;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, tensor_proto};
use tract_onnx::prelude::{
    DatumType, Framework, InferenceFact, InferenceModel, InferenceModelExt, OutletId, TractError, TractResult,
};

use super::{LoadError, MAX_CHANNELS, MAX_FOLDED, MAX_NAME, MAX_NODES, MAX_SIDE, at_most};

/// The oldest operator set that is read.
const OLDEST_OPSET: i64 = 13;

/// The operators that a file may use; [`super::lower`] gives each its meaning.
const OPERATORS: [&str; 22] = [
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Clip",
    "Constant",
    "Conv",
    "Div",
    "Dropout",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Identity",
    "MatMul",
    "MaxPool",
    "Mul",
    "ReduceMax",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Squeeze",
    "Sub",
];

/// A file's graph as plain data.
pub(super) struct File {
    /// Dimensions of the image: batch (`None` where symbolic), channels, rows, columns.
    pub(super) image: Vec<Option<usize>>,
    /// The nodes that depend on the image, each reading only those before it.
    pub(super) nodes: Vec<ParsedNode>,
    /// The operand that the graph calls its output.
    pub(super) output: Operand,
    /// `metadata_props`
    pub(super) metadata: HashMap<String, String>,
}

/// One ONNX node.
pub(super) struct ParsedNode {
    pub(super) name: String,
    pub(super) operator: String,
    pub(super) attributes: Attributes,
    pub(super) inputs: Vec<Operand>,
    /// Dimensions of the first output; `None` where symbolic.
    pub(super) output: Vec<Option<usize>>,
}

/// What a node reads.
#[derive(Clone)]
pub(super) enum Operand {
    Image,
    /// Index of a [`ParsedNode`].
    Node(usize),
    Constant(Arc<Constant>),
    /// An optional input that was left out.
    Absent,
}

/// A constant; integers are held as the floating-point numbers that equal them.
pub(super) struct Constant {
    pub(super) dims: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// A node's attributes, those of them that are numbers or text.
#[derive(Default)]
pub(super) struct Attributes {
    pub(super) ints: HashMap<String, Vec<i64>>,
    pub(super) floats: HashMap<String, f32>,
    pub(super) texts: HashMap<String, String>,
}

/// Reads the bytes of a file.
pub(super) fn parse(bytes: &[u8]) -> Result<File, LoadError> {
    // tract checks much but not all of what it reads; a panic of its is a broken file, not a broken server.
    let caught = catch_unwind(AssertUnwindSafe(|| parse_unguarded(bytes)));
    caught.unwrap_or_else(|_| Err(LoadError::NotOnnx("its graph is inconsistent".into())))
}

fn parse_unguarded(bytes: &[u8]) -> Result<File, LoadError> {
    let onnx = tract_onnx::onnx();
    let proto =
        onnx.proto_model_for_read(&mut &*bytes).map_err(|error| LoadError::NotOnnx(error.root_cause().to_string()))?;
    let graph = check(&proto)?;
    let typed = Typed::new(&onnx, &proto)?;

    let mut operands: HashMap<&str, Operand> = HashMap::new();
    let image = image(graph, &typed)?;
    operands.insert(image.0, Operand::Image);
    let mut nodes = vec![];
    for node in &graph.node {
        let Some(output) = node.output.first() else { continue };
        if typed.constant(output)?.is_some() {
            continue;
        }
        let inputs = node.input.iter().map(|name| operand(name, &operands, &typed)).collect::<Result<_, _>>()?;
        operands.insert(output, Operand::Node(nodes.len()));
        nodes.push(ParsedNode {
            name: name_of(node),
            operator: node.op_type.clone(),
            attributes: Attributes::of(node),
            inputs,
            output: typed.dims(output),
        });
    }
    let [output] = &graph.output[..] else {
        return Err(LoadError::NotAClassifier(format!(
            "the graph has {} outputs; one is expected",
            graph.output.len()
        )));
    };
    let output = operand(&output.name, &operands, &typed)?;
    let metadata = proto.metadata_props.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect();
    Ok(File { image: image.1, nodes, output, metadata })
}

/// Refuses what tract need not see: foreign operators, external data, tensors whose size and dimensions disagree.
fn check(proto: &ModelProto) -> Result<&GraphProto, LoadError> {
    let graph = proto.graph.as_ref().ok_or_else(|| LoadError::NotOnnx("it holds no graph".into()))?;
    let opset = proto.opset_import.iter().find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
    let opset = opset.map_or(0, |set| set.version);
    if opset < OLDEST_OPSET {
        return Err(LoadError::NotOnnx(format!("operator set {opset}; {OLDEST_OPSET} or later is read")));
    }
    at_most("the number of nodes", graph.node.len(), MAX_NODES)?;
    for node in &graph.node {
        let foreign = !matches!(node.domain.as_str(), "" | "ai.onnx");
        if foreign || !OPERATORS.contains(&node.op_type.as_str()) {
            return Err(LoadError::Unsupported {
                node: name_of(node),
                what: format!("operator {}", node.op_type),
                allowed: format!("supported are {}", OPERATORS.join(", ")),
            });
        }
    }
    let attributes = graph.node.iter().flat_map(|node| &node.attribute);
    graph
        .initializer
        .iter()
        .chain(attributes.filter_map(|attribute| attribute.t.as_ref()))
        .try_for_each(check_tensor)?;
    check_folding(graph)?;
    Ok(graph)
}

/// Refuses constants that are computed from others and would be larger than anybody needs: tract folds them at once.
fn check_folding(graph: &GraphProto) -> Result<(), LoadError> {
    let volume = |tensor: &TensorProto| tensor.dims.iter().map(|&dim| dim as usize).product();
    let mut volumes: HashMap<&str, usize> = graph.initializer.iter().map(|t| (t.name.as_str(), volume(t))).collect();
    for node in &graph.node {
        let inputs = node.input.iter().filter(|name| !name.is_empty());
        let inputs: Option<Vec<usize>> = inputs.map(|name| volumes.get(name.as_str()).copied()).collect();
        let Some(inputs) = inputs else { continue };
        let len = match node.op_type.as_str() {
            "Constant" => constant_len(node, volume),
            // Broadcasting gives no more than the product.
            "Add" | "Sub" | "Mul" | "Div" => inputs.iter().fold(1, |product: usize, &len| product.saturating_mul(len)),
            "Conv" | "Gemm" | "MatMul" | "AveragePool" | "MaxPool" => {
                let (what, allowed) = (format!("{} of constants alone", node.op_type), "arithmetic is".into());
                return Err(LoadError::Unsupported { node: name_of(node), what, allowed });
            }
            _ => inputs.first().copied().unwrap_or(0),
        };
        at_most(format!("the size of the constant that node {} computes", name_of(node)), len, MAX_FOLDED)?;
        volumes.extend(node.output.iter().map(|name| (name.as_str(), len)));
    }
    Ok(())
}

fn constant_len(node: &NodeProto, volume: impl Fn(&TensorProto) -> usize) -> usize {
    let len = |attribute: &AttributeProto| {
        attribute.t.as_ref().map_or(attribute.floats.len().max(attribute.ints.len()).max(1), &volume)
    };
    node.attribute.iter().map(len).sum()
}

fn check_tensor(tensor: &TensorProto) -> Result<(), LoadError> {
    let malformed = |what: String| LoadError::Malformed { node: tensor.name.clone(), what };
    if !tensor.external_data.is_empty() || tensor.data_location.is_some_and(|location| location != 0) {
        return Err(malformed("its data lie in another file; only data inside the model file are read".into()));
    }
    let bytes = match tensor_proto::DataType::try_from(tensor.data_type) {
        Ok(tensor_proto::DataType::Float | tensor_proto::DataType::Int32) => 4,
        Ok(tensor_proto::DataType::Int64 | tensor_proto::DataType::Double) => 8,
        _ => return Err(malformed("constants must be float32, float64, int32 or int64".into())),
    };
    let volume = tensor.dims.iter().try_fold(1usize, |volume, &dim| volume.checked_mul(usize::try_from(dim).ok()?));
    let volume = volume.ok_or_else(|| malformed(format!("dimensions {:?} are impossible", tensor.dims)))?;
    let held = if tensor.raw_data.is_empty() {
        tensor.float_data.len() + tensor.int32_data.len() + tensor.int64_data.len() + tensor.double_data.len()
    } else {
        tensor.raw_data.len() / bytes
    };
    if held != volume || !tensor.raw_data.len().is_multiple_of(bytes) {
        let dims = &tensor.dims;
        return Err(malformed(format!("dimensions {dims:?} ask for {volume} values, but {held} are there")));
    }
    Ok(())
}

/// The image's name and dimensions.
fn image<'a>(graph: &'a GraphProto, typed: &Typed) -> Result<(&'a str, Vec<Option<usize>>), LoadError> {
    let is_weight = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let inputs: Vec<&str> = graph.input.iter().map(|i| i.name.as_str()).filter(|name| !is_weight(name)).collect();
    let [name] = inputs[..] else {
        return Err(LoadError::NotAClassifier(format!("the graph has {} inputs; one is expected", inputs.len())));
    };
    let dims = typed.dims(name);
    if typed.datum_type(name) != Some(DatumType::F32) {
        return Err(LoadError::NotAClassifier(format!("input {name} must be float32")));
    }
    match dims[..] {
        [_, Some(channels), Some(height), Some(width)] if channels * height * width > 0 => {
            at_most("the image's number of channels", channels, MAX_CHANNELS)?;
            at_most("the image's height", height, MAX_SIDE)?;
            at_most("the image's width", width, MAX_SIDE)?;
            Ok((name, dims))
        }
        _ => Err(LoadError::NotAClassifier(format!(
            "input {name} must be [N, channels, height, width], all but N fixed"
        ))),
    }
}

fn operand(name: &str, operands: &HashMap<&str, Operand>, typed: &Typed) -> Result<Operand, LoadError> {
    if name.is_empty() {
        return Ok(Operand::Absent);
    }
    if let Some(operand) = operands.get(name) {
        return Ok(operand.clone());
    }
    match typed.constant(name)? {
        Some(constant) => Ok(Operand::Constant(constant)),
        None => Err(LoadError::NotOnnx(format!("{name} is read but never written, or written later"))),
    }
}

fn name_of(node: &NodeProto) -> String {
    let name = if node.name.is_empty() { node.output.first().map_or("", String::as_str) } else { &node.name };
    name.chars().take(MAX_NAME).collect()
}

/// tract's knowledge of every tensor of the graph.
struct Typed {
    model: InferenceModel,
    outlets: HashMap<String, OutletId>,
}

impl Typed {
    fn new(onnx: &Onnx, proto: &ModelProto) -> Result<Typed, LoadError> {
        let broken = |error: TractError| LoadError::NotOnnx(format!("{error:#}"));
        let parsed = onnx.parse(proto, None).map_err(broken)?;
        if let Some(name) = parsed.unresolved_inputs.first() {
            return Err(LoadError::NotOnnx(format!("{name} is read but never written")));
        }
        let mut model = parsed.model;
        model.analyse(false).map_err(broken)?;
        Ok(Typed { model, outlets: parsed.outlets_by_name })
    }

    fn fact(&self, name: &str) -> Option<&InferenceFact> {
        self.model.outlet_fact(*self.outlets.get(name)?).ok()
    }

    fn datum_type(&self, name: &str) -> Option<DatumType> {
        self.fact(name)?.datum_type.concretize()
    }

    /// Dimensions of a tensor; a symbolic or unknown one is `None`.
    fn dims(&self, name: &str) -> Vec<Option<usize>> {
        let Some(fact) = self.fact(name) else { return vec![] };
        fact.shape.dims().map(|dim| dim.concretize().and_then(|dim| dim.to_usize().ok())).collect()
    }

    fn constant(&self, name: &str) -> Result<Option<Arc<Constant>>, LoadError> {
        let Some(tensor) = self.fact(name).and_then(|fact| fact.value.concretize()) else { return Ok(None) };
        let read = || -> TractResult<Vec<f32>> {
            Ok(tensor.cast_to::<f32>()?.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
        };
        let values = read().map_err(|_| LoadError::Malformed {
            node: name.into(),
            what: "its value is not a tensor of numbers".into(),
        })?;
        Ok(Some(Arc::new(Constant { dims: tensor.shape().to_vec(), values })))
    }
}

impl Attributes {
    fn of(node: &NodeProto) -> Attributes {
        let mut attributes = Attributes::default();
        for attribute in &node.attribute {
            // An attribute that names no type cannot be told apart from one that is empty: take what is there.
            let ints = if attribute.ints.is_empty() { vec![attribute.i] } else { attribute.ints.clone() };
            attributes.ints.insert(attribute.name.clone(), ints);
            attributes.floats.insert(attribute.name.clone(), attribute.f);
            attributes.texts.insert(attribute.name.clone(), String::from_utf8_lossy(&attribute.s).into_owned());
        }
        attributes
    }
}
