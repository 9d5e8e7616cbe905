//! Compares the step of every method with its definition: the sum of plain losses of sliced networks, each with a
//! separate pass, in double precision.

use std::collections::HashMap;

use rand::SeedableRng;
use tch::{Kind, Reduction};

use super::*;
use crate::data::Shape;
use crate::model::{Architecture, Normalisation};
use crate::train::loss::Weighting;

const CLASSES: usize = 4;
const IMAGES: i64 = 6;
const TOLERANCE: f64 = 1e-10;
const MODE: Mode = Mode { training: true, precision: Kind::Double };

const NETWORKS: [(Architecture, usize); 5] = [
    (Architecture::Lenet { channels: 5 }, 18),
    (Architecture::Vgg8 { channels: [6, 5, 7] }, 32),
    (Architecture::ResNet { channels: [4, 6, 9] }, 16),
    (Architecture::MobileNet { channels: [4, 3, 5, 5, 6, 6, 7, 8, 9] }, 32),
    (Architecture::Mlp { channels: 9 }, 6),
];

/// A width, its images, and its loss: with the labels, or with the output of full width.
struct Term {
    width: Width,
    images: Tensor,
    told_by_full: bool,
}

fn network(architecture: Architecture, side: usize, rules: &dyn Rules) -> Network {
    let image = Shape { channels: 3, height: side, width: side };
    let normalisation = Normalisation { mean: vec![0.5; 3], std: vec![0.25; 3] };
    let network = Network::new(architecture, rules.weights(), image, CLASSES, normalisation, 3, Kind::Double);
    match rules.norm_widths() {
        widths if widths.len() > 1 => network.with_norms_for(&widths),
        _ => network,
    }
}

fn batch(side: i64) -> Batch {
    tch::manual_seed(7);
    let labels: Vec<i64> = (0..IMAGES).map(|index| index % CLASSES as i64).collect();
    let images = Tensor::rand([IMAGES, 3, side, side], (Kind::Double, tch::Device::Cpu));
    Batch { images, labels: Tensor::from_slice(&labels) }
}

/// The loss of one step, and the gradient of every parameter by name.
fn step(network: &Network, rules: &dyn Rules, batch: &Batch, smoothing: f64) -> (f64, HashMap<String, Tensor>) {
    let target = Target { label_smoothing: smoothing, ..Target::default() };
    let random = ChaCha8Rng::seed_from_u64(11);
    let loss = rules.backward(&mut Step { network, batch, target: &target, told: None, mode: MODE, random });
    let taken =
        network.parameters().into_iter().filter(|parameter| parameter.tensor.grad().defined()).map(|parameter| {
            let mut tensor = parameter.tensor.shallow_clone();
            let gradient = tensor.grad().copy();
            tensor.zero_grad();
            (parameter.name, gradient)
        });
    (loss, taken.collect())
}

/// The same by definition: the gradient of every term's sliced network, added to the first channels of the whole
/// network's gradient.
fn by_definition(network: &Network, terms: &[Term], labels: &Tensor, smoothing: f64) -> (f64, HashMap<String, Tensor>) {
    let (mut sum, mut gradients) = (0.0, HashMap::<String, Tensor>::new());
    for Term { width, images, told_by_full } in terms {
        let sliced = network.sliced(*width);
        let logits = sliced.logits(images, Width::FULL, MODE);
        let loss = if *told_by_full {
            let full = network.sliced(Width::FULL).logits(&terms[0].images, Width::FULL, MODE).detach();
            let products = full.softmax(-1, None) * logits.log_softmax(-1, None);
            -products.sum(None) / IMAGES as f64
        } else {
            logits.cross_entropy_loss(labels, None::<Tensor>, Reduction::Mean, -100, smoothing)
        };
        sum += loss.double_value(&[]);
        loss.backward();
        let whole: HashMap<String, Tensor> =
            network.parameters().into_iter().map(|it| (it.name, it.tensor.detach())).collect();
        for parameter in sliced.parameters() {
            // S-Net has a separate normalization tensor per width.
            let own = format!("{}@{width}", parameter.name);
            let name = if whole.contains_key(&own) { own } else { parameter.name.clone() };
            let gradient = gradients.entry(name.clone()).or_insert_with(|| whole[&name].zeros_like());
            let found = parameter.tensor.grad();
            let place = found
                .size()
                .iter()
                .enumerate()
                .fold(gradient.shallow_clone(), |place, (axis, &length)| place.narrow(axis as i64, 0, length));
            let mut place = place;
            place += found;
        }
    }
    (sum, gradients)
}

