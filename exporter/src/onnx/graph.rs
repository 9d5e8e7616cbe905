//! The ONNX graph of a network: one node per layer, except for normalizations folded into the layer before.

use tch::{Kind, Tensor};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, NodeProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

use crate::model::{BatchNorm, FanIn, Layer, Matrix, Network, Node, NodeId, Window};

/// Name of the graph's input, `[N, C, H, W]` in 0..1.
const IMAGE: &str = "image";
/// Name of the graph's output, `[N, classes]`.
const LOGITS: &str = "logits";

/// A graph under construction.
struct Writer<'a> {
    network: &'a Network,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    /// The name of each node's value, by node index.
    values: Vec<String>,
}

/// The graph of `network`.
pub(super) fn graph(network: &Network) -> GraphProto {
    let mut writer = Writer { network, nodes: Vec::new(), initializers: Vec::new(), values: Vec::new() };
    for id in 0..network.graph.nodes.len() {
        let value = writer.node(id);
        writer.values.push(value);
    }
    writer.classifier();

    let classes = network.graph.classifier.bias.size()[0];
    let image = network.image();
    let image = [image.channels, image.height, image.width].map(|length| length as i64);
    GraphProto {
        name: network.architecture.name().into(),
        node: writer.nodes,
        initializer: writer.initializers,
        input: vec![value(IMAGE, &image)],
        output: vec![value(LOGITS, &[classes])],
        ..GraphProto::default()
    }
}

impl Writer<'_> {
    /// Writes the node `id`, whose inputs are already written, and returns the name of its value.
    fn node(&mut self, id: NodeId) -> String {
        let network = self.network;
        let node = &network.graph.nodes[id];
        match &node.layer {
            Layer::Image => self.normalise(),
            Layer::Convolution(convolution) => {
                let attributes = window(convolution.window, &convolution.weight);
                let inputs = self.inputs(node);
                let parameters = self.folded(id, &convolution.weight);
                self.push(&node.name, "Conv", attributes, inputs, parameters)
            }
            Layer::Linear(linear) => {
                let flat = self.flat(node.inputs[0], &format!("{}.flatten", node.name));
                let mut parameters = self.folded(id, &linear.weight);
                parameters[0].1 = parameters[0].1.flatten(1, 2);
                self.push(&node.name, "Gemm", vec![integer("transB", 1)], vec![flat], parameters)
            }
            // A folded normalization has no value of its own.
            Layer::Norm(norm) => match network.graph.folded_norm(node.inputs[0]) {
                Some((folded, _)) if folded == id => self.values[node.inputs[0]].clone(),
                _ => {
                    let named =
                        |(what, tensor): (&str, &Tensor)| (format!("{}.{what}", node.name), tensor.shallow_clone());
                    let parameters = norm.full().tensors().map(named).into();
                    let epsilon = float("epsilon", BatchNorm::EPSILON as f32);
                    let inputs = self.inputs(node);
                    self.push(&node.name, "BatchNormalization", vec![epsilon], inputs, parameters)
                }
            },
            Layer::Relu => self.plain(node, "Relu", Vec::new()),
            Layer::Relu6 => {
                let bound = |name: &str, value: f64| (format!("{}.{name}", node.name), Tensor::from(value));
                let inputs = self.inputs(node);
                self.push(&node.name, "Clip", Vec::new(), inputs, vec![bound("low", 0.0), bound("high", 6.0)])
            }
            Layer::MaxPool { size } => {
                let sides = [*size as i64; 2];
                self.plain(node, "MaxPool", vec![integers("kernel_shape", &sides), integers("strides", &sides)])
            }
            Layer::GlobalMaxPool => self.plain(node, "GlobalMaxPool", Vec::new()),
            Layer::GlobalAveragePool => self.plain(node, "GlobalAveragePool", Vec::new()),
            Layer::Add => self.plain(node, "Add", Vec::new()),
        }
    }

    fn normalise(&mut self) -> String {
        let network = self.network;
        let constants = |values: &[f64]| Tensor::from_slice(values).view([1, -1, 1, 1]);
        let mean = vec![("mean".into(), constants(&network.normalisation.mean))];
        let centred = self.push("centred", "Sub", Vec::new(), vec![IMAGE.into()], mean);
        let std = vec![("std".into(), constants(&network.normalisation.std))];
        self.push("normalised", "Div", Vec::new(), vec![centred], std)
    }

    fn classifier(&mut self) {
        let classifier = &self.network.graph.classifier;
        let flat = self.flat(self.network.graph.nodes.len() - 1, "flatten");
        let (weight, bias) = (classifier.weight.flatten(1, 2), classifier.bias.shallow_clone());
        let parameters = vec![("classifier.weight".into(), weight), ("classifier.bias".into(), bias)];
        self.push(LOGITS, "Gemm", vec![integer("transB", 1)], vec![flat], parameters);
    }

    /// The weights of the layer `id`, and the bias if a normalization is folded into it.
    fn folded(&self, id: NodeId, weight: &Matrix) -> Vec<(String, Tensor)> {
        let graph = &self.network.graph;
        let name = |what: &str| format!("{}.{what}", graph.nodes[id].name);
        match graph.folded_norm(id) {
            Some((_, norm)) => {
                let (weight, bias) = weight.folded(norm);
                vec![(name("weight"), weight), (name("bias"), bias)]
            }
            // The mask turns negative weights into -0.0; adding 0.0 turns them into +0.0.
            None => vec![(name("weight"), weight.masked() + 0.0)],
        }
    }

    /// The value of the node `id` as `[N, C * H * W]`; adds a node `name` if it is not flat.
    fn flat(&mut self, id: NodeId, name: &str) -> String {
        let mut source = id;
        while let Layer::Norm(_) | Layer::Relu | Layer::Relu6 = self.network.graph.nodes[source].layer {
            source = self.network.graph.nodes[source].inputs[0];
        }
        let value = self.values[id].clone();
        match self.network.graph.nodes[source].layer {
            Layer::Linear(_) => value,
            _ => self.push(name, "Flatten", vec![integer("axis", 1)], vec![value], Vec::new()),
        }
    }

    fn inputs(&self, node: &Node) -> Vec<String> {
        node.inputs.iter().map(|&input| self.values[input].clone()).collect()
    }

    /// Adds a node without parameters.
    fn plain(&mut self, node: &Node, op_type: &str, attributes: Vec<AttributeProto>) -> String {
        let inputs = self.inputs(node);
        self.push(&node.name, op_type, attributes, inputs, Vec::new())
    }

    /// Adds a node that reads the values `input` and `parameters`, and writes the value `name`.
    fn push(
        &mut self,
        name: &str,
        op_type: &str,
        attribute: Vec<AttributeProto>,
        mut input: Vec<String>,
        parameters: Vec<(String, Tensor)>,
    ) -> String {
        for (parameter, tensor) in parameters {
            self.initializers.push(initializer(&parameter, &tensor));
            input.push(parameter);
        }
        self.nodes.push(NodeProto {
            name: name.into(),
            op_type: op_type.into(),
            input,
            output: vec![name.into()],
            attribute,
            ..NodeProto::default()
        });
        name.into()
    }
}

