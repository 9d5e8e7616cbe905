//! The exported file equals the network: for the checker, for other runtimes, and in its zeros.

use std::fs;
use std::path::PathBuf;

use anywidth::engine::{Evaluation, GainTable, Model, ModelFile, Outcome, Precision, Triangle, Width};
use anywidth::image::Preprocessing;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tch::{Kind, Tensor};

use crate::runtimes::{
    TOLERANCE, anywidth, decode, initializers, largest_difference, onnx_runtime, random_images, sliced, tract,
};
use exporter::data::Shape;
use exporter::model::{Architecture, Builder, Graph, Mode, Network, Normalisation, Weights, lenet, vgg8};
use exporter::onnx::{self, Metadata};

const GREY: Shape = Shape { channels: 1, height: 28, width: 28 };
const COLOUR: Shape = Shape { channels: 3, height: 32, width: 32 };

/// Further image sizes of vgg-8: every stride of the stem and every number of stages, including non-square images.
const SIZES: [[usize; 2]; 9] =
    [[28, 28], [28, 128], [48, 48], [64, 64], [61, 100], [96, 96], [91, 124], [127, 125], [128, 128]];

/// A LeNet-3C1L with unequal channel counts and random tensors, including BatchNorm's statistics.
fn lenet(image: Shape, channels: [usize; 3]) -> Network {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let build = Builder::new(image, Weights::Triangular, Kind::Float, &mut random);
    let graph = lenet::graph(build, channels, 10);
    randomised(Architecture::Lenet { channels: channels[2] }, graph, &mut random)
}

/// The same for vgg-8.
fn vgg8(image: Shape, channels: [usize; 3]) -> Network {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let graph = vgg8::graph(Builder::new(image, Weights::Triangular, Kind::Float, &mut random), channels, 10);
    randomised(Architecture::Vgg8 { channels }, graph, &mut random)
}

fn vgg8_of_every_size() -> impl Iterator<Item = Network> {
    SIZES.into_iter().map(|[height, width]| vgg8(Shape { channels: 3, height, width }, [7, 10, 9]))
}

/// The other networks, with few channels.
fn others() -> Vec<Network> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut network = |architecture: Architecture, image: Shape| {
        let normalisation = Normalisation { mean: vec![0.5; image.channels], std: vec![0.25; image.channels] };
        let new = Network::new(architecture, Weights::Triangular, image, 10, normalisation, 7, Kind::Float);
        randomised(architecture, new.graph, &mut random)
    };
    let side = |side| Shape { channels: 3, height: side, width: side };
    let mobilenet = Architecture::MobileNet { channels: [7, 5, 6, 6, 9, 11, 13, 17, 20] };
    let resnet = Architecture::ResNet { channels: [6, 9, 14] };
    let mlp = Architecture::Mlp { channels: 19 };
    vec![
        network(mobilenet, side(32)),
        network(mobilenet, side(71)),
        network(resnet, side(32)),
        network(resnet, side(96)),
        network(mlp, GREY),
        network(mlp, COLOUR),
    ]
}

fn randomised(architecture: Architecture, graph: Graph, random: &mut ChaCha8Rng) -> Network {
    let image = graph.nodes[0].shape;
    let normalisation = Normalisation { mean: vec![0.4; image.channels], std: vec![0.25; image.channels] };
    let network = Network { architecture, weights: Weights::Triangular, normalisation, graph };
    tch::no_grad(|| {
        for (name, tensor) in network.tensors().into_iter().filter(|(name, _)| name.starts_with("norm")) {
            // Factors of either sign: a negative one must not turn zeros into -0.0.
            let least = if name.ends_with("variance") { 0.5 } else { -1.0 };
            let values: Vec<f32> = (0..tensor.numel()).map(|_| random.random_range(least..1.5)).collect();
            tensor.shallow_clone().copy_(&Tensor::from_slice(&values));
        }
    });
    network
}

fn images_for(network: &Network, count: i64, seed: u64) -> Tensor {
    let Shape { channels, height, width } = network.image();
    random_images([count, channels as i64, height as i64, width as i64], seed)
}

fn exported(network: &Network, folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("model.onnx");
    let widths = vec![(Width::FULL, 0.5)];
    let metadata = Metadata {
        labels: ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].map(String::from).into(),
        accuracy: widths.clone(),
        temperature: widths,
        gain: None,
        evaluation: Some(Evaluation { split: "validation".into(), images: 2000 }),
        preprocessing: Preprocessing::default(),
        training: None,
    };
    fs::write(&path, onnx::model(network, &metadata)).expect("the file is written");
    path
}

