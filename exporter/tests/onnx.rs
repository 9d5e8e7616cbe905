//! The exported file is what the network is: for the checker, for other runtimes, and in its zeros.

mod common;

use std::fs;
use std::path::PathBuf;

use anywidth::engine::{Width, reads};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tch::{Kind, Tensor};

use common::{
    TOLERANCE, anywidth, decode, initializers, largest_difference, onnx_runtime, random_images, sliced, tract,
};
use exporter::data::Dataset;
use exporter::model::{Architecture, Classifier, Layer, Mode, Network, Normalisation, lenet, vgg8};
use exporter::onnx::{self, Metadata};

/// A LeNet-3C1L with unequal channel counts whose every tensor, BatchNorm's statistics too, is random.
fn lenet(dataset: Dataset, channels: [usize; 3]) -> Network {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let parts = lenet::layers(channels, dataset.shape(), 10, Kind::Float, &mut random);
    randomised(dataset, Architecture::Lenet { channels: channels[2] }, parts, &mut random)
}

/// A vgg-8, likewise.
fn vgg8(dataset: Dataset, channels: [usize; 3]) -> Network {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let parts = vgg8::layers(channels, dataset.shape(), 10, Kind::Float, &mut random);
    randomised(dataset, Architecture::Vgg8 { channels }, parts, &mut random)
}

fn randomised(
    dataset: Dataset,
    architecture: Architecture,
    (layers, classifier): (Vec<Layer>, Classifier),
    random: &mut ChaCha8Rng,
) -> Network {
    let (mean, std) = dataset.statistics();
    let normalisation = Normalisation { mean, std };
    let network = Network { architecture, image: dataset.shape(), normalisation, layers, classifier };
    tch::no_grad(|| {
        for (name, tensor) in network.tensors().into_iter().filter(|(name, _)| name.starts_with("norm")) {
            // Factors of either sign: a negative one must not make -0.0 of a zero.
            let least = if name.ends_with("variance") { 0.5 } else { -1.0 };
            let values: Vec<f32> = (0..tensor.numel()).map(|_| random.random_range(least..1.5)).collect();
            tensor.shallow_clone().copy_(&Tensor::from_slice(&values));
        }
    });
    network
}

fn exported(network: &Network, folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("model.onnx");
    let widths = vec![(Width::FULL, 0.5)];
    let metadata = Metadata {
        labels: ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].map(String::from).into(),
        accuracy: widths.clone(),
        temperature: widths,
        training: None,
    };
    fs::write(&path, onnx::model(network, &metadata)).expect("the file is written");
    path
}

#[test]
fn other_runtimes_give_the_logits_of_libtorch_at_full_width() {
    for (dataset, network) in [
        (Dataset::Mnist, lenet(Dataset::Mnist, [12, 12, 12])),
        (Dataset::Cifar10, lenet(Dataset::Cifar10, [10, 14, 9])),
        (Dataset::Mnist, vgg8(Dataset::Mnist, [5, 9, 4])),
        (Dataset::Cifar10, vgg8(Dataset::Cifar10, [64, 128, 256])),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = exported(&network, &folder);
        let shape = dataset.shape();
        let images = random_images([3, shape.channels as i64, shape.height as i64, shape.width as i64], 1);
        let expected = tch::no_grad(|| network.logits(&images, Width::FULL, Mode::EVALUATION));
        assert!(largest_difference(&onnx_runtime(&path, &images), &expected) < TOLERANCE, "ONNX Runtime, {dataset:?}");
        assert!(largest_difference(&tract(&path, &images), &expected) < TOLERANCE, "tract, {dataset:?}");
    }
}

#[test]
fn the_engine_and_the_file_sliced_by_hand_give_the_logits_of_the_network_at_any_width() {
    let images = random_images([2, 3, 32, 32], 2);
    let folder = tempfile::tempdir().expect("a temporary folder");
    for network in [
        lenet(Dataset::Cifar10, [10, 14, 9]),
        vgg8(Dataset::Cifar10, [7, 10, 9]),
        vgg8(Dataset::Cifar10, [64, 128, 256]),
    ] {
        let path = exported(&network, &folder);
        let model = decode(&path);
        for millionths in [1, 125_000, 333_333, 500_000, 650_000, 888_888, 1_000_000] {
            let width = Width::from_millionths(millionths).expect("a width");
            let expected = tch::no_grad(|| network.logits(&images, width, Mode::EVALUATION));
            for (what, logits) in
                [("the file", sliced(&model, &images, width)), ("the engine", anywidth(&path, &images, width))]
            {
                let difference = largest_difference(&logits, &expected);
                assert!(difference < TOLERANCE, "{what}, {:?}, width {width}: {difference}", network.architecture);
            }
        }
    }
}

#[test]
fn weights_above_the_triangle_are_exact_positive_zeros() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for network in [lenet(Dataset::Cifar10, [10, 14, 9]), vgg8(Dataset::Cifar10, [7, 10, 9])] {
        let weights = initializers(&decode(&exported(&network, &folder)));
        let hidden = |name: &&String| name.starts_with("conv") && name.ends_with("weight") && *name != "conv1.weight";
        for name in weights.keys().filter(hidden) {
            let weight = &weights[name];
            let [c_out, c_in, side, _] = weight.size()[..] else { panic!("{name} has four axes") };
            let values: Vec<f32> = Vec::try_from(weight.view([-1])).expect("floats");
            let taps = (side * side) as usize;
            for (place, kernel) in values.chunks_exact(taps).enumerate() {
                let (i, j) = (place / c_in as usize, place % c_in as usize);
                let zero = kernel.iter().all(|value| value.to_bits() == 0);
                assert_eq!(zero, !reads(i, j, c_in as usize, c_out as usize), "{name}: row {i}, column {j}");
            }
        }
    }
}

#[test]
fn metadata_says_what_a_server_needs_as_json() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = decode(&exported(&lenet(Dataset::Mnist, [4, 4, 4]), &folder));
    let entries: Vec<_> = model.metadata_props.iter().map(|entry| (entry.key.as_str(), entry.value.as_str())).collect();
    let expected = [
        ("anywidth.format", "1"),
        ("anywidth.labels", r#"["a","b","c","d","e","f","g","h","i","j"]"#),
        ("anywidth.accuracy", "[[1,0.5]]"),
        ("anywidth.temperature", "[[1,0.5]]"),
    ];
    assert_eq!(entries, expected);
}

#[test]
fn a_file_names_at_most_64_widths_and_always_the_full_one() {
    for channels in [1usize, 45, 64, 65, 1000] {
        let values: Vec<f64> = (1..=channels).map(|n| n as f64).collect();
        let pairs = Metadata::by_width(&values);
        assert!(pairs.len() <= 64 && (channels > 64 || pairs.len() == channels), "{channels}: {}", pairs.len());
        assert_eq!(pairs.last(), Some(&(Width::FULL, channels as f64)));
        assert!(pairs.iter().all(|&(width, value)| width.active(channels) as f64 == value));
        assert!(pairs.is_sorted_by(|a, b| a.0 < b.0));
    }
}
