//! Recipes: everything that decides how a network is trained, as stored in checkpoints, files and cards.

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
    /// The network; for a dense one of partial width, the full network.
    pub architecture: Architecture,
    /// The initial weights.
    #[serde(default)]
    pub start: Start,
    /// The method that trains the widths together.
    pub method: Method,
    /// Passes over the training images.
    pub epochs: usize,
    /// Batch size.
    pub batch: usize,
    /// The learning rate over time.
    pub schedule: Schedule,
    /// The optimiser's settings.
    pub sgd: optimiser::SgdSettings,
    /// Share of the target that is spread over all classes.
    pub label_smoothing: f64,
    /// Decay of the moving average that is measured and exported; 0 for none.
    #[serde(default)]
    pub average: f64,
    /// The augmentation of images.
    pub augmentation: Augmentation,
    /// Number of training images of a built-in data set held out for validation; photographs have folders or shares.
    pub held_out: usize,
    /// Seed of the weights, the split, the order and the augmentation.
    pub seed: u64,
    /// Number format of convolutions in training.
    pub precision: Precision,
    /// Whether classes have equal weight; see [`balance::class_weights`](super::balance::class_weights).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub balanced: bool,
}

/// Initial weights; by default random, each row scaled for its fan-in.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Start {
    /// Whether rows of the later convolutions pass one input channel through; see [`start::pass_through`].
    pub copies: bool,
    /// Whether the first convolution has the principal components of the training images' patches; see
    /// [`start::whitened_stem`].
    pub whitened_stem: bool,
    /// The model whose weights are used instead, if any; see [`start::calibrated`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Origin>,
}

/// A model that training starts from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// `<model>/<version>/model.onnx`, or the file's name.
    pub file: String,
    /// The file's MD5, in hexadecimal.
    pub md5: String,
    /// Its training data.
    pub data: String,
    /// Its training epochs, including those of the models it started from.
    pub epochs: usize,
    /// The normalization of its input, which is kept.
    pub normalisation: Normalisation,
}

/// Number format of convolutions; weights are stored in single precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    Float32,
    /// 16 bits with the exponent range of float32: twice as fast on processors that support it.
    Bfloat16,
}

impl Precision {
    /// libtorch's type.
    pub fn kind(self) -> Kind {
        match self {
            Precision::Float32 => Kind::Float,
            Precision::Bfloat16 => Kind::BFloat16,
        }
    }
}

/// Number of training images for a whitened stem: about a million patches.
const WHITENED_BY: usize = 1000;
/// Fewer for images larger than 64x64, which limits memory to about 300 MB.
const WHITENED_PIXELS: usize = 1000 * 64 * 64;

/// Number of training images for recalibration: a thousand, as the authors of US-Net suggest.
const RECALIBRATED_BY: usize = 1000;

/// Number of training images for calibrating a network that starts from a model: a few hundred pixels per channel
/// suffice, and 500 images have half a million.
const CALIBRATED_BY: usize = 500;
/// Fewer for images larger than 64x64.
const CALIBRATED_PIXELS: usize = 500 * 64 * 64;

impl Recipe {
    /// The initial network, before initialization from images.
    ///
    /// # Panics
    /// If [`Recipe::check`] fails.
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

    /// A network with the structure of a finished run's.
    ///
    /// # Panics
    /// See [`Recipe::network`].
    pub(super) fn finished_network(&self) -> Network {
        match self.method.rules().recalibrated() {
            Some(widths) => self.network().with_norms_for(&widths),
            None => self.network(),
        }
    }

    /// The widths measured after each epoch: all of them if one pass gives them.
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

    /// The widths to measure: those of the architecture's grid from the narrowest trained one up.
    pub fn trained_widths(&self) -> Vec<Width> {
        match self.method.weights() {
            Weights::Dense => vec![Width::FULL],
            Weights::Sliced | Weights::Triangular => {
                let narrowest = self.method.narrowest();
                let mut widths: Vec<Width> =
                    self.architecture.widths().into_iter().filter(|&width| width >= narrowest).collect();
                // The narrowest width may have fewer channels than the next grid width.
                let fewer = |count: &usize| widths[0].active(*count) > narrowest.active(*count);
                if self.architecture.channels().iter().any(fewer) {
                    widths.insert(0, narrowest);
                }
                widths
            }
        }
    }

    /// The recipe of the dense network for comparison: the same except for the method.
    pub fn dense(&self) -> Recipe {
        Recipe { method: Method::Dense(Dense { width: 1.0 }), ..self.clone() }
    }

    /// The moving average of a run by this recipe, if any.
    pub fn average(&self) -> Option<Average> {
        (self.average > 0.0).then(|| Average::new(self.average, self.network()))
    }

    /// Initializes `network` from the training images.
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

/// Evenly spaced images of `train`, for calibrating a network that starts from a model.
///
/// # Errors
/// [`DataError`] if an image is no longer readable.
pub fn some_of(train: &dyn Examples) -> Result<Batch, DataError> {
    spread(train, CALIBRATED_BY, CALIBRATED_PIXELS)
}

/// The images of `train` for recalibrating statistics after training.
///
/// # Errors
/// [`DataError`] if an image is no longer readable.
pub fn recalibration_images(train: &dyn Examples) -> Result<Batch, DataError> {
    spread(train, RECALIBRATED_BY, 2 * CALIBRATED_PIXELS)
}

/// Evenly spaced images of `train`: at most `most`, with at most `pixels` pixels in total.
fn spread(train: &dyn Examples, most: usize, pixels: usize) -> Result<Batch, DataError> {
    let Shape { height, width, .. } = train.shape();
    let all = train.labels().len();
    let count = all.min(most).min(pixels / (height * width));
    train.plain(&(0..count).map(|place| place * all / count).collect::<Vec<usize>>())
}
