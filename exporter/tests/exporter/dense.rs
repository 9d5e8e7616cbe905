//! The dense network for comparison: it reads every channel, has one width, and differs in nothing else.

use tch::{Kind, Tensor};

use anywidth::engine::{Evaluation, LoadError, Model, Width};
use anywidth::image::Preprocessing;
use exporter::data::Dataset;
use exporter::model::{Architecture, Mode, Network, Normalisation, Weights};
use exporter::onnx::{self, Metadata};
use exporter::train::loss::{LossWeights, Target, Weighting};

const TRAINING: Mode = Mode { training: true, precision: Kind::Double };

fn network(weights: Weights, architecture: Architecture, kind: Kind) -> Network {
    let normalisation = Normalisation { mean: vec![0.5], std: vec![0.25] };
    Network::new(architecture, weights, Dataset::Mnist.shape(), 10, normalisation, 3, kind)
}

fn images() -> (Tensor, Tensor) {
    tch::manual_seed(1);
    let labels: Vec<i64> = (0..20).map(|index| index % 10).collect();
    (Tensor::rand([20, 1, 28, 28], (Kind::Double, tch::Device::Cpu)), Tensor::from_slice(&labels))
}

#[test]
fn a_dense_network_learns_with_every_weight_from_the_loss_at_full_width_alone() {
    for architecture in [Architecture::Lenet { channels: 6 }, Architecture::Vgg8 { channels: [8, 66, 5] }] {
        let network = network(Weights::Dense, architecture, Kind::Double);
        let (images, labels) = images();
        let logits = network.all_logits(&images, TRAINING);
        assert_eq!(logits.size(), [1, 20, 10]);
        let weights = LossWeights::new(&Weighting { narrowest: 1.0, emphasis: Vec::new() }, 1).expect("one width");
        let loss = weights.loss(&logits, &labels, None, &Target { label_smoothing: 0.1, ..Target::default() });

        let full = network.logits(&images, Width::FULL, TRAINING);
        let expected = full.cross_entropy_loss(&labels, None::<Tensor>, tch::Reduction::Mean, -100, 0.1);
        assert!((&loss - expected).abs().double_value(&[]) < 1e-12);

        loss.backward();
        for node in &network.graph.nodes {
            let Some(matrix) = node.layer.matrix() else { continue };
            let unused = matrix.values.grad().abs().amax([2i64, 3].as_slice(), false).eq(0.0).sum(Kind::Int64);
            assert_eq!(unused.int64_value(&[]), 0, "{}: kernels without a gradient", node.name);
        }
    }
}

#[test]
fn a_dense_network_costs_what_its_layers_say() {
    let cost = network(Weights::Dense, Architecture::Lenet { channels: 45 }, Kind::Float).cost();
    let parameters = [2, 45 * 9 + 45, 45 * 45 * 9 + 45, 45 * 45 * 25 + 45, 10 * 45 * 16 + 10];
    let multiply_adds = [28 * 28, 45 * 9 * 26 * 26, 45 * 45 * 9 * 24 * 24, 45 * 45 * 25 * 8 * 8, 10 * 45 * 16];
    assert_eq!((cost.parameters, cost.multiply_adds), (parameters.iter().sum(), multiply_adds.iter().sum()));
}

#[test]
fn the_engine_refuses_a_dense_network() {
    let metadata = Metadata {
        labels: Dataset::Mnist.labels().iter().map(|&label| label.into()).collect(),
        accuracy: vec![(Width::FULL, 0.5)],
        temperature: vec![(Width::FULL, 1.0)],
        gain: None,
        evaluation: Some(Evaluation { split: "validation".into(), images: 2000 }),
        preprocessing: Preprocessing::default(),
        training: None,
    };
    let refusal = |weights| {
        let network = network(weights, Architecture::Lenet { channels: 6 }, Kind::Float);
        Model::from_onnx(&onnx::model(&network, &metadata)).err()
    };
    assert!(refusal(Weights::Triangular).is_none());
    let error = refusal(Weights::Dense).expect("a refusal");
    assert!(matches!(error, LoadError::NotTriangular(_)), "{error}");
}

#[test]
#[should_panic(expected = "a dense network at width 0.5")]
fn a_dense_network_has_no_narrow_widths() {
    let network = network(Weights::Dense, Architecture::Lenet { channels: 6 }, Kind::Double);
    let _ = network.logits(&images().0, Width::of_channels(1, 2), TRAINING);
}
