//! Every file in the repository's `models` folder is triangular, and all runtimes give the same logits for it.

use std::fs;
use std::path::{Path, PathBuf};

use anywidth::engine::{Triangle, Width};
use tract_onnx::pb::tensor_shape_proto::dimension;
use tract_onnx::pb::{ModelProto, type_proto};

use crate::runtimes::{
    TOLERANCE, anywidth, decode, initializers, largest_difference, onnx_runtime, random_images, sliced, tract,
};

/// `models/<name>/<version>/model.onnx`.
fn models() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let folders = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.expect("a readable folder").path()).filter(|path| path.is_dir()).collect()
    };
    let versions = folders(&root).into_iter().flat_map(|model| folders(&model));
    versions.map(|version| version.join("model.onnx")).filter(|file| file.exists()).collect()
}

/// `[C, H, W]` of the input, according to the file.
fn image_size(model: &ModelProto) -> [i64; 3] {
    let input = model.graph.as_ref().and_then(|graph| graph.input[0].r#type.as_ref()?.value.as_ref());
    let Some(type_proto::Value::TensorType(tensor)) = input else { panic!("the input is a tensor") };
    let dimensions = &tensor.shape.as_ref().expect("a shape").dim;
    [1, 2, 3].map(|axis| match dimensions[axis].value {
        Some(dimension::Value::DimValue(length)) => length,
        _ => panic!("axis {axis} has a fixed length"),
    })
}

#[test]
fn the_shipped_models_are_there() {
    let names: Vec<_> = models().iter().filter_map(|path| path.iter().rev().nth(2).map(ToOwned::to_owned)).collect();
    for name in ["mnist", "fashion-mnist", "cifar10-lenet", "cifar10", "cifar100"] {
        assert!(names.iter().any(|found| found == name), "{name} is not among {names:?}");
    }
}

#[test]
fn every_model_is_triangular() {
    for path in models() {
        let model = decode(&path);
        let weights = initializers(&model);
        let graph = model.graph.as_ref().expect("a graph");
        let convolutions = graph.node.iter().filter(|node| node.op_type == "Conv").skip(1);
        for node in convolutions {
            let weight = &weights[&node.input[1]];
            let [c_out, c_in, height, width] = weight.size()[..] else { panic!("{} has four axes", node.name) };
            let values: Vec<f32> = Vec::try_from(weight.view([-1])).expect("floats");
            for (place, kernel) in values.chunks_exact((height * width) as usize).enumerate() {
                let (i, j) = (place / c_in as usize, place % c_in as usize);
                let allowed = Triangle::new(c_in as usize, c_out as usize).connects(i, j);
                assert!(allowed || kernel.iter().all(|&value| value == 0.0), "{}: row {i}, column {j}", path.display());
            }
        }
    }
}

#[test]
fn every_runtime_gives_the_logits_of_libtorch_at_full_width() {
    for path in models() {
        let model = decode(&path);
        let [channels, height, width] = image_size(&model);
        let images = random_images([4, channels, height, width], 3);
        let expected = sliced(&model, &images, Width::FULL);
        for (runtime, logits) in [("ONNX Runtime", onnx_runtime(&path, &images)), ("tract", tract(&path, &images))] {
            let difference = largest_difference(&logits, &expected);
            assert!(difference < TOLERANCE, "{}: {runtime} differs by {difference}", path.display());
        }
    }
}

#[test]
fn the_engine_gives_the_logits_of_the_sliced_network_at_every_width() {
    for path in models() {
        let model = decode(&path);
        let [channels, height, width] = image_size(&model);
        let images = random_images([3, channels, height, width], 4);
        for millionths in [1, 125_000, 250_000, 333_333, 500_000, 750_000, 900_000, 1_000_000] {
            let width = Width::from_millionths(millionths).expect("a width");
            let difference = largest_difference(&anywidth(&path, &images, width), &sliced(&model, &images, width));
            assert!(difference < TOLERANCE, "{}: width {width} differs by {difference}", path.display());
        }
    }
}