#[test]
fn a_file_is_measured_again_without_a_change_of_its_network() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bytes = fs::read(exported(&lenet(COLOUR, [10, 14, 9]), &folder)).expect("the file is read");
    let half = Width::of_channels(1, 2);
    let outcome = |correct| Outcome { probability: 0.9, correct };
    let images: Vec<_> = (0..4).map(|n| vec![outcome(n < 2), outcome(n < 3)]).collect();
    let gain = GainTable::count(&[half, Width::FULL], &images);
    let measured = (&[half, Width::FULL][..], &[0.5, 0.75][..], &[1.5, 1.25][..]);
    let again = onnx::remeasured(&bytes, measured, &gain, 4).expect("an ONNX file");
    let model = Model::from_onnx(&again).expect("the engine reads it");
    let metadata = model.metadata();
    assert_eq!(metadata.accuracy, [(half, 0.5), (Width::FULL, 0.75)]);
    assert_eq!((metadata.temperature_at(half), &metadata.gain), (1.5, &Some(gain)));
    assert_eq!(metadata.evaluation.as_ref().map(|evaluation| evaluation.images), Some(4));
    let widths = model.grid().to_vec();
    let measured = (&widths[..], &[0.5, 0.75][..], &[1.5, 1.25][..]);
    let again = onnx::remeasured(&bytes, measured, &GainTable::count(&widths, &images), 4).expect("an ONNX file");
    let with = |accuracies: &[(Precision, Vec<f64>)]| {
        let bytes = onnx::with_precisions(&again, &widths, accuracies).expect("an ONNX file");
        ModelFile::read(&bytes, None).expect("the engine reads it").loss(Precision::Bf16)
    };
    let loss = with(&[(Precision::Bf16, vec![0.5, 0.625])]);
    assert_eq!((loss, with(&[])), (Some(0.125), None));
    fs::write(folder.path().join("again.onnx"), &again).expect("written");
    let [before, after] = ["model.onnx", "again.onnx"].map(|name| decode(&folder.path().join(name)));
    assert!(before.graph == after.graph, "another network");
}

#[test]
fn other_runtimes_give_the_logits_of_libtorch_at_full_width() {
    let networks =
        [lenet(GREY, [12, 12, 12]), lenet(COLOUR, [10, 14, 9]), vgg8(GREY, [5, 9, 4]), vgg8(COLOUR, [64, 128, 256])];
    for network in networks.into_iter().chain(vgg8_of_every_size()).chain(others()) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = exported(&network, &folder);
        let images = images_for(&network, 3, 1);
        let expected = tch::no_grad(|| network.logits(&images, Width::FULL, Mode::EVALUATION));
        for (runtime, logits) in [("ONNX Runtime", onnx_runtime(&path, &images)), ("tract", tract(&path, &images))] {
            let difference = largest_difference(&logits, &expected);
            let (architecture, image) = (network.architecture, network.image());
            assert!(difference < TOLERANCE, "{runtime}, {architecture:?} for {image}: {difference}");
        }
    }
}

#[test]
fn the_engine_and_the_file_sliced_by_hand_give_the_logits_of_the_network_at_any_width() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let networks = [lenet(COLOUR, [10, 14, 9]), vgg8(COLOUR, [7, 10, 9]), vgg8(COLOUR, [64, 128, 256])];
    for network in networks.into_iter().chain(vgg8_of_every_size()).chain(others()) {
        let images = images_for(&network, 2, 2);
        let path = exported(&network, &folder);
        let model = decode(&path);
        for millionths in [1, 125_000, 333_333, 500_000, 650_000, 888_888, 1_000_000] {
            let width = Width::from_millionths(millionths).expect("a width");
            let expected = tch::no_grad(|| network.logits(&images, width, Mode::EVALUATION));
            for (what, logits) in
                [("the file", sliced(&model, &images, width)), ("the engine", anywidth(&path, &images, width))]
            {
                let difference = largest_difference(&logits, &expected);
                let (architecture, image) = (network.architecture, network.image());
                assert!(difference < TOLERANCE, "{what}, {architecture:?} for {image}, width {width}: {difference}");
            }
        }
    }
}

#[test]
fn the_network_counts_what_it_takes_at_full_width_as_the_engine_does() {
    let networks = [lenet(GREY, [12, 12, 12]), lenet(COLOUR, [10, 14, 9]), vgg8(GREY, [5, 9, 4])];
    let folder = tempfile::tempdir().expect("a temporary folder");
    for network in networks.into_iter().chain(vgg8_of_every_size()).chain(others()) {
        let bytes = fs::read(exported(&network, &folder)).expect("the file is there");
        let theirs = Model::from_onnx(&bytes).expect("a network that the engine runs").cost(Width::FULL);
        let ours = network.cost();
        let (architecture, image) = (network.architecture, network.image());
        let theirs = (theirs.parameters, theirs.multiply_adds);
        assert_eq!((ours.parameters, ours.multiply_adds), theirs, "{architecture:?} for {image}");
    }
}

#[test]
fn weights_above_the_triangle_are_exact_positive_zeros() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for network in [lenet(COLOUR, [10, 14, 9]), vgg8(COLOUR, [7, 10, 9])] {
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
                assert_eq!(
                    zero,
                    !Triangle::new(c_in as usize, c_out as usize).connects(i, j),
                    "{name}: row {i}, column {j}"
                );
            }
        }
    }
}

#[test]
fn metadata_says_what_a_server_needs_as_json() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = decode(&exported(&lenet(GREY, [4, 4, 4]), &folder));
    let entries: Vec<_> = model.metadata_props.iter().map(|entry| (entry.key.as_str(), entry.value.as_str())).collect();
    let expected = [
        ("anywidth.format", "1"),
        ("anywidth.labels", r#"["a","b","c","d","e","f","g","h","i","j"]"#),
        ("anywidth.accuracy", "[[1,0.5]]"),
        ("anywidth.temperature", "[[1,0.5]]"),
        ("anywidth.evaluation", r#"{"split":"validation","images":2000}"#),
        ("anywidth.preprocessing", r#"{"crop":1.0,"range":[0.0,1.0]}"#),
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