fn check(architecture: Architecture, side: usize, rules: &dyn Rules, terms: impl Fn(&Tensor) -> Vec<Term>) {
    let batch = batch(side as i64);
    for smoothing in [0.0, 0.1] {
        let network = network(architecture, side, rules);
        let terms = terms(&batch.images);
        let (loss, found) = step(&network, rules, &batch, smoothing);
        let (expected_loss, expected) = by_definition(&network, &terms, &batch.labels, smoothing);
        assert!((loss - expected_loss).abs() < TOLERANCE, "{architecture:?}: {loss}, expected {expected_loss}");
        assert_eq!(found.len(), expected.len(), "{architecture:?}");
        for (name, gradient) in &expected {
            let difference = (gradient - &found[name]).abs().max().double_value(&[]);
            assert!(difference < TOLERANCE, "{architecture:?}: the gradient of {name} differs by {difference}");
        }
    }
}

fn plain(widths: &[Width], images: &Tensor) -> Vec<Term> {
    let term = |&width| Term { width, images: images.shallow_clone(), told_by_full: false };
    widths.iter().map(term).collect()
}

fn widths(values: &[f64]) -> Vec<Width> {
    values.iter().map(|&value| checked(value)).collect()
}

/// The widths that a step of this test draws.
fn drawn(narrowest: f64, samples: usize) -> (Vec<Width>, ChaCha8Rng) {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    (sandwich(checked(narrowest), samples, &mut random), random)
}

#[test]
fn awn_adds_the_losses_of_its_widths_in_one_pass_or_in_several() {
    for (architecture, side) in NETWORKS {
        for separate_passes in [false, true] {
            let method = Awn { widths: vec![0.25, 0.6, 1.0], separate_passes };
            check(architecture, side, &method, |images| plain(&widths(&method.widths), images));
            let method = AwnRs { narrowest: 0.3, samples: 5, separate_passes };
            check(architecture, side, &method, |images| plain(&drawn(0.3, 5).0, images));
        }
    }
}

#[test]
fn s_net_adds_the_losses_of_its_widths_each_with_its_own_normalization() {
    for (architecture, side) in NETWORKS {
        let method = SNet { widths: vec![0.25, 0.6, 1.0] };
        check(architecture, side, &method, |images| plain(&widths(&method.widths), images));
    }
}

#[test]
fn us_net_and_mutualnet_teach_the_narrower_widths_what_full_width_says() {
    let us_net = UsNet { narrowest: 0.3, samples: 4, statistics: 4 };
    let terms = |images: &Tensor, view: &mut dyn FnMut(&mut ChaCha8Rng) -> Tensor| {
        let (widths, mut random) = drawn(0.3, 4);
        let mut terms = plain(&[Width::FULL], images);
        for &width in &widths[..3] {
            terms.push(Term { width, images: view(&mut random), told_by_full: true });
        }
        terms
    };
    for (architecture, side) in NETWORKS {
        check(architecture, side, &us_net, |images| terms(images, &mut |_| images.shallow_clone()));
    }
    let method = MutualNet { us_net: us_net.clone(), resolutions: vec![32, 24, 16] };
    check(Architecture::Vgg8 { channels: [6, 5, 7] }, 32, &method, |images| {
        terms(images, &mut |random| {
            let side = method.resolutions[random.random_range(0..3)] as i64;
            match side {
                32 => images.shallow_clone(),
                _ => images.internal_upsample_bilinear2d_aa([side; 2], false, None::<f64>, None::<f64>),
            }
        })
    });
}

