//! Decodes an ONNX file through tract. No other file names tract.
//!
//! The result is plain data: the image, constants, and nodes in order. It must not know layers or widths. tract's own
//! type and shape inference is not used: it panics on some files, and does not give the integers of shape arithmetic.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, tensor_shape_proto, type_proto,
};
use tract_onnx::prelude::Framework;

use super::element::{self, TO_FLOAT32, element, type_name};
use super::external::{DataFiles, External, Reference};
use super::node::{Attribute, ParsedNode};
use super::tensor::{Tensor, bulk, volume};
use super::{LoadError, MAX_CHANNELS, MAX_FILE_BYTES, MAX_NODES, MAX_RANK, MAX_SIDE, at_most, format, text};

/// The oldest supported operator set.
const OLDEST_OPSET: i64 = 13;
/// The newest operator set whose changes were reviewed for the operators used here.
const NEWEST_OPSET: i64 = 28;

/// The graph of a file as plain data.
pub(super) struct File {
    /// Name of the graph's only input.
    pub(super) image: String,
    /// Its dimensions, `[N, channels, rows, columns]`; `None` where symbolic.
    pub(super) dims: Vec<Option<usize>>,
    /// Initializers by name.
    pub(super) constants: HashMap<String, Arc<Tensor>>,
    /// The nodes; each reads only earlier values.
    pub(super) nodes: Vec<ParsedNode>,
    /// Name of the graph's output.
    pub(super) output: String,
    /// `metadata_props`
    pub(super) metadata: HashMap<String, String>,
}

impl File {
    /// The count of numbers in the file.
    pub(super) fn numbers(&self) -> usize {
        let attributes = self.nodes.iter().flat_map(|node| node.attributes.values());
        let in_nodes: usize = attributes.map(Attribute::numbers).sum();
        in_nodes + self.constants.values().map(|tensor| tensor.len()).sum::<usize>()
    }
}

/// Parses the bytes of a file.
pub(super) fn parse(bytes: &[u8], files: Option<&mut dyn DataFiles>) -> Result<File, LoadError> {
    if let Some(what) = format::foreign(bytes) {
        return Err(LoadError::NotOnnx(what.into()));
    }
    let proto = tract_onnx::onnx().proto_model_for_read(&mut &*bytes).map_err(|error| {
        let cause = text::clip(&error.root_cause().to_string(), text::MAX_REASON);
        LoadError::NotOnnx(format!("it is not an ONNX model, or it is damaged ({cause})"))
    })?;
    check_opset(&proto)?;
    let graph = proto.graph.ok_or_else(|| LoadError::NotOnnx("it holds no graph".into()))?;
    check(&graph)?;
    let mut external = External::new(files, bytes.len());
    let (image, dims) = image(&graph)?;
    let output = output(&graph)?;
    let mut written = HashSet::from([image.clone()]);
    let mut once = |name: &str| {
        let unique = written.insert(name.to_owned());
        if unique { Ok(()) } else { Err(LoadError::malformed(name, "this name is given to more than one value")) }
    };
    let mut constants = HashMap::new();
    for tensor in graph.initializer {
        once(&tensor.name)?;
        let name = tensor.name.clone();
        constants.insert(name, Arc::new(read_tensor(tensor, &mut external)?));
    }
    let mut nodes = vec![];
    for node in graph.node {
        node.output.iter().filter(|name| !name.is_empty()).try_for_each(|name| once(name))?;
        nodes.push(read_node(node, &mut external)?);
    }
    let metadata = proto.metadata_props.into_iter().map(|entry| (entry.key, entry.value)).collect();
    Ok(File { image, dims, constants, nodes, output, metadata })
}

fn check_opset(proto: &ModelProto) -> Result<(), LoadError> {
    let opset = proto.opset_import.iter().find(|set| is_standard(&set.domain)).map_or(0, |set| set.version);
    if (OLDEST_OPSET..=NEWEST_OPSET).contains(&opset) {
        return Ok(());
    }
    Err(LoadError::NotOnnx(format!(
        "operator set {opset}; {OLDEST_OPSET} to {NEWEST_OPSET} are read: export with opset_version=18"
    )))
}

fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

fn check(graph: &GraphProto) -> Result<(), LoadError> {
    at_most("the number of nodes", graph.node.len(), MAX_NODES)?;
    if graph.node.is_empty() {
        return Err(LoadError::NotAClassifier("the graph has no nodes".into()));
    }
    match graph.sparse_initializer.first() {
        Some(_) => Err(LoadError::NotAClassifier("the graph has sparse weights; only dense ones are read".into())),
        None => Ok(()),
    }
}

fn output(graph: &GraphProto) -> Result<String, LoadError> {
    match &graph.output[..] {
        [output] if !output.name.is_empty() => Ok(output.name.clone()),
        outputs => Err(LoadError::NotAClassifier(format!(
            "the graph has {} outputs; one is expected, the class scores",
            outputs.len()
        ))),
    }
}

/// Name and dimensions of the image.
fn image(graph: &GraphProto) -> Result<(String, Vec<Option<usize>>), LoadError> {
    let weights: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let inputs: Vec<&ValueInfoProto> =
        graph.input.iter().filter(|input| !weights.contains(input.name.as_str())).collect();
    let [input] = inputs[..] else {
        let count = inputs.len();
        return Err(LoadError::NotAClassifier(format!(
            "the graph has {count} inputs; one is expected, the image: if the others are weights, export with export_params=True"
        )));
    };
    let name = text::name(&input.name);
    let refused = |what: String| Err(LoadError::NotAClassifier(format!("input {name} {what}")));
    let tensor = input.r#type.as_ref().and_then(|of| of.value.as_ref());
    let Some(type_proto::Value::TensorType(tensor)) = tensor else { return refused("must be a tensor".into()) };
    match tensor.elem_type {
        element::FLOAT => (),
        element::DOUBLE | element::FLOAT16 | element::BFLOAT16 => {
            return refused(format!("is {}; {TO_FLOAT32}", type_name(tensor.elem_type)));
        }
        _ => {
            return refused(format!(
                "is {}; it must be float32, with the image's values in 0..1",
                type_name(tensor.elem_type)
            ));
        }
    }
    let dims = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
    let dims: Vec<Option<usize>> = dims.iter().map(dimension).collect();
    match dims[..] {
        [_, rows, columns, Some(channels @ (1 | 3))] if is_nhwc(rows) && is_nhwc(columns) => refused(format!(
            "is [N, rows, columns, {channels}], channels last (NHWC); channels first is expected: convert with tf2onnx \
             --inputs-as-nchw {name}, or permute the axes before the export"
        )),
        [_, Some(channels), Some(height), Some(width)] if channels > 0 && height > 0 && width > 0 => {
            at_most("the image's number of channels", channels, MAX_CHANNELS)?;
            at_most("the image's height", height, MAX_SIDE)?;
            at_most("the image's width", width, MAX_SIDE)?;
            Ok((input.name.clone(), dims))
        }
        _ => refused(
            "must be [N, channels, height, width], all but N fixed numbers: export with a dynamic axis for the batch alone"
                .into(),
        ),
    }
}

/// Whether this is the row or column dimension of a channels-last image.
fn is_nhwc(dim: Option<usize>) -> bool {
    dim.is_none_or(|dim| dim > 4)
}

/// A dimension; `None` if it is symbolic or missing.
fn dimension(dim: &tensor_shape_proto::Dimension) -> Option<usize> {
    match dim.value {
        Some(tensor_shape_proto::dimension::Value::DimValue(value)) => {
            usize::try_from(value).ok().filter(|&dim| dim > 0)
        }
        _ => None,
    }
}

fn read_node(node: NodeProto, external: &mut External) -> Result<ParsedNode, LoadError> {
    let name = if node.name.is_empty() { node.output.first().map_or("", String::as_str) } else { &node.name };
    let name = text::name(name);
    if !is_standard(&node.domain) {
        let what = format!("operator {} of {}", text::name(&node.op_type), text::name(&node.domain));
        let allowed = "only ONNX's own operators are: export without extensions and export_modules_as_functions, and optimize with \
                       ONNX Runtime's basic level at most";
        return Err(LoadError::Unsupported { node: name, what, allowed: allowed.into() });
    }
    let mut attributes = HashMap::new();
    for mut attribute in node.attribute {
        let key = std::mem::take(&mut attribute.name);
        attributes.insert(key, read_attribute(attribute, external)?);
    }
    Ok(ParsedNode { name, operator: node.op_type, inputs: node.input, outputs: node.output, attributes })
}

