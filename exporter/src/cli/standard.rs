//! Default settings by network, method and data set.

use exporter::data::{Augmentation, Border, Dataset, Source};
use exporter::model::Family;
use exporter::train::schedule::Decay;
use exporter::train::{Precision, Start};

use super::method::MethodName;

/// The default network for these images.
pub(super) fn usual_network(source: &Source) -> Family {
    match source {
        Source::Known(Dataset::Mnist | Dataset::FashionMnist) => Family::Lenet,
        Source::Known(Dataset::Cifar10 | Dataset::Cifar100) | Source::Photos(_) => Family::Vgg8,
    }
}

/// The settings that differ between networks, methods or data sets.
#[derive(Debug, Clone)]
pub(super) struct Standard {
    pub(super) epochs: usize,
    pub(super) batch: usize,
    /// Peak learning rate for a batch of 128.
    pub(super) rate: f64,
    pub(super) warm_up: f64,
    pub(super) decay: Decay,
    pub(super) nesterov: bool,
    pub(super) weight_decay: f64,
    pub(super) label_smoothing: f64,
    pub(super) start: Start,
    pub(super) average: f64,
    pub(super) augmentation: Augmentation,
    pub(super) balanced: bool,
    pub(super) precision: Precision,
}

/// Default batch size.
const BATCH: usize = 128;
/// Minimum batch size: smaller ones give unreliable batch statistics.
const LEAST_BATCH: usize = 8;
/// Minimum steps per epoch for small sets of photographs.
const LEAST_STEPS: usize = 16;
/// Target number of steps with photographs, within the limits on epochs.
const STEPS: usize = 4000;
/// Target number of steps with photographs when starting from a model: more steps forget the model (table in
/// docs/your-own-images.md).
const MORE_STEPS: usize = 800;
const MAX_MORE_EPOCHS: usize = 30;

impl Standard {
    /// The settings for random initialization, or for starting from a model.
    pub(super) fn of(network: Family, method: MethodName, source: &Source, from_model: bool) -> Standard {
        let standard = Standard::of_network(network, source);
        let standard = if method.adds_losses() { standard.of_literature(source) } else { standard };
        match source {
            Source::Photos(photos) if from_model => {
                let per_epoch = (photos.images[0] / standard.batch).max(1);
                Standard { epochs: (MORE_STEPS / per_epoch).clamp(10, MAX_MORE_EPOCHS), ..standard }
            }
            _ => standard,
        }
    }

    fn of_network(network: Family, source: &Source) -> Standard {
        let batch = batch(source);
        let augmentation = augmentation(source);
        let small = Standard {
            epochs: epochs(source, batch, [18, 26, 38]),
            batch,
            rate: 0.1,
            warm_up: 0.15,
            decay: Decay::Cosine,
            nesterov: true,
            weight_decay: 5e-4,
            label_smoothing: 0.0,
            start: Start::default(),
            average: 0.0,
            augmentation,
            balanced: matches!(source, Source::Photos(_)),
            precision: Precision::Bfloat16,
        };
        let large = || Standard {
            epochs: epochs(source, batch, [40; 3]),
            decay: Decay::Linear,
            label_smoothing: 0.1,
            average: 0.998,
            augmentation: Augmentation { border: Border::Reflect, ..augmentation },
            precision: Precision::Float32,
            ..small.clone()
        };
        match network {
            Family::Lenet | Family::Mlp => small,
            Family::MobileNet | Family::ResNet => large(),
            Family::Vgg8 => Standard { start: Start { copies: true, whitened_stem: true, model: None }, ..large() },
        }
    }

    /// The paper's settings for LeNet-3C1L, whose losses are added: with four widths, a rate of 0.01 acts like 0.04.
    fn of_literature(self, source: &Source) -> Standard {
        let digits = matches!(source, Source::Known(Dataset::Mnist | Dataset::FashionMnist));
        Standard {
            rate: 0.01,
            warm_up: 0.0,
            decay: Decay::Step,
            nesterov: false,
            weight_decay: if digits { 0.0 } else { self.weight_decay },
            label_smoothing: 0.0,
            start: Start::default(),
            average: 0.0,
            ..self
        }
    }
}

/// Default share of images augmented as users send them.
const ARRIVAL: f64 = 0.3;

fn augmentation(source: &Source) -> Augmentation {
    let shifted = |pad, flip| Augmentation { pad, flip, arrival: ARRIVAL, ..Augmentation::default() };
    match source {
        // The data sets are light on dark, most user images are dark on light.
        Source::Known(Dataset::Mnist) => Augmentation { inverted: 0.5, ..shifted(2, false) },
        Source::Known(Dataset::FashionMnist) => Augmentation { inverted: 0.5, ..shifted(2, true) },
        Source::Known(Dataset::Cifar10 | Dataset::Cifar100) => shifted(4, true),
        Source::Photos(_) => Augmentation { crop: 0.3, jitter: 0.2, ..shifted(0, true) },
    }
}

/// The epochs of MNIST, Fashion-MNIST and CIFAR, or a number derived from the number of photographs.
fn epochs(source: &Source, batch: usize, [mnist, fashion, cifar]: [usize; 3]) -> usize {
    match source {
        Source::Known(Dataset::Mnist) => mnist,
        Source::Known(Dataset::FashionMnist) => fashion,
        Source::Known(Dataset::Cifar10 | Dataset::Cifar100) => cifar,
        Source::Photos(photos) => (STEPS / (photos.images[0] / batch).max(1)).clamp(10, 100),
    }
}

/// A power of two for photographs, so that an epoch has several steps.
fn batch(source: &Source) -> usize {
    match source {
        Source::Known(_) => BATCH,
        Source::Photos(photos) => {
            let count = photos.images[0].max(1);
            let most = (count / LEAST_STEPS).clamp(LEAST_BATCH, BATCH).min(count);
            1 << most.ilog2()
        }
    }
}
