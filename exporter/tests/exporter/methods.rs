//! Every method learns, and its final network has the measured accuracy. (The steps are tested next to the methods.)

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use anywidth::engine::Width;
use exporter::data::{Augmentation, Dataset, Images};
use exporter::model::Architecture;
use exporter::train::loss::Weighting;
use exporter::train::method::{Awn, AwnRs, Dense, MutualNet, OnePass, SNet, UsNet};
use exporter::train::optimiser::SgdSettings;
use exporter::train::progress::Progress;
use exporter::train::schedule::{Decay, Schedule};
use exporter::train::{Material, Method, Outcome, Precision, Recipe, Run, Start};

const LENET: Architecture = Architecture::Lenet { channels: 6 };
const RESNET: Architecture = Architecture::ResNet { channels: [6, 8, 10] };

fn recipe(architecture: Architecture, method: Method) -> Recipe {
    Recipe {
        dataset: Dataset::Mnist.into(),
        architecture,
        start: Start::default(),
        method,
        epochs: 2,
        batch: 20,
        // A step small enough that the difference of two checkpoints is the first gradient.
        schedule: Schedule { peak: 0.05, warm_up: 0.0, decay: Decay::Step },
        sgd: SgdSettings { momentum: 0.0, nesterov: false, weight_decay: 0.0 },
        label_smoothing: 0.0,
        average: 0.0,
        augmentation: Augmentation::default(),
        held_out: 0,
        seed: 5,
        precision: Precision::Float32,
        balanced: false,
    }
}

fn us_net() -> UsNet {
    UsNet { narrowest: 0.25, samples: 4, statistics: 4 }
}

fn methods() -> Vec<(Architecture, Method)> {
    let weighting = Weighting { narrowest: 0.3, emphasis: Vec::new() };
    let widths = vec![0.25, 0.5, 1.0];
    vec![
        (LENET, Method::OnePass(OnePass { weighting, coverage: true, distillation: 0.0, teacher: None })),
        (LENET, Method::Awn(Awn { widths: widths.clone(), separate_passes: false })),
        (LENET, Method::AwnRs(AwnRs { narrowest: 0.25, samples: 4, separate_passes: false })),
        (LENET, Method::SNet(SNet { widths })),
        (LENET, Method::UsNet(us_net())),
        (RESNET, Method::MutualNet(MutualNet { us_net: us_net(), resolutions: vec![28, 20] })),
        (RESNET, Method::Dense(Dense { width: 0.5 })),
    ]
}

/// Noise on a background as bright as its class is high, with a bar whose row is its class.
fn images(count: usize, seed: u64) -> Images {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let labels: Vec<u16> = (0..count).map(|index| (index % 10) as u16).collect();
    let mut pixels = Vec::new();
    for &label in &labels {
        let bar = 4 + 2 * usize::from(label);
        pixels.extend((0..28 * 28).map(|place| {
            let noise: u8 = random.random_range(0..15);
            if place / 28 == bar || place / 28 == bar + 1 { 255 - noise } else { 20 * label as u8 + noise }
        }));
    }
    Images::new(pixels, labels, Dataset::Mnist.shape())
}

fn train(run: &mut Run) -> Outcome {
    tch::set_num_threads(1);
    let (train, validation) = (images(100, 1), images(50, 2));
    let material = Material { train: &train, validation: &validation, loaders: 1, device: tch::Device::Cpu };
    run.train(material, &Progress::silent(), &|| false).expect("a run")
}

#[test]
fn every_method_learns_a_simple_data_set_at_every_width_that_it_trains() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (architecture, method) in methods() {
        let schedule = Schedule { peak: 0.05, warm_up: 0.1, decay: Decay::Linear };
        let sgd = SgdSettings { momentum: 0.9, nesterov: true, weight_decay: 0.0 };
        let name = method.name();
        let recipe = Recipe { epochs: 24, schedule, sgd, ..recipe(architecture, method) };
        let mut run = Run::new(recipe.clone(), folder.path().join(name));
        assert_eq!(train(&mut run), Outcome::Finished);
        let last = run.history().last().expect("an epoch");
        assert_eq!(last.accuracy.len(), recipe.progress_widths().len());
        for (width, share) in recipe.progress_widths().into_iter().zip(&last.accuracy) {
            // S-Net has no separate normalization between its widths.
            let trained = width >= recipe.method.narrowest() && (name != "S-Net" || width != Width::of_channels(3, 4));
            // Two channels cannot separate all ten classes.
            let least = if width == Width::FULL { 0.8 } else { 0.3 };
            assert!(!trained || *share > least, "{name} at {width}: {:?}", last.accuracy);
        }
    }
}

#[test]
fn a_finished_run_of_every_method_is_read_back_as_it_was_measured() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (architecture, method) in methods() {
        let path = folder.path().join(method.name());
        for average in [0.0, 0.5] {
            let recipe = Recipe { average, ..recipe(architecture, method.clone()) };
            let mut run = Run::new(recipe, path.clone());
            train(&mut run);
            let again = Run::resume(path.clone()).expect("a checkpoint");
            assert_eq!(again.network().md5(), run.network().md5(), "{}", method.name());
        }
    }
}
