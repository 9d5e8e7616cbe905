//! The identity behind one-pass training: one pass at full width gives the loss and the gradient that separate passes
//! through all sliced networks give.

use proptest::prelude::*;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tch::{Kind, Tensor};

use exporter::data::Shape;
use exporter::model::{Architecture, Builder, Mode, Network, Normalisation, Weights, lenet, vgg8};
use exporter::train::loss::{LossWeights, Target, Weighting};

const IMAGES: i64 = 5;
const CLASSES: usize = 4;
const TOLERANCE: f64 = 1e-10;

/// An architecture with three channel counts and an image size.
#[derive(Debug, Clone, Copy)]
enum Kin {
    Lenet,
    Vgg8([usize; 2]),
}

impl Kin {
    fn shape(self) -> Shape {
        let [height, width] = match self {
            Kin::Lenet => [18, 16],
            Kin::Vgg8(sides) => sides,
        };
        Shape { channels: 3, height, width }
    }
}

fn network(kin: Kin, channels: [usize; 3], seed: u64) -> Network {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let normalisation = Normalisation { mean: vec![0.4, 0.5, 0.6], std: vec![0.2, 0.3, 0.25] };
    let build = Builder::new(kin.shape(), Weights::Triangular, Kind::Double, &mut random);
    let (architecture, graph) = match kin {
        Kin::Lenet => (Architecture::Lenet { channels: channels[2] }, lenet::graph(build, channels, CLASSES)),
        Kin::Vgg8(_) => (Architecture::Vgg8 { channels }, vgg8::graph(build, channels, CLASSES)),
    };
    Network { architecture, weights: Weights::Triangular, normalisation, graph }
}

fn any_kin() -> impl Strategy<Value = Kin> {
    // Every stride of the stem with every number of stages.
    let sides = prop::sample::select(vec![[30, 28], [32, 32], [48, 64], [96, 96], [91, 128], [128, 128]]);
    prop_oneof![Just(Kin::Lenet), sides.prop_map(Kin::Vgg8)]
}

fn images_and_labels(kin: Kin, seed: u64) -> (Tensor, Tensor) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let shape = kin.shape();
    let pixels: Vec<f64> = (0..IMAGES as usize * shape.len()).map(|_| random.random()).collect();
    let labels: Vec<i64> = (0..IMAGES).map(|_| random.random_range(0..CLASSES as i64)).collect();
    let images = Tensor::from_slice(&pixels).view([IMAGES, 3, shape.height as i64, shape.width as i64]);
    (images, Tensor::from_slice(&labels))
}

/// The gradients of all parameters; clears them.
fn gradients(network: &Network) -> Vec<(String, Tensor)> {
    let taken = network.parameters().into_iter().map(|parameter| {
        let mut tensor = parameter.tensor.shallow_clone();
        let gradient = tensor.grad().copy();
        tensor.zero_grad();
        (parameter.name, gradient)
    });
    taken.collect()
}

