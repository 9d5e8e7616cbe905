//! Other ways to run an exported file, for comparison: ONNX Runtime, tract, and libtorch with the file's own weights.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anywidth::engine::{Model, Pass, Width};
use prost::Message;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tch::{Kind, Tensor};
use tract_onnx::pb::{ModelProto, NodeProto, TensorProto};

/// Tolerance of logits between runtimes.
pub(crate) const TOLERANCE: f64 = 1e-4;

/// Random images `[N, C, H, W]` in 0..1.
pub(crate) fn random_images(size: [i64; 4], seed: u64) -> Tensor {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let pixels: Vec<f32> = (0..size.iter().product::<i64>()).map(|_| random.random()).collect();
    Tensor::from_slice(&pixels).view(size)
}

pub(crate) fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

/// The logits of ONNX Runtime; also runs `onnx.checker`.
pub(crate) fn onnx_runtime(model: &Path, images: &Tensor) -> Tensor {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (source, target) = (folder.path().join("images"), folder.path().join("logits"));
    let bytes: Vec<u8> = floats(images).iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(&source, bytes).expect("the images are written");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = here.join("../.venv/bin/python");
    assert!(python.exists(), "{}: `make test` in the repository's root makes it", python.display());
    let output = Command::new(python)
        .args([here.join("tests/onnx_runtime.py").as_path(), model, &source, &target])
        .args(images.size().iter().map(i64::to_string))
        .output()
        .expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bytes = fs::read(&target).expect("the logits are there");
    let logits: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    Tensor::from_slice(&logits).view([images.size()[0], -1])
}

/// The logits of tract's plain runner, which does not know widths.
pub(crate) fn tract(model: &Path, images: &Tensor) -> Tensor {
    use tract_onnx::prelude::{Framework, InferenceModelExt, IntoRunnable, IntoTensor, tract_ndarray, tvec};
    let runnable = tract_onnx::onnx()
        .model_for_path(model)
        .and_then(|model| model.into_optimized())
        .and_then(|model| model.into_runnable())
        .expect("tract reads the file");
    let size: Vec<usize> = images.size().iter().map(|&length| length as usize).collect();
    let input = tract_ndarray::ArrayD::from_shape_vec(size, floats(images)).expect("as many values as the shape says");
    let outputs = runnable.run(tvec!(input.into_tensor().into())).expect("tract runs the file");
    let logits: Vec<f32> = outputs[0].to_plain_array_view::<f32>().expect("floats").iter().copied().collect();
    Tensor::from_slice(&logits).view([images.size()[0], -1])
}

/// The logits of anywidth's own engine at `width`.
pub(crate) fn anywidth(model: &Path, images: &Tensor, width: Width) -> Tensor {
    let bytes = fs::read(model).expect("the model is there");
    let model = Model::from_onnx(&bytes).unwrap_or_else(|error| panic!("{}: {error}", model.display()));
    let classes = model.classes() as i64;
    let count = images.size()[0] as usize;
    let mut pass = Pass::new(Arc::new(model), count);
    floats(images).chunks_exact(images.numel() / count).for_each(|image| _ = pass.push(image));
    pass.widen(&vec![width; count]);
    let logits: Vec<f32> = (0..count).flat_map(|item| pass.logits(item).to_vec()).collect();
    Tensor::from_slice(&logits).view([-1, classes])
}

/// The contents of a file.
pub(crate) fn decode(model: &Path) -> ModelProto {
    ModelProto::decode(fs::read(model).expect("the model is there").as_slice()).expect("an ONNX file")
}

/// The file's weights, by name.
pub(crate) fn initializers(model: &ModelProto) -> HashMap<String, Tensor> {
    let graph = model.graph.as_ref().expect("a graph");
    graph.initializer.iter().map(|tensor| (tensor.name.clone(), tensor_of(tensor))).collect()
}

/// The logits of libtorch for the network sliced from the file's weights at `width`.
pub(crate) fn sliced(model: &ModelProto, images: &Tensor, width: Width) -> Tensor {
    let weights = initializers(model);
    let graph = model.graph.as_ref().expect("a graph");
    let mut values = HashMap::from([(graph.input[0].name.clone(), images.shallow_clone())]);
    for node in &graph.node {
        let value = run(node, &values, &weights, width);
        values.insert(node.output[0].clone(), value);
    }
    values.remove(&graph.output[0].name).expect("the logits")
}

/// The output of one node, from the values before it and its weights at `width`.
fn run(node: &NodeProto, values: &HashMap<String, Tensor>, weights: &HashMap<String, Tensor>, width: Width) -> Tensor {
    let input = &values[&node.input[0]];
    let parameter = |index: usize| &weights[&node.input[index]];
    match node.op_type.as_str() {
        "Sub" => input - parameter(1),
        "Div" => input / parameter(1),
        "Relu" => input.relu(),
        "Clip" => input.clamp(parameter(1).double_value(&[]), parameter(2).double_value(&[])),
        "Add" => input + &values[&node.input[1]],
        "Flatten" => input.flatten(1, -1),
        "MaxPool" => input.max_pool2d(integers(node, "kernel_shape"), integers(node, "strides"), [0, 0], [1, 1], false),
        "GlobalMaxPool" => input.adaptive_max_pool2d([1, 1]).0,
        "GlobalAveragePool" => input.adaptive_avg_pool2d([1, 1]),
        "Conv" => {
            let rows = width.active(parameter(1).size()[0] as usize) as i64;
            let depthwise = node.attribute.iter().any(|attribute| attribute.name == "group");
            let (groups, columns) = if depthwise { (rows, 1) } else { (1, input.size()[1]) };
            let weight = parameter(1).narrow(0, 0, rows).narrow(1, 0, columns);
            let bias = (node.input.len() > 2).then(|| parameter(2).narrow(0, 0, rows));
            let padding = &integers(node, "pads")[..2];
            input.conv2d(&weight, bias, integers(node, "strides"), padding, [1, 1], groups)
        }
        "BatchNormalization" => {
            let [gamma, beta, mean, variance] =
                [1, 2, 3, 4].map(|index| Some(parameter(index).narrow(0, 0, input.size()[1])));
            let epsilon = node.attribute.iter().find(|found| found.name == "epsilon").expect("epsilon").f;
            input.batch_norm(gamma, beta, mean, variance, false, 0.0, f64::from(epsilon), false)
        }
        // The last layer writes every class. Features are channel-major, so those of the first channels are the first
        // columns.
        "Gemm" => {
            let all = parameter(1).size()[0];
            let rows = if node.name == "logits" { all } else { width.active(all as usize) as i64 };
            let weight = parameter(1).narrow(0, 0, rows).narrow(1, 0, input.size()[1]);
            input.matmul(&weight.tr()) + parameter(2).narrow(0, 0, rows)
        }
        other => panic!("{}: {other} is not known to this test", node.name),
    }
}

fn integers(node: &NodeProto, name: &str) -> Vec<i64> {
    node.attribute.iter().find(|attribute| attribute.name == name).map(|found| found.ints.clone()).expect(name)
}

fn tensor_of(proto: &TensorProto) -> Tensor {
    Tensor::from_data_size(&proto.raw_data, &proto.dims, Kind::Float)
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.contiguous().view([-1])).expect("a flat tensor of floats")
}
