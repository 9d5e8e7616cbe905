//! Writes small ONNX files with triangular weights, layer by layer, for tests that need one of their own.

use prost::Message;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, tensor_proto, tensor_shape_proto, type_proto,
};

use anywidth::engine::Triangle;

/// An ONNX file under construction. `proto` is public so that a test can spoil it.
pub struct OnnxFile {
    pub proto: ModelProto,
    /// The tensor that the next layer reads.
    top: String,
    /// Its `[channels, height, width]`.
    shape: [usize; 3],
    /// Has a layer before made its channels follow the width?
    sliced: bool,
    state: u64,
}

impl OnnxFile {
    /// A file whose image has the given `[channels, height, width]`; `batch` is a number or a symbol.
    pub fn new(image: [usize; 3], batch: &str, opset: i64) -> OnnxFile {
        let input = tensor_info("image", std::iter::once(batch.to_string()).chain(image.map(|d| d.to_string())));
        let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: opset }];
        let graph = GraphProto { name: "net".into(), input: vec![input], ..GraphProto::default() };
        let proto = ModelProto { ir_version: 8, opset_import, graph: Some(graph), ..ModelProto::default() };
        OnnxFile { proto, top: "image".into(), shape: image, sliced: false, state: 7 }
    }

    /// LeNet-3C1L with `channels` channels and random weights, the normalisation of the image included.
    pub fn lenet(image: [usize; 3], channels: usize, classes: usize) -> OnnxFile {
        let mut file = OnnxFile::new(image, "N", 17);
        file.rescale("Sub", 0.45).rescale("Div", 0.25);
        file.conv(channels, 3, 0).node("Relu").conv(channels, 3, 0).node("Relu").max_pool();
        file.conv(channels, 5, 0).node("Relu").max_pool().node("Flatten").gemm(classes);
        file
    }

    /// The finished file.
    pub fn bytes(&mut self) -> Vec<u8> {
        let top = self.top.clone();
        self.graph().output = vec![tensor_info(&top, ["N".to_string(), "classes".to_string()].into_iter())];
        self.proto.encode_to_vec()
    }

    /// Sets an entry of `metadata_props`.
    pub fn metadata(&mut self, key: &str, value: &str) -> &mut OnnxFile {
        self.proto.metadata_props.push(StringStringEntryProto { key: key.into(), value: value.into() });
        self
    }

    /// A convolution with a square kernel, padding and triangular weights, stride 1.
    pub fn conv(&mut self, outputs: usize, kernel: usize, pad: usize) -> &mut OnnxFile {
        self.convolution(outputs, [kernel; 2], [1; 2], pad)
    }

    /// A convolution with triangular weights and no padding.
    pub fn conv_with(&mut self, outputs: usize, kernel: [usize; 2], strides: [usize; 2]) -> &mut OnnxFile {
        self.convolution(outputs, kernel, strides, 0)
    }

    fn convolution(&mut self, outputs: usize, kernel: [usize; 2], strides: [usize; 2], pad: usize) -> &mut OnnxFile {
        let [inputs, height, width] = self.shape;
        let weights = self.triangular(outputs, inputs, kernel[0] * kernel[1]);
        let weights = self.constant(&[outputs, inputs, kernel[0], kernel[1]], weights);
        let bias = self.random_constant(&[outputs]);
        let attributes = vec![ints("kernel_shape", &kernel), ints("pads", &[pad; 4]), ints("strides", &strides)];
        self.add("Conv", vec![weights, bias], attributes);
        let extent = |axis: usize, len: usize| (len + 2 * pad - kernel[axis]) / strides[axis] + 1;
        (self.shape, self.sliced) = ([outputs, extent(0, height), extent(1, width)], true);
        self
    }

    /// A node `bomb` that multiplies two vectors of `len` numbers into a matrix that nothing reads.
    pub fn constant_product(&mut self, len: usize) {
        let input = vec![self.constant(&[len, 1], vec![1.0; len]), self.constant(&[1, len], vec![1.0; len])];
        let (name, op_type) = ("bomb".to_string(), "Mul".into());
        self.graph()
            .node
            .insert(0, NodeProto { name: name.clone(), op_type, input, output: vec![name], ..NodeProto::default() });
    }

    /// BatchNormalization with random statistics.
    pub fn batch_norm(&mut self) -> &mut OnnxFile {
        self.batch_norm_with(vec![])
    }

    /// BatchNormalization with random statistics and these attributes.
    pub fn batch_norm_with(&mut self, attributes: Vec<AttributeProto>) -> &mut OnnxFile {
        let channels = self.shape[0];
        let mut inputs: Vec<String> = (0..3).map(|_| self.random_constant(&[channels])).collect();
        let variance = self.numbers(channels).iter().map(|number| number.abs() + 0.5).collect();
        inputs.push(self.constant(&[channels], variance));
        self.add("BatchNormalization", inputs, attributes);
        self
    }

    /// Halves rows and columns.
    pub fn max_pool(&mut self) -> &mut OnnxFile {
        self.add("MaxPool", vec![], vec![ints("kernel_shape", &[2; 2]), ints("strides", &[2; 2])]);
        self.shape = [self.shape[0], self.shape[1] / 2, self.shape[2] / 2];
        self
    }

    /// The mean over rows and columns, in the way that `operator` does it.
    pub fn global_pool(&mut self, operator: &str) -> &mut OnnxFile {
        let attributes = if operator == "ReduceMean" { vec![ints("axes", &[2, 3])] } else { vec![] };
        self.add(operator, vec![], attributes);
        self.shape = [self.shape[0], 1, 1];
        self
    }

    /// An operator with one input and no attributes.
    pub fn node(&mut self, operator: &str) -> &mut OnnxFile {
        self.add(operator, vec![], vec![]);
        self
    }

    /// `Add`, `Sub`, `Mul` or `Div` with one number for all channels.
    pub fn rescale(&mut self, operator: &str, number: f32) -> &mut OnnxFile {
        let constant = self.constant(&[1], vec![number]);
        self.add(operator, vec![constant], vec![]);
        self
    }

    /// Bounds the values from below and above.
    pub fn clip(&mut self, low: f32, high: f32) -> &mut OnnxFile {
        let bounds = vec![self.constant(&[], vec![low]), self.constant(&[], vec![high])];
        self.add("Clip", bounds, vec![]);
        self
    }

    /// The head as one node.
    pub fn gemm(&mut self, classes: usize) -> &mut OnnxFile {
        let features = self.shape.iter().product();
        let inputs = vec![self.random_constant(&[classes, features]), self.random_constant(&[classes])];
        self.add("Gemm", inputs, vec![int("transB", 1)]);
        self
    }

    /// The head as a product and a sum.
    pub fn matmul_add(&mut self, classes: usize) -> &mut OnnxFile {
        let features = self.shape.iter().product();
        let (weights, bias) = (self.random_constant(&[features, classes]), self.random_constant(&[classes]));
        self.add("MatMul", vec![weights], vec![]);
        self.add("Add", vec![bias], vec![]);
        self
    }

    /// `x.view(x.size(0), -1)` as it is written for a batch that is not fixed: the shape is computed.
    pub fn view(&mut self) -> &mut OnnxFile {
        let source = self.top.clone();
        let zero = self.int_constant(&[], &[0]);
        let axes = self.int_constant(&[1], &[0]);
        let rest = self.int_constant(&[1], &[-1]);
        let shape = self.plain("Shape", vec![source.clone()], vec![]);
        let batch = self.plain("Gather", vec![shape, zero], vec![int("axis", 0)]);
        let batch = self.plain("Unsqueeze", vec![batch, axes], vec![]);
        let target = self.plain("Concat", vec![batch, rest], vec![int("axis", 0)]);
        self.top = self.plain("Reshape", vec![source, target], vec![]);
        self.shape = [self.shape.iter().product(), 1, 1];
        self
    }

    /// Removes axes of length 1.
    pub fn squeeze(&mut self, axes: &[i64]) -> &mut OnnxFile {
        let axes = self.int_constant(&[axes.len()], axes);
        self.add("Squeeze", vec![axes], vec![]);
        self
    }

    /// `x[:, :, 0, 0]`
    pub fn index_pixel(&mut self) -> &mut OnnxFile {
        for _ in 0..2 {
            let index = self.int_constant(&[], &[0]);
            self.add("Gather", vec![index], vec![int("axis", 2)]);
        }
        self.shape = [self.shape[0], 1, 1];
        self
    }

    /// Every so many pixels along some axes, from the first up to pixel `end`.
    pub fn slice(&mut self, axes: &[i64], end: i64, steps: &[i64]) -> &mut OnnxFile {
        let count = axes.len();
        let lists = [vec![0; axes.len()], vec![end; axes.len()], axes.to_vec(), steps.to_vec()];
        let constants = lists.map(|values| self.int_constant(&[count], &values));
        self.add("Slice", constants.into(), vec![]);
        self
    }

    /// Zeros above, to the left, below and to the right.
    pub fn pad(&mut self, [top, left, below, right]: [usize; 4]) -> &mut OnnxFile {
        let pads = [0, 0, top, left, 0, 0, below, right].map(|pad| pad as i64);
        let pads = self.int_constant(&[8], &pads);
        self.add("Pad", vec![pads], vec![]);
        self.shape = [self.shape[0], self.shape[1] + top + below, self.shape[2] + left + right];
        self
    }

    /// `Max` or `Min` with a number.
    pub fn bound(&mut self, operator: &str, number: f32) -> &mut OnnxFile {
        let constant = self.constant(&[], vec![number]);
        self.add(operator, vec![constant], vec![]);
        self
    }

    /// A convolution whose dense weights are multiplied by a mask in the file.
    pub fn masked_conv(&mut self, outputs: usize, kernel: usize) -> &mut OnnxFile {
        let [inputs, height, width] = self.shape;
        let dims = [outputs, inputs, kernel, kernel];
        let weights = self.random_constant(&dims);
        let sliced = self.sliced;
        let triangle = Triangle::new(inputs, outputs);
        let allowed = |at: usize| if !sliced || triangle.connects(at / inputs, at % inputs) { 1.0 } else { 0.0 };
        let mask = (0..outputs * inputs).map(allowed).collect();
        let mask = self.constant(&[outputs, inputs, 1, 1], mask);
        let weights = self.plain("Mul", vec![weights, mask], vec![]);
        self.add("Conv", vec![weights], vec![]);
        (self.shape, self.sliced) = ([outputs, height + 1 - kernel, width + 1 - kernel], true);
        self
    }

    /// Any operator on the top, with constants that are made beside it, and the shape of what it gives.
    pub fn operator(
        &mut self,
        operator: &str,
        constants: Vec<String>,
        attributes: Vec<AttributeProto>,
        shape: [usize; 3],
    ) -> &mut OnnxFile {
        self.add(operator, constants, attributes);
        self.shape = shape;
        self
    }

    /// A convolution of a square kernel with these attributes, which give a map of `height` and `width`.
    pub fn conv_of(
        &mut self,
        outputs: usize,
        kernel: usize,
        attributes: Vec<AttributeProto>,
        [height, width]: [usize; 2],
    ) -> &mut OnnxFile {
        let inputs = self.shape[0];
        let weights = self.triangular(outputs, inputs, kernel * kernel);
        let weights = self.constant(&[outputs, inputs, kernel, kernel], weights);
        let bias = self.random_constant(&[outputs]);
        self.add("Conv", vec![weights, bias], attributes);
        (self.shape, self.sliced) = ([outputs, height, width], true);
        self
    }

    /// A convolution of a square kernel with one filter per channel and padding that preserves the extent.
    pub fn depthwise(&mut self, kernel: usize) -> &mut OnnxFile {
        let channels = self.shape[0];
        let inputs = vec![self.random_constant(&[channels, 1, kernel, kernel]), self.random_constant(&[channels])];
        let attributes = vec![int("group", channels as i64), ints("pads", &[kernel / 2; 4])];
        self.add("Conv", inputs, attributes);
        self
    }

    /// Squeeze-and-excitation: two 1x1 convolutions of the channels' means, each with an operator after it, as factors of the channels.
    pub fn squeeze_excitation(&mut self, hidden: usize, inner: &str, gate: &str) -> &mut OnnxFile {
        let (map, shape) = (self.top(), self.shape);
        self.global_pool("GlobalAveragePool").conv(hidden, 1, 0).node(inner).conv(shape[0], 1, 0).node(gate);
        self.shape = shape;
        self.times(map)
    }

    /// The product with another value of the same shape, or with a larger one.
    pub fn times(&mut self, other: String) -> &mut OnnxFile {
        self.add("Mul", vec![other], vec![]);
        self
    }

    /// The name of what the next layer reads.
    pub fn top(&self) -> String {
        self.top.clone()
    }

    /// Lets the next layer read another value of the same shape.
    pub fn read(&mut self, name: String) -> &mut OnnxFile {
        self.top = name;
        self
    }

    /// Extent of what the next layer reads.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// A constant of integers, by its name.
    pub fn int_constant(&mut self, dims: &[usize], values: &[i64]) -> String {
        let name = format!("constant{}", self.graph().initializer.len());
        let dims = dims.iter().map(|&dim| dim as i64).collect();
        let data_type = tensor_proto::DataType::Int64 as i32;
        let tensor =
            TensorProto { name: name.clone(), dims, data_type, int64_data: values.to_vec(), ..TensorProto::default() };
        self.graph().initializer.push(tensor);
        name
    }

    /// A node that reads these values; returns the name of what it computes.
    pub fn plain(&mut self, operator: &str, input: Vec<String>, attribute: Vec<AttributeProto>) -> String {
        let name = format!("{}{}", operator.to_lowercase(), self.graph().node.len());
        let (op_type, output) = (operator.into(), vec![name.clone()]);
        let node = NodeProto { name: name.clone(), op_type, input, output, attribute, ..NodeProto::default() };
        self.graph().node.push(node);
        name
    }

    /// The graph, to be spoilt.
    pub fn graph(&mut self) -> &mut GraphProto {
        self.proto.graph.as_mut().unwrap()
    }

    fn add(&mut self, operator: &str, constants: Vec<String>, attribute: Vec<AttributeProto>) {
        let inputs = std::iter::once(self.top.clone()).chain(constants).collect();
        self.top = self.plain(operator, inputs, attribute);
    }

    fn triangular(&mut self, outputs: usize, inputs: usize, taps: usize) -> Vec<f32> {
        let (numbers, sliced) = (self.numbers(outputs * inputs * taps), self.sliced);
        let scale = (3.0 / (inputs * taps) as f32).sqrt();
        let triangle = Triangle::new(inputs, outputs);
        let allowed = |at: usize| !sliced || triangle.connects(at / (inputs * taps), at / taps % inputs);
        numbers.iter().enumerate().map(|(at, number)| if allowed(at) { scale * number } else { 0.0 }).collect()
    }

    fn random_constant(&mut self, dims: &[usize]) -> String {
        let numbers = self.numbers(dims.iter().product());
        self.constant(dims, numbers)
    }

    /// A constant, by its name.
    pub fn constant(&mut self, dims: &[usize], values: Vec<f32>) -> String {
        let name = format!("constant{}", self.graph().initializer.len());
        let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let dims = dims.iter().map(|&dim| dim as i64).collect();
        let data_type = tensor_proto::DataType::Float as i32;
        self.graph().initializer.push(TensorProto {
            name: name.clone(),
            dims,
            data_type,
            raw_data,
            ..TensorProto::default()
        });
        name
    }

    /// Numbers in -0.5..0.5: a linear congruential generator with Knuth's constants for MMIX.
    pub fn numbers(&mut self, count: usize) -> Vec<f32> {
        let mut next = || {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        (0..count).map(|_| next()).collect()
    }
}

/// An attribute that is a list of integers.
pub fn ints<T: Copy + TryInto<i64>>(name: &str, values: &[T]) -> AttributeProto {
    let ints = values.iter().map(|&value| value.try_into().unwrap_or(i64::MAX)).collect();
    AttributeProto { name: name.into(), r#type: 7, ints, ..AttributeProto::default() }
}

/// An attribute that is a text.
pub fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: 3, s: value.into(), ..AttributeProto::default() }
}

/// An attribute that is an integer.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: 2, i: value, ..AttributeProto::default() }
}

/// An attribute that is a number.
pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: 1, f: value, ..AttributeProto::default() }
}

fn tensor_info(name: &str, dims: impl Iterator<Item = String>) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension::Value};
    let value = |dim: String| dim.parse().map(Value::DimValue).unwrap_or(Value::DimParam(dim));
    let dim = dims.map(|dim| Dimension { value: Some(value(dim)), ..Dimension::default() }).collect();
    let shape = Some(TensorShapeProto { dim });
    let tensor = type_proto::Tensor { elem_type: tensor_proto::DataType::Float as i32, shape };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.into(), r#type: Some(r#type), ..ValueInfoProto::default() }
}
