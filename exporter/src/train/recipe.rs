//! Everything that decides how a network is trained, as it stands in checkpoints, files and cards.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tch::Kind;

use super::schedule::Schedule;
use super::{loss, optimiser};
use crate::data::{Augmentation, Dataset, Images};
use crate::model::{Architecture, Network, Normalisation};

/// Everything that decides how a network is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Where the images come from.
    pub dataset: Dataset,
    /// The network.
    pub architecture: Architecture,
    /// How the widths are trained.
    pub method: Method,
    /// Times that every training image is seen.
    pub epochs: usize,
    /// Images in a step.
    pub batch: usize,
    /// The learning rate over time.
    pub schedule: Schedule,
    /// The optimiser's settings.
    pub sgd: optimiser::Settings,
    /// How much each width's loss counts.
    pub loss_weights: loss::Weighting,
    /// Share of the target that is spread over all classes.
    pub label_smoothing: f64,
    /// Is the gradient of each channel divided by the share of the loss in which it takes part?
    pub coverage: bool,
    /// How images are changed.
    pub augmentation: Augmentation,
    /// Training images that are kept for validation.
    pub held_out: usize,
    /// Seed of the weights, the split, the order and the augmentation.
    pub seed: u64,
    /// What the convolutions compute in while training.
    pub precision: Precision,
}

/// How the widths of a network are trained together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// One pass at full width gives the loss of every width.
    OnePass,
}

/// What the convolutions compute in; weights are held in single precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    Float32,
    /// 16 bits with the exponent of 32: twice as fast where the processor has it.
    Bfloat16,
}

impl Precision {
    /// As libtorch names it.
    pub fn kind(self) -> Kind {
        match self {
            Precision::Float32 => Kind::Float,
            Precision::Bfloat16 => Kind::BFloat16,
        }
    }
}

impl Recipe {
    /// The network that this recipe starts from.
    pub fn network(&self) -> Network {
        let (mean, std) = self.dataset.statistics();
        let classes = self.dataset.labels().len();
        let normalisation = Normalisation { mean, std };
        Network::new(self.architecture, self.dataset.shape(), classes, normalisation, self.seed, Kind::Float)
    }

    pub(super) fn validate(&self, train: &Images, validation: &Images) -> Result<(), String> {
        let wrong = |what: &str| Err(what.to_owned());
        let (count, expected) = (train.len(), self.dataset.shape());
        match self {
            _ if train.shape() != expected || validation.shape() != expected => {
                wrong(&format!("images of {}, expected {expected}", train.shape()))
            }
            _ if validation.is_empty() => wrong("held out: 0 is not allowed, at least 1 image to validate on"),
            _ if self.epochs == 0 => wrong("epochs: 0 is not allowed, at least 1"),
            _ if self.batch == 0 || self.batch > count => {
                wrong(&format!("batch: {} is not between 1 and the {count} training images", self.batch))
            }
            _ if !(0.0..1.0).contains(&self.label_smoothing) => {
                wrong(&format!("label smoothing: {} is not in 0..1", self.label_smoothing))
            }
            _ => Ok(()),
        }
    }
}
