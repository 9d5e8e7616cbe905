//! How the widths of a network are trained together: one file for each method.
//!
//! A method says what its network is like, what a step computes, and what is left to do after the last step. It knows
//! nothing of data sets, optimisers and files; the loop is the same for all of them.

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
use crate::train::loss::{LossWeights, Target};

pub use awn::{Awn, AwnRs};
pub use dense::Dense;
pub use one_pass::{OnePass, Teacher};
pub use slimmable::{MutualNet, SNet, STATISTICS, UsNet};

/// How the widths of a network are trained together, with the method's own settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Method {
    /// Ours: one pass at full width gives the loss of every width.
    OnePass(OnePass),
    /// The paper's: some widths, whose losses are added.
    Awn(Awn),
    /// The paper's with random sampling: the narrowest, the full and some random widths in each step.
    AwnRs(AwnRs),
    /// A slimmable network: dense weights, and normalization of its own for each of some widths.
    SNet(SNet),
    /// A universally slimmable network: dense weights, random widths, statistics that are recalibrated after training.
    UsNet(UsNet),
    /// US-Net with a random input resolution at every narrower width.
    #[serde(rename = "mutualnet")]
    MutualNet(MutualNet),
    /// An ordinary network of one width.
    Dense(Dense),
}

/// What differs between methods.
pub(super) trait Rules {
    /// What the hidden layers read.
    fn weights(&self) -> Weights;

    /// The narrowest width that is trained.
    fn narrowest(&self) -> Width;

    /// Do its settings go together, and with a network of `architecture` for images of shape `image`?
    fn check(&self, architecture: Architecture, image: Shape) -> Result<(), String>;

    /// The network of `architecture` that it trains.
    fn architecture(&self, architecture: Architecture) -> Architecture {
        architecture
    }

    /// The widths that have normalization statistics of their own while it trains; all share them if there is one.
    fn norm_widths(&self) -> Vec<Width> {
        vec![Width::FULL]
    }

    /// The widths for which statistics are measured anew after the last step, if that is part of it.
    fn recalibrated(&self) -> Option<Vec<Width>> {
        None
    }

    /// For each of the network's parameters what its gradient is multiplied by; nothing where gradients stay as they are.
    fn gradient_scales(&self, _network: &Network) -> Vec<Option<Tensor>> {
        Vec::new()
    }

    /// Adds the gradient of one step to the network's parameters, and returns the loss. If that is no number, the gradients
    /// are not worth anything.
    fn backward(&self, step: &mut Step<'_>) -> f64;
}

/// What a step is computed from.
pub(super) struct Step<'a> {
    pub(super) network: &'a Network,
    pub(super) batch: &'a Batch,
    /// What the labels are worth.
    pub(super) target: &'a Target,
    /// What a teacher says of the images, `[N, classes]`.
    pub(super) told: Option<Tensor>,
    pub(super) mode: Mode,
    /// Of this step alone, so that a resumed run draws what an uninterrupted one would have drawn.
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

    /// What the hidden layers of its network read.
    pub fn weights(&self) -> Weights {
        self.rules().weights()
    }

    /// The narrowest width that it trains.
    pub fn narrowest(&self) -> Width {
        self.rules().narrowest()
    }

    /// Are normalization statistics measured anew after training?
    pub fn is_recalibrated(&self) -> bool {
        self.rules().recalibrated().is_some()
    }

    /// The widths whose normalization statistics are measured after training if there are to be `count` of them; nothing if
    /// that is no part of the method.
    pub fn statistics_for(&self, count: usize) -> Option<Vec<Width>> {
        match self {
            Method::UsNet(us_net) | Method::MutualNet(MutualNet { us_net, .. }) => Some(us_net.evenly(count)),
            _ => None,
        }
    }

    /// The network that teaches, if there is one.
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

    /// The sum of the losses of `widths` (ascending), by one pass or by one for each width: the gradients are the same, and
    /// so are the statistics that the passes normalize with, but one pass moves the running ones once.
    fn learn_sum(&self, widths: &[Width], separate_passes: bool) -> f64 {
        if separate_passes {
            return widths.iter().map(|&width| self.learn_sum(&[width], false)).sum();
        }
        let logits = self.network.logits_at(&self.batch.images, widths, self.mode);
        self.learn(&LossWeights::sum(widths.len()).loss(&logits, &self.batch.labels, None, self.target))
    }
}

/// The narrowest width, the full one, and random ones in between, `count` in all, ascending: the sandwich rule (Yu and Huang,
/// "Universally Slimmable Networks and Improved Training Techniques", 2019).
fn sandwich(narrowest: Width, count: usize, random: &mut ChaCha8Rng) -> Vec<Width> {
    let between = narrowest.millionths()..=Width::FULL.millionths();
    let drawn = (2..count).map(|_| random.random_range(between.clone()));
    let mut widths: Vec<Width> =
        drawn.map(|millionths| Width::from_millionths(millionths).expect("between two widths")).collect();
    widths.extend([narrowest, Width::FULL]);
    widths.sort();
    widths
}

/// The most widths of one step; more are a slip of the finger.
const MOST_SAMPLES: usize = 64;

fn check_samples(samples: usize) -> Result<(), String> {
    if (2..=MOST_SAMPLES).contains(&samples) {
        return Ok(());
    }
    Err(format!(
        "samples: {samples} is not allowed, 2 to {MOST_SAMPLES} widths in a step, among them the narrowest and the full one"
    ))
}

fn width(value: f64) -> Result<Width, String> {
    Width::try_from(value).map_err(|error| format!("width {value}: {error}, 0 < w <= 1"))
}

/// A width that was checked.
fn checked(value: f64) -> Width {
    width(value).expect("a width that was checked")
}

/// The widest width below full for which a network with two or more widths can be trained.
fn check_narrowest(narrowest: f64) -> Result<(), String> {
    if width(narrowest)? < Width::FULL {
        return Ok(());
    }
    Err("narrowest: 1 leaves one width only, below 1 there are more".into())
}

fn check_widths(widths: &[f64]) -> Result<(), String> {
    let widths = widths.iter().map(|&value| width(value)).collect::<Result<Vec<Width>, String>>()?;
    let ascending = widths.windows(2).all(|pair| pair[0] < pair[1]);
    if widths.len() > 1 && ascending && widths.last() == Some(&Width::FULL) {
        return Ok(());
    }
    Err("widths: they are two or more, ascend, and end with 1, such as 0.25,0.5,0.75,1".into())
}