/// libtorch's cross entropy, in the logits' precision.
fn cross_entropy(logits: &Tensor, labels: &Tensor, smoothing: f64) -> Tensor {
    logits.cross_entropy_loss(labels, None::<Tensor>, tch::Reduction::Mean, -100, smoothing)
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_pass_gives_the_loss_and_gradient_of_separate_passes_through_all_sliced_networks(
        kin in any_kin(),
        channels in [2usize..9, 1usize..9, 2usize..9],
        seed in any::<u64>(),
        training in any::<bool>(),
        smoothing in prop_oneof![Just(0.0), 0.0..0.5],
        narrowest in 0.01f64..1.0,
        share in 0.0f64..0.9,
    ) {
        let network = network(kin, channels, seed);
        let widths = network.architecture.widths();
        let (images, labels) = images_and_labels(kin, seed ^ 1);
        let mode = Mode { training, precision: Kind::Double };
        let weighting = Weighting { narrowest, emphasis: vec![(0.25, share)] };
        let weights = LossWeights::new(&weighting, widths.len()).expect("weights in range");

        let all_logits = network.all_logits(&images, mode);
        let one_pass = weights.loss(&all_logits, &labels, None, &Target { label_smoothing: smoothing, ..Target::default() });
        one_pass.backward();
        let one_pass_gradients = gradients(&network);

        let mut separate = 0.0;
        for (index, (&width, weight)) in widths.iter().zip(weights.as_slice()).enumerate() {
            let logits = network.logits(&images, width, mode);
            prop_assert!(largest_difference(&logits, &all_logits.get(index as i64)) < TOLERANCE);
            let loss = cross_entropy(&logits, &labels, smoothing) * *weight;
            separate += loss.double_value(&[]);
            loss.backward();
        }
        prop_assert!((separate - one_pass.double_value(&[])).abs() < TOLERANCE);
        for ((name, ours), (_, theirs)) in one_pass_gradients.iter().zip(gradients(&network)) {
            let difference = largest_difference(ours, &theirs);
            prop_assert!(difference < TOLERANCE, "gradient of {name} differs by {difference}");
        }
    }

    #[test]
    fn scaled_gradients_are_those_of_the_mean_loss_of_the_widths_that_have_the_channel(
        kin in any_kin(),
        channels in [2usize..9, 1usize..9, 2usize..9],
        seed in any::<u64>(),
        share in 0.0f64..0.9,
    ) {
        let network = network(kin, channels, seed);
        let widths = network.architecture.widths();
        let (images, labels) = images_and_labels(kin, seed ^ 1);
        let mode = Mode { training: true, precision: Kind::Double };
        let weighting = Weighting { narrowest: 0.01, emphasis: vec![(1.0, share)] };
        let weights = LossWeights::new(&weighting, widths.len()).expect("weights in range");
        weights.loss(&network.all_logits(&images, mode), &labels, None, &Target::default()).backward();
        let scales = weights.gradient_scales(&network);
        let scaled = gradients(&network).into_iter().zip(scales).map(|((name, gradient), scale)| {
            (name, scale.map_or_else(|| gradient.copy(), |scale| &gradient * scale))
        });
        let scaled: Vec<_> = scaled.collect();

        // The widest channel of the first convolution is active at some widths only; its row learns from their loss
        // alone.
        let rows = scaled[0].1.size()[0] as usize;
        let row = rows - 1;
        let (mut loss, mut total) = (Tensor::from(0.0), 0.0);
        for (&width, weight) in widths.iter().zip(weights.as_slice()) {
            if width.active(rows) > row {
                loss += cross_entropy(&network.logits(&images, width, mode), &labels, 0.0) * *weight;
                total += weight;
            }
        }
        (loss / total).backward();
        let expected = gradients(&network);
        let [ours, theirs] = [&scaled[0].1, &expected[0].1].map(|gradient| gradient.get(row as i64));
        let difference = largest_difference(&ours, &theirs);
        prop_assert!(difference < TOLERANCE, "the row's gradient differs by {difference}");
    }
}

#[test]
fn a_pass_in_bfloat16_is_near_one_in_single_precision() {
    // The maps become 8 and 4 pixels wide, and smaller for the LeNet.
    for (architecture, [height, width], images) in [
        (Architecture::Vgg8 { channels: [8, 16, 32] }, [32, 32], 8),
        (Architecture::Vgg8 { channels: [8, 16, 32] }, [28, 48], 6),
        (Architecture::Lenet { channels: 8 }, [18, 16], 5),
        (Architecture::Lenet { channels: 8 }, [16, 16], 20),
    ] {
        let shape = Shape { channels: 3, height, width };
        let normalisation = Normalisation { mean: vec![0.5; 3], std: vec![0.25; 3] };
        let network = Network::new(architecture, Weights::Triangular, shape, CLASSES, normalisation, 1, Kind::Float);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let pixels: Vec<f32> = (0..images * shape.len()).map(|_| random.random()).collect();
        let pixels = Tensor::from_slice(&pixels).view([images as i64, 3, height as i64, width as i64]);
        let learned = |precision| {
            let logits = network.all_logits(&pixels, Mode { training: true, precision });
            (&logits * &logits).mean(None).backward();
            let values = gradients(&network).into_iter().map(|(_, gradient)| gradient.reshape([-1]));
            [logits.detach().reshape([-1]), Tensor::cat(&values.collect::<Vec<Tensor>>(), 0)]
        };
        let [single, half] = [Kind::Float, Kind::BFloat16].map(learned);
        // Rounding moves some maxima of poolings, and with them their gradients.
        for ((single, half), least) in single.iter().zip(&half).zip([0.999, 0.95]) {
            let likeness = single.dot(half) / (single.norm() * half.norm());
            assert!(likeness.double_value(&[]) > least, "{architecture:?} of {shape}: {likeness}");
        }
    }
}
