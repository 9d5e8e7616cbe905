//! Everything that decides how a network is trained, as it stands in checkpoints, files and cards.

use anywidth::engine::Width;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tch::Kind;

use super::average::Average;
use super::method::{Dense, Method};
use super::optimiser;
use super::schedule::Schedule;
use crate::data::{Augmentation, Batch, DataError, Examples, Shape, Source};
use crate::model::{Architecture, Network, Normalisation, Weights, start};
use crate::train::named_widths;

/// Everything that decides how a network is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Where the images come from.
    pub dataset: Source,
    /// The network; of a dense one, what it is a share of.
    pub architecture: Architecture,
    /// Which weights it starts from.
    #[serde(default)]
    pub start: Start,
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
    /// Share of the target that is spread over all classes.
    pub label_smoothing: f64,
    /// The network that is measured and exported is an average over the last steps, of which each one leaves this share;
    /// 0 for none.
    #[serde(default)]
    pub average: f64,
    /// How images are changed.
    pub augmentation: Augmentation,
    /// Training images of a data set with a name that are kept for validation; photographs have folders or shares.
    pub held_out: usize,
    /// Seed of the weights, the split, the order and the augmentation.
    pub seed: u64,
    /// What the convolutions compute in while training.
    pub precision: Precision,
    /// Do the images of rare classes count for more, so that all classes count alike? ([`balance::class_weights`](super::balance::class_weights))
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub balanced: bool,
}

/// Which weights a network starts from; what is not said is random, each row drawn for its own number of inputs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Start {
    /// Do rows of the later convolutions pass one input channel through? ([`start::pass_through`])
    pub copies: bool,
    /// Are the rows of the first convolution the components of the training images' patches? ([`start::whitened_stem`])
    pub whitened_stem: bool,
    /// The model whose weights it begins with, if any; then nothing else is done to them. ([`start::calibrated`])
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Origin>,
}

/// A model that a training starts from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Its file: `<model>/<version>/model.onnx`, or just the file's own name.
    pub file: String,
    /// The file's MD5, in hexadecimal.
    pub md5: String,
    /// What it was trained on.
    pub data: String,
    /// For how long, the models that it started from itself included.
    pub epochs: usize,
    /// What it does to an image first, which goes on whatever the images are now.
    pub normalisation: Normalisation,
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

/// The training images whose patches give a whitened stem: about a million patches.
const WHITENED_BY: usize = 1000;
/// Fewer of them where the images are larger than 64x64, which keeps their copies and patches near 300 MB.
const WHITENED_PIXELS: usize = 1000 * 64 * 64;

/// The training images that statistics are measured with after training: a thousand, as the authors of US-Net suggest.
const RECALIBRATED_BY: usize = 1000;

/// The training images that give the first statistics of a network which starts from a model: a few hundred pixels of
/// each channel would do, and 500 images have half a million.
const CALIBRATED_BY: usize = 500;
/// Fewer of them where the images are larger than 64x64.
const CALIBRATED_PIXELS: usize = 500 * 64 * 64;

impl Recipe {
    /// The network that this recipe starts from, before it has seen an image.
    ///
    /// # Panics
    /// If [`Recipe::check`] finds something wrong.
    pub fn network(&self) -> Network {
        let classes = self.dataset.labels().len();
        let (mean, std) = self.dataset.statistics();
        let model = self.start.model.as_ref();
        let normalisation = model.map_or(Normalisation { mean, std }, |model| model.normalisation.clone());
        let shape = self.dataset.shape();
        let rules = self.method.rules();
        let architecture = rules.architecture(self.architecture);
        let network =
            Network::new(architecture, rules.weights(), shape, classes, normalisation, self.seed, Kind::Float);
        if self.start.copies {
            start::pass_through(&network);
        }
        match rules.norm_widths() {
            widths if widths.len() > 1 => network.with_norms_for(&widths),
            _ => network,
        }
    }

    /// The network that a finished run by this recipe has.
    ///
    /// # Panics
    /// As for [`Recipe::network`].
    pub(super) fn finished_network(&self) -> Network {
        match self.method.rules().recalibrated() {
            Some(widths) => self.network().with_norms_for(&widths),
            None => self.network(),
        }
    }

    /// The widths that are measured after each epoch: all of a network that gives them in one pass.
    pub fn progress_widths(&self) -> Vec<Width> {
        match self.method.weights() {
            Weights::Triangular => self.architecture.widths(),
            Weights::Sliced if self.method.rules().norm_widths().len() > 1 => self.method.rules().norm_widths(),
            Weights::Sliced => {
                let narrowest = self.method.narrowest();
                let wider = named_widths().into_iter().filter(|&width| width > narrowest);
                std::iter::once(narrowest).chain(wider).collect()
            }
            Weights::Dense => vec![Width::FULL],
        }
    }

    /// The widths that the network is worth measuring at: those of the architecture's grid from the narrowest trained one up.
    pub fn trained_widths(&self) -> Vec<Width> {
        match self.method.weights() {
            Weights::Dense => vec![Width::FULL],
            Weights::Sliced | Weights::Triangular => {
                let narrowest = self.method.narrowest();
                let mut widths: Vec<Width> =
                    self.architecture.widths().into_iter().filter(|&width| width >= narrowest).collect();
                // It may have fewer channels than the grid's next width.
                let fewer = |count: &usize| widths[0].active(*count) > narrowest.active(*count);
                if self.architecture.channels().iter().any(fewer) {
                    widths.insert(0, narrowest);
                }
                widths
            }
        }
    }

    /// The recipe of the dense network to compare with: the same but for the method.
    pub fn dense(&self) -> Recipe {
        Recipe { method: Method::Dense(Dense { width: 1.0 }), ..self.clone() }
    }

    /// The average that a run by this recipe keeps, if any.
    pub fn average(&self) -> Option<Average> {
        (self.average > 0.0).then(|| Average::new(self.average, self.network()))
    }

    /// Gives `network` what the training images decide about its first weights.
    pub(super) fn begin(&self, network: &Network, train: &dyn Examples) -> Result<(), DataError> {
        if self.start.whitened_stem {
            let Shape { height, width, .. } = train.shape();
            let count = train.labels().len().min(WHITENED_BY).min(WHITENED_PIXELS / (height * width));
            start::whitened_stem(network, &train.plain(&(0..count).collect::<Vec<usize>>())?.images);
        }
        if self.start.model.is_some() {
            start::calibrated(network, &some_of(train)?.images);
        }
        Ok(())
    }
}

/// Some of the images `train`, from all over, which say what a network that starts from a model has to do with.
///
/// # Errors
/// [`DataError`] if an image is not where it was any more.
pub fn some_of(train: &dyn Examples) -> Result<Batch, DataError> {
    spread(train, CALIBRATED_BY, CALIBRATED_PIXELS)
}

/// The images `train` that statistics are measured with after training.
///
/// # Errors
/// [`DataError`] if an image is not where it was any more.
pub fn recalibration_images(train: &dyn Examples) -> Result<Batch, DataError> {
    spread(train, RECALIBRATED_BY, 2 * CALIBRATED_PIXELS)
}

/// As many images as may be, and as have so many pixels in all, evenly spread over `train`.
fn spread(train: &dyn Examples, most: usize, pixels: usize) -> Result<Batch, DataError> {
    let Shape { height, width, .. } = train.shape();
    let all = train.labels().len();
    let count = all.min(most).min(pixels / (height * width));
    train.plain(&(0..count).map(|place| place * all / count).collect::<Vec<usize>>())
}
