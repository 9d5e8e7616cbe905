//! Every operation on random graphs: one pass gives every width, all runtimes agree on the file, and costs are counted
//! as the engine counts them.

use std::fs;

use proptest::prelude::*;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tch::{Kind, Tensor};

use crate::runtimes::{TOLERANCE, anywidth, decode, largest_difference, random_images, sliced};
use anywidth::engine::{Evaluation, Model, Width};
use anywidth::image::Preprocessing;
use exporter::data::Shape;
use exporter::model::{Architecture, Builder, Graph, Mode, Network, NodeId, Normalisation, Weights, Window};
use exporter::onnx::{self, Metadata};

const IMAGE: Shape = Shape { channels: 3, height: 13, width: 11 };
const CLASSES: usize = 4;

/// A piece added to a graph, with its parameters.
#[derive(Debug, Clone, Copy)]
enum Piece {
    Convolution {
        channels: usize,
        side: usize,
        stride: usize,
    },
    Depthwise {
        stride: usize,
    },
    Relu,
    Relu6,
    MaxPool,
    Norm,
    /// A branch of one convolution and normalization, added to its input.
    Residual,
    Linear {
        channels: usize,
    },
    GlobalMax,
    GlobalAverage,
}

fn piece() -> impl Strategy<Value = Piece> {
    let channels = 1usize..8;
    prop_oneof![
        3 => (channels.clone(), prop::sample::select(vec![1usize, 3, 5]), 1usize..3)
            .prop_map(|(channels, side, stride)| Piece::Convolution { channels, side, stride }),
        1 => (1usize..3).prop_map(|stride| Piece::Depthwise { stride }),
        2 => Just(Piece::Relu),
        1 => Just(Piece::Relu6),
        1 => Just(Piece::MaxPool),
        1 => Just(Piece::Norm),
        2 => Just(Piece::Residual),
        1 => channels.prop_map(|channels| Piece::Linear { channels }),
        1 => Just(Piece::GlobalMax),
        1 => Just(Piece::GlobalAverage),
    ]
}

/// The graph of a first convolution and these pieces; pieces that do not fit the remaining map size are skipped.
fn graph(pieces: &[Piece], weights: Weights, kind: Kind, seed: u64) -> Graph {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut build = Builder::new(IMAGE, weights, kind, &mut random);
    let maps = build.convolution(build.image(), 5, Window::same(3));
    let mut maps = build.norm(maps);
    for &piece in pieces {
        maps = add(&mut build, maps, piece);
    }
    build.finish(CLASSES)
}

fn add(build: &mut Builder<'_, ChaCha8Rng>, maps: NodeId, piece: Piece) -> NodeId {
    let shape = build.shape(maps);
    let pixel = shape.height == 1 && shape.width == 1;
    match piece {
        Piece::Linear { channels } => {
            let units = build.linear(maps, channels);
            build.norm(units)
        }
        Piece::Relu => build.relu(maps),
        Piece::Relu6 => build.relu6(maps),
        // A linear layer's output is a vector, not a map.
        _ if pixel => maps,
        Piece::Convolution { channels, side, stride } => {
            let maps = build.convolution(maps, channels, Window::same(side).strided(stride));
            build.norm(maps)
        }
        Piece::Depthwise { stride } => {
            let maps = build.depthwise(maps, Window::same(3).strided(stride));
            build.norm(maps)
        }
        // After another normalization, only some runtimes would fold both into the layer.
        Piece::Norm => {
            let maps = build.relu(maps);
            build.norm(maps)
        }
        Piece::MaxPool if shape.height > 1 && shape.width > 1 => build.max_pool(maps, 2),
        Piece::MaxPool => maps,
        Piece::Residual => {
            let branch = build.convolution(maps, shape.channels, Window::same(3));
            let branch = build.norm(branch);
            build.add(maps, branch)
        }
        Piece::GlobalMax => build.global_max_pool(maps),
        Piece::GlobalAverage => build.global_average_pool(maps),
    }
}