fn window(Window { side, stride, padding }: Window, weight: &Matrix) -> Vec<AttributeProto> {
    let [side, stride, padding] = [side, stride, padding].map(|length| length as i64);
    let mut attributes = vec![
        integers("kernel_shape", &[side, side]),
        integers("pads", &[padding; 4]),
        integers("strides", &[stride, stride]),
    ];
    if weight.fan_in == FanIn::Own {
        attributes.push(integer("group", weight.rows() as i64));
    }
    attributes
}

fn initializer(name: &str, tensor: &Tensor) -> TensorProto {
    let values: Vec<f32> =
        Vec::try_from(tensor.to_kind(Kind::Float).contiguous().view([-1])).expect("a flat tensor of floats");
    TensorProto {
        name: name.into(),
        dims: tensor.size(),
        data_type: DataType::Float as i32,
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ..TensorProto::default()
    }
}

fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i: value, ..AttributeProto::default() }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Float as i32, f: value, ..AttributeProto::default() }
}

fn integers(name: &str, values: &[i64]) -> AttributeProto {
    let r#type = AttributeType::Ints as i32;
    AttributeProto { name: name.into(), r#type, ints: values.to_vec(), ..AttributeProto::default() }
}

/// A float32 value with a symbolic batch axis and the given `lengths`.
fn value(name: &str, lengths: &[i64]) -> ValueInfoProto {
    let batch = dimension::Value::DimParam("N".into());
    let values = std::iter::once(batch).chain(lengths.iter().map(|&length| dimension::Value::DimValue(length)));
    let dim = values.map(|value| Dimension { value: Some(value), ..Dimension::default() }).collect();
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(TensorShapeProto { dim }) };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.into(), r#type: Some(r#type), ..ValueInfoProto::default() }
}