fn read_attribute(attribute: AttributeProto, external: &mut External) -> Result<Attribute, LoadError> {
    const FLOAT: i32 = 1;
    const INT: i32 = 2;
    const STRING: i32 = 3;
    const TENSOR: i32 = 4;
    const FLOATS: i32 = 6;
    const INTS: i32 = 7;
    let kind = match attribute.r#type {
        // Old files lack the type field; infer it from the value.
        0 if attribute.t.is_some() => TENSOR,
        0 if !attribute.ints.is_empty() => INTS,
        0 if !attribute.floats.is_empty() => FLOATS,
        0 if !attribute.s.is_empty() => STRING,
        0 if attribute.f != 0.0 => FLOAT,
        0 => INT,
        kind => kind,
    };
    Ok(match (kind, attribute.t) {
        (FLOAT, _) => Attribute::Float(attribute.f),
        (INT, _) => Attribute::Int(attribute.i),
        (STRING, _) => Attribute::Text(String::from_utf8_lossy(&attribute.s).into_owned()),
        (TENSOR, Some(tensor)) => Attribute::Tensor(Arc::new(read_tensor(tensor, external)?)),
        (FLOATS, _) => Attribute::Floats(attribute.floats),
        (INTS, _) => Attribute::Ints(attribute.ints),
        _ => Attribute::Other,
    })
}

/// Reads a tensor. The number of values must match the dimensions.
fn read_tensor(tensor: TensorProto, external: &mut External) -> Result<Tensor, LoadError> {
    let name = if tensor.name.is_empty() { "(a constant)" } else { &tensor.name };
    let malformed = |what: String| LoadError::malformed(name, what);
    let kind = element(tensor.data_type).map_err(|allowed| LoadError::Unsupported {
        node: text::name(name),
        what: format!("a constant of type {}", type_name(tensor.data_type)),
        allowed: allowed.into(),
    })?;
    let dims = tensor.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect::<Option<Vec<usize>>>();
    let impossible = || malformed(format!("dimensions {} are impossible", text::list(&tensor.dims)));
    let dims = dims.ok_or_else(impossible)?;
    at_most(format!("the number of axes of {}", text::name(name)), dims.len(), MAX_RANK)?;
    let count = volume(&dims).filter(|_| bulk(&dims) <= MAX_FILE_BYTES).ok_or_else(impossible)?;
    let is_external = tensor.data_location.is_some_and(|location| location != 0) || !tensor.external_data.is_empty();
    let raw = if is_external {
        let entries = tensor.external_data.iter().map(|entry| (entry.key.as_str(), entry.value.as_str()));
        external.read(name, &Reference::new(name, entries)?, count * kind.bytes())?
    } else {
        tensor.raw_data
    };
    let held = match raw.len() {
        0 => {
            tensor.float_data.len()
                + tensor.int32_data.len()
                + tensor.int64_data.len()
                + tensor.double_data.len()
                + tensor.uint64_data.len()
        }
        len => len / kind.bytes(),
    };
    if held != count || !raw.len().is_multiple_of(kind.bytes()) {
        let dims = text::list(&dims);
        return Err(malformed(format!("dimensions {dims} require {count} values, but there are {held}")));
    }
    let data = if raw.is_empty() {
        kind.read_fields(
            tensor.float_data,
            tensor.double_data,
            &tensor.int32_data,
            &tensor.int64_data,
            &tensor.uint64_data,
        )
    } else {
        kind.read_bytes(&raw)
    };
    if data.len() != count {
        return Err(malformed(format!("its values are not of its type, {}", type_name(tensor.data_type))));
    }
    Ok(Tensor { dims, data })
}