fn network(pieces: &[Piece], weights: Weights, kind: Kind, seed: u64) -> Network {
    let graph = graph(pieces, weights, kind, seed);
    let normalisation = Normalisation { mean: vec![0.4, 0.5, 0.6], std: vec![0.2, 0.3, 0.25] };
    let network = Network { architecture: Architecture::Lenet { channels: 12 }, weights, normalisation, graph };
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    tch::no_grad(|| {
        for (name, tensor) in network.tensors().into_iter().filter(|(name, _)| name.starts_with("norm")) {
            let least = if name.contains("variance") { 0.5 } else { -0.7 };
            let values: Vec<f64> = (0..tensor.numel()).map(|_| random.random_range(least..1.5)).collect();
            tensor.shallow_clone().copy_(&Tensor::from_slice(&values));
        }
    });
    network
}

fn widths() -> Vec<Width> {
    [1, 250_000, 333_333, 500_000, 800_000, 1_000_000]
        .map(|millionths| Width::from_millionths(millionths).expect("a width"))
        .into()
}

fn metadata() -> Metadata {
    Metadata {
        labels: ["a", "b", "c", "d"].map(String::from).into(),
        accuracy: vec![(Width::FULL, 0.5)],
        temperature: vec![(Width::FULL, 1.0)],
        gain: None,
        evaluation: Some(Evaluation { split: "validation".into(), images: 2000 }),
        preprocessing: Preprocessing::default(),
        training: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_width_of_a_network_is_the_network_that_is_sliced_out_of_it(
        pieces in prop::collection::vec(piece(), 0..9),
        triangular in any::<bool>(),
        training in any::<bool>(),
        seed in 0u64..1000,
    ) {
        let weights = if triangular { Weights::Triangular } else { Weights::Sliced };
        let network = network(&pieces, weights, Kind::Double, seed);
        let images = random_images([3, 3, 13, 11], seed).to_kind(Kind::Double);
        let mode = Mode { training, precision: Kind::Double };
        // Training mode moves the running statistics; both networks must start with the same ones.
        let slices: Vec<Tensor> =
            widths().into_iter().map(|width| network.sliced(width).logits(&images, Width::FULL, mode)).collect();
        let together = tch::no_grad(|| network.logits_at(&images, &widths(), mode));
        for (index, (slice, width)) in slices.iter().zip(widths()).enumerate() {
            let found = together.get(index as i64);
            let difference = largest_difference(&found, slice);
            prop_assert!(difference < 1e-9 * (1.0 + slice.abs().max().double_value(&[])), "{width}: {difference}");
        }
        let copy = network.copied();
        prop_assert!(copy.weights == weights && copy.md5().len() == 32);
        let evaluation = Mode { training: false, precision: Kind::Double };
        for width in widths() {
            let [ours, theirs] = [&network, &copy].map(|network| network.logits(&images, width, evaluation));
            prop_assert!(largest_difference(&ours, &theirs) == 0.0, "a copy at {width}");
        }
    }

    #[test]
    fn the_file_computes_what_the_network_does_at_every_width_at_the_cost_that_was_counted(
        pieces in prop::collection::vec(piece(), 0..9),
        seed in 0u64..1000,
    ) {
        let network = network(&pieces, Weights::Triangular, Kind::Float, seed);
        let images = random_images([2, 3, 13, 11], seed);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("model.onnx");
        let bytes = onnx::model(&network, &metadata());
        fs::write(&path, &bytes).expect("written");
        let model = decode(&path);
        for width in widths() {
            let expected = tch::no_grad(|| network.logits(&images, width, Mode::EVALUATION));
            let scale = 1.0 + expected.abs().max().double_value(&[]);
            for (what, found) in [("by hand", sliced(&model, &images, width)), ("engine", anywidth(&path, &images, width))] {
                let difference = largest_difference(&found, &expected);
                prop_assert!(difference < TOLERANCE * scale, "{what} at {width}: {difference} of {scale}");
            }
        }
        let served = Model::from_onnx(&bytes).expect("a network that the engine runs");
        let (counted, engine) = (network.cost(), served.cost(Width::FULL));
        prop_assert_eq!((counted.parameters, counted.multiply_adds), (engine.parameters, engine.multiply_adds));
    }
}
