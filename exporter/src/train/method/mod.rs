//! Training methods: how the widths of a network are trained together, one file per method.
//!
//! A method defines the network, the computation of a step, and the work after the last step. It must not know data
//! sets, optimisers and files; all methods share one training loop.

mod awn;
mod dense;
mod one_pass;
mod slimmable;
#[cfg(test)]
mod tests;

use anywidth::engine::Width;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::data::{Batch, Shape};
use crate::model::{Architecture, Mode, Network, Weights};
use crate::setting::{SettingError, width};
use crate::train::loss::{LossWeights, Target};

pub use awn::{Awn, AwnRs};
pub use dense::Dense;
pub use one_pass::{OnePass, Teacher};
pub use slimmable::{MutualNet, SNet, STATISTICS, UsNet};

/// A training method with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Method {
    /// This project's method: one pass at full width gives the loss of every width.
    OnePass(OnePass),
    /// The paper's method: the sum of the losses of several widths.
    Awn(Awn),
    /// The paper's method with random sampling: the narrowest, full and random widths in each step.
    AwnRs(AwnRs),
    /// A slimmable network: dense weights, and separate normalization for each of several widths.
    SNet(SNet),
    /// A universally slimmable network: dense weights, random widths, statistics recalibrated after training.
    UsNet(UsNet),
    /// US-Net with a random input resolution at every narrower width.
    #[serde(rename = "mutualnet")]
    MutualNet(MutualNet),
    /// A dense network of one width.
    Dense(Dense),
}

/// The interface of methods.
pub(super) trait Rules {
    /// The fan-in of the hidden layers.
    fn weights(&self) -> Weights;

    /// The narrowest trained width.
    fn narrowest(&self) -> Width;

    /// Checks its settings, alone and for a network of `architecture` on images of shape `image`.
    fn check(&self, architecture: Architecture, image: Shape) -> Result<(), SettingError>;

    /// The network that it trains, from the recipe's `architecture`.
    fn architecture(&self, architecture: Architecture) -> Architecture {
        architecture
    }

    /// The widths with separate normalization statistics during training; a single width means that all share them.
    fn norm_widths(&self) -> Vec<Width> {
        vec![Width::FULL]
    }

    /// The widths whose statistics are recalibrated after the last step, if any.
    fn recalibrated(&self) -> Option<Vec<Width>> {
        None
    }

    /// The gradient scale of each parameter; empty for unscaled gradients.
    fn gradient_scales(&self, _network: &Network) -> Vec<Option<Tensor>> {
        Vec::new()
    }

    /// Adds the gradient of one step to the network's parameters, and returns the loss. If the loss is not finite, the
    /// gradients are invalid.
    fn backward(&self, step: &mut Step<'_>) -> f64;
}

/// The inputs of a step.
pub(super) struct Step<'a> {
    pub(super) network: &'a Network,
    pub(super) batch: &'a Batch,
    /// The targets.
    pub(super) target: &'a Target,
    /// A teacher's logits for the images, `[N, classes]`.
    pub(super) told: Option<Tensor>,
    pub(super) mode: Mode,
    /// Specific to this step, so that a resumed run draws the same numbers.
    pub(super) random: ChaCha8Rng,
}

impl Method {
    pub(super) fn rules(&self) -> &dyn Rules {
        match self {
            Method::OnePass(method) => method,
            Method::Awn(method) => method,
            Method::AwnRs(method) => method,
            Method::SNet(method) => method,
            Method::UsNet(method) => method,
            Method::MutualNet(method) => method,
            Method::Dense(method) => method,
        }
    }

    /// The fan-in of its network's hidden layers.
    pub fn weights(&self) -> Weights {
        self.rules().weights()
    }

    /// The narrowest trained width.
    pub fn narrowest(&self) -> Width {
        self.rules().narrowest()
    }

    /// Whether normalization statistics are recalibrated after training.
    pub fn is_recalibrated(&self) -> bool {
        self.rules().recalibrated().is_some()
    }

