//! What a network and a data set want of their own: the settings of a training that was not told otherwise.

use clap::ValueEnum;

use exporter::data::{Augmentation, Border, Dataset};
use exporter::train::schedule::Decay;
use exporter::train::{Precision, Start};

/// A network, of any size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Family {
    /// Three convolutions without padding, every layer of the same size: small and fast.
    #[value(name = "lenet-3c1l", alias = "lenet")]
    Lenet,
    /// Seven convolutions in a stem and three stages: several times the work, far more accurate on photographs.
    #[value(name = "vgg-8")]
    Vgg8,
}

/// The settings that differ between networks or data sets.
#[derive(Debug)]
pub(super) struct Standard {
    pub(super) epochs: usize,
    pub(super) decay: Decay,
    pub(super) label_smoothing: f64,
    pub(super) start: Start,
    pub(super) average: f64,
    pub(super) augmentation: Augmentation,
    pub(super) precision: Precision,
}

impl Standard {
    pub(super) fn of(network: Family, dataset: Dataset) -> Standard {
        let (pad, flip) = match dataset {
            Dataset::Mnist => (2, false),
            Dataset::FashionMnist => (2, true),
            Dataset::Cifar10 => (4, true),
        };
        let augmentation = Augmentation { pad, flip, ..Augmentation::default() };
        match network {
            Family::Lenet => Standard {
                epochs: match dataset {
                    Dataset::Mnist => 18,
                    Dataset::FashionMnist => 26,
                    Dataset::Cifar10 => 38,
                },
                decay: Decay::Cosine,
                label_smoothing: 0.0,
                start: Start::default(),
                average: 0.0,
                augmentation,
                precision: Precision::Bfloat16,
            },
            Family::Vgg8 => Standard {
                epochs: 40,
                decay: Decay::Linear,
                label_smoothing: 0.1,
                start: Start { copies: true, whitened_stem: true },
                average: 0.998,
                augmentation: Augmentation { border: Border::Reflect, ..augmentation },
                precision: Precision::Float32,
            },
        }
    }
}
