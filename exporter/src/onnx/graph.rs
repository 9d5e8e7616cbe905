//! Layers to ONNX nodes.

use tch::{Kind, Tensor};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, NodeProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

use crate::model::{BatchNorm, Convolution, Layer, Network, Window};

/// The name of the graph's input, `[N, C, H, W]` in 0..1.
const IMAGE: &str = "image";
/// The name of the graph's output, `[N, classes]`.
const LOGITS: &str = "logits";

/// A graph under construction: nodes are chained, each reads what the one before wrote.
struct Builder {
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    /// The name of the value that the next node reads.
    last: String,
}

/// The graph of `network`.
pub(super) fn graph(network: &Network) -> GraphProto {
    let mut builder = Builder { nodes: Vec::new(), initializers: Vec::new(), last: IMAGE.into() };
    builder.normalise(&network.normalisation.mean, &network.normalisation.std);
    let mut layers = network.layers.iter().enumerate().peekable();
    while let Some((index, layer)) = layers.next() {
        match (layer, layers.peek()) {
            (Layer::Convolution(convolution), Some((_, Layer::Norm(norm)))) => {
                let (weight, bias) = convolution.folded(norm);
                builder.convolution(convolution, weight, Some(bias));
                layers.next();
            }
            _ => builder.layer(index, layer),
        }
    }
    builder.push("flatten", "Flatten", vec![integer("axis", 1)], Vec::new());
    let weight = network.classifier.weight.flatten(1, 2);
    let bias = network.classifier.bias.shallow_clone();
    let parameters = vec![("classifier.weight".into(), weight), ("classifier.bias".into(), bias)];
    builder.push(LOGITS, "Gemm", vec![integer("transB", 1)], parameters);

    let classes = network.classifier.bias.size()[0];
    let image = [network.image.channels, network.image.height, network.image.width].map(|length| length as i64);
    GraphProto {
        name: network.architecture.name().into(),
        node: builder.nodes,
        initializer: builder.initializers,
        input: vec![value(IMAGE, &image)],
        output: vec![value(LOGITS, &[classes])],
        ..GraphProto::default()
    }
}

impl Builder {
    fn normalise(&mut self, mean: &[f64], std: &[f64]) {
        let constants = |values: &[f64]| Tensor::from_slice(values).view([1, -1, 1, 1]);
        self.push("centred", "Sub", Vec::new(), vec![("mean".into(), constants(mean))]);
        self.push("normalised", "Div", Vec::new(), vec![("std".into(), constants(std))]);
    }

    fn layer(&mut self, index: usize, layer: &Layer) {
        match layer {
            Layer::Convolution(convolution) => {
                // The mask makes -0.0 of a negative weight; adding 0.0 makes +0.0 of it.
                self.convolution(convolution, convolution.masked() + 0.0, None);
            }
            Layer::Norm(norm) => {
                let named = norm.tensors().map(|(name, tensor)| (name, tensor.shallow_clone()));
                let epsilon = float("epsilon", BatchNorm::EPSILON as f32);
                self.push(&norm.name, "BatchNormalization", vec![epsilon], named.into());
            }
            Layer::Relu => self.push(&format!("relu_{index}"), "Relu", Vec::new(), Vec::new()),
            Layer::MaxPool { size } => {
                let sides = [*size as i64; 2];
                let attributes = vec![integers("kernel_shape", &sides), integers("strides", &sides)];
                self.push(&format!("pool_{index}"), "MaxPool", attributes, Vec::new());
            }
            Layer::GlobalMaxPool => self.push(&format!("pool_{index}"), "GlobalMaxPool", Vec::new(), Vec::new()),
        }
    }

    fn convolution(&mut self, convolution: &Convolution, weight: Tensor, bias: Option<Tensor>) {
        let name = &convolution.name;
        let Window { side, stride, padding } = convolution.window;
        let [side, stride, padding] = [side, stride, padding].map(|length| length as i64);
        let attributes = vec![
            integers("kernel_shape", &[side, side]),
            integers("pads", &[padding; 4]),
            integers("strides", &[stride, stride]),
        ];
        let mut parameters = vec![(format!("{name}.weight"), weight)];
        parameters.extend(bias.map(|bias| (format!("{name}.bias"), bias)));
        self.push(name, "Conv", attributes, parameters);
    }

    /// A node that reads the last value and `parameters`, and writes the value `name`.
    fn push(&mut self, name: &str, op_type: &str, attribute: Vec<AttributeProto>, parameters: Vec<(String, Tensor)>) {
        let mut input = vec![std::mem::replace(&mut self.last, name.into())];
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
    }
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

/// A float32 value with a symbolic batch axis and these further `lengths`.
fn value(name: &str, lengths: &[i64]) -> ValueInfoProto {
    let batch = dimension::Value::DimParam("N".into());
    let values = std::iter::once(batch).chain(lengths.iter().map(|&length| dimension::Value::DimValue(length)));
    let dim = values.map(|value| Dimension { value: Some(value), ..Dimension::default() }).collect();
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(TensorShapeProto { dim }) };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.into(), r#type: Some(r#type), ..ValueInfoProto::default() }
}