#[test]
fn a_dense_network_learns_from_its_labels_alone() {
    for (architecture, side) in NETWORKS {
        let method = Dense { width: 0.5 };
        check(method.architecture(architecture), side, &method, |images| plain(&[Width::FULL], images));
    }
}

#[test]
fn the_sandwich_has_the_narrowest_and_the_full_width_and_others_in_between() {
    for seed in 0..50 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let widths = sandwich(checked(0.35), 6, &mut random);
        assert!(widths.is_sorted() && widths.len() == 6);
        assert_eq!([widths[0], widths[5]], [checked(0.35), Width::FULL]);
    }
}

#[test]
fn statistics_are_measured_at_evenly_spaced_widths_up_to_full_width() {
    let us_net = UsNet { narrowest: 0.25, samples: 4, statistics: 4 };
    assert_eq!(us_net.recalibrated(), Some(widths(&[0.25, 0.5, 0.75, 1.0])));
    assert_eq!(us_net.evenly(2), widths(&[0.25, 1.0]));
}

/// After recalibration, a sliced network normalizes as the whole network does in training on the same images.
#[test]
fn recalibrated_statistics_are_those_of_the_images_at_each_width() {
    for (architecture, side) in NETWORKS {
        let us_net = UsNet { narrowest: 0.25, samples: 4, statistics: 3 };
        let widths = us_net.evenly(3);
        let network = network(architecture, side, &us_net).with_norms_for(&widths);
        let batch = batch(side as i64);
        network.recalibrate(&batch.images);
        let evaluation = Mode { training: false, ..MODE };
        for width in widths {
            let [trained, evaluated] =
                [MODE, evaluation].map(|mode| network.sliced(width).logits(&batch.images, Width::FULL, mode));
            let difference = (trained - evaluated).abs().max().double_value(&[]);
            assert!(difference < 1e-9, "{architecture:?} at {width}: {difference}");
        }
    }
}

/// A resolution without remaining pixels would fail in the first step.
#[test]
fn every_resolution_that_mutualnet_allows_leaves_pixels_to_the_last_layer() {
    let us_net = UsNet { narrowest: 0.25, samples: 2, statistics: 2 };
    for side in [32, 46, 64, 96, 125, 128] {
        let image = Shape { channels: 3, height: side, width: side };
        let vgg8 = Architecture::Vgg8 { channels: [2, 2, 2] };
        let method = |resolution| MutualNet { us_net: us_net.clone(), resolutions: vec![resolution] };
        let least = (1..=side).find(|&resolution| method(resolution).check(vgg8, image).is_ok()).expect("its own side");
        let network = network(vgg8, side, &us_net);
        let images = batch(least as i64).images;
        assert_eq!(network.logits(&images, Width::FULL, MODE).size(), [IMAGES, CLASSES as i64], "{side}: {least}");
    }
}

#[test]
fn one_pass_says_what_its_settings_lack() {
    let method = |distillation, narrowest| OnePass {
        weighting: Weighting { narrowest, emphasis: Vec::new() },
        coverage: true,
        distillation,
        teacher: None,
    };
    let lenet = Architecture::Lenet { channels: 4 };
    let image = Shape { channels: 3, height: 32, width: 32 };
    assert_eq!(method(0.5, 0.25).check(lenet, image), Ok(()));
    assert!(
        method(1.5, 0.25).check(lenet, image).is_err_and(|error| error.to_string().starts_with("distillation: 1.5"))
    );
    assert!(method(0.5, 0.0).check(lenet, image).is_err_and(|error| error.to_string().starts_with("width 0")));
}