    /// The widths whose normalization statistics are measured after training, for `count` of them; `None` if the method
    /// does not recalibrate.
    pub fn statistics_for(&self, count: usize) -> Option<Vec<Width>> {
        match self {
            Method::UsNet(us_net) | Method::MutualNet(MutualNet { us_net, .. }) => Some(us_net.evenly(count)),
            _ => None,
        }
    }

    /// The teacher, if there is one.
    pub fn teacher(&self) -> Option<&Teacher> {
        match self {
            Method::OnePass(OnePass { teacher, .. }) => teacher.as_ref(),
            _ => None,
        }
    }

    /// Its name in tables and cards.
    pub fn name(&self) -> &'static str {
        match self {
            Method::OnePass(_) => "one-pass",
            Method::Awn(_) => "AWN",
            Method::AwnRs(_) => "AWN+RS",
            Method::SNet(_) => "S-Net",
            Method::UsNet(_) => "US-Net",
            Method::MutualNet(_) => "MutualNet",
            Method::Dense(_) => "dense",
        }
    }
}

impl Step<'_> {
    /// Adds the gradient of `loss`, and returns its value.
    fn learn(&self, loss: &Tensor) -> f64 {
        let value = loss.double_value(&[]);
        if value.is_finite() {
            loss.backward();
        }
        value
    }

    /// Adds the gradient of the sum of the losses of `widths` (ascending), in one pass or one per width: gradients and
    /// batch statistics are equal, but one pass updates the running statistics once.
    fn learn_sum(&self, widths: &[Width], separate_passes: bool) -> f64 {
        if separate_passes {
            return widths.iter().map(|&width| self.learn_sum(&[width], false)).sum();
        }
        let logits = self.network.logits_at(&self.batch.images, widths, self.mode);
        self.learn(&LossWeights::sum(widths.len()).loss(&logits, &self.batch.labels, None, self.target))
    }
}

/// The sandwich rule (Yu and Huang, "Universally Slimmable Networks and Improved Training Techniques", 2019): the
/// narrowest width, the full one, and random ones in between, `count` in total, ascending.
fn sandwich(narrowest: Width, count: usize, random: &mut ChaCha8Rng) -> Vec<Width> {
    let between = narrowest.millionths()..=Width::FULL.millionths();
    let drawn = (2..count).map(|_| random.random_range(between.clone()));
    let mut widths: Vec<Width> =
        drawn.map(|millionths| Width::from_millionths(millionths).expect("between two widths")).collect();
    widths.extend([narrowest, Width::FULL]);
    widths.sort();
    widths
}

/// Maximum number of widths per step.
const MAX_SAMPLES: usize = 64;

fn check_samples(samples: usize) -> Result<(), SettingError> {
    if (2..=MAX_SAMPLES).contains(&samples) {
        return Ok(());
    }
    let expected = format!("from 2 to {MAX_SAMPLES} widths per step, including the narrowest and the full one");
    Err(SettingError::range("samples", samples, expected))
}

/// A width of checked settings.
fn checked(value: f64) -> Width {
    width(value).expect("a width that was checked")
}

/// Checks that at least two widths remain from `narrowest` up.
fn check_narrowest(narrowest: f64) -> Result<(), SettingError> {
    if width(narrowest)? < Width::FULL {
        return Ok(());
    }
    Err(SettingError::conflict("narrowest", "1 leaves one width only"))
}

fn check_widths(widths: &[f64]) -> Result<(), SettingError> {
    let widths = widths.iter().map(|&value| width(value)).collect::<Result<Vec<Width>, SettingError>>()?;
    let ascending = widths.windows(2).all(|pair| pair[0] < pair[1]);
    if widths.len() > 1 && ascending && widths.last() == Some(&Width::FULL) {
        return Ok(());
    }
    Err(SettingError::conflict("widths", "two or more are required, ascending to 1, such as 0.25,0.5,0.75,1"))
}
