//! Training: one loop for every method; [`method`] has the differences.
//!
//! On one CPU thread, a run is a pure function of its [`Recipe`], images, seed and teacher (a GPU is not
//! deterministic). The random numbers of a step depend only on the seed and the step number, so a resumed run equals an
//! uninterrupted one.

pub mod average;
pub mod balance;
mod batches;
mod check;
pub mod checkpoint;
pub mod difference;
pub mod loss;
pub mod method;
pub mod optimiser;
pub mod progress;
pub mod recipe;
mod run;
pub mod schedule;

use anywidth::engine::Width;
use serde::{Deserialize, Serialize};
use tch::Device;
use thiserror::Error;

use crate::data::{DataError, Examples, Images};
use crate::setting::SettingError;

use checkpoint::CheckpointError;

pub use method::{Method, Teacher};
pub use recipe::{Origin, Precision, Recipe, Start, recalibration_images, some_of};
pub use run::Run;

/// The result of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean training loss.
    pub loss: f64,
    /// Accuracy on the validation images, at each of [`Recipe::progress_widths`].
    pub accuracy: Vec<f64>,
    /// Duration in seconds.
    pub seconds: f64,
    /// Seconds in which training waited for images.
    #[serde(default)]
    pub waited: f64,
}

/// The inputs of a run.
#[derive(Clone, Copy)]
pub struct Material<'a> {
    /// Training images.
    pub train: &'a dyn Examples,
    /// Images for measuring after each epoch.
    pub validation: &'a Images,
    /// Threads that read and augment images; their number does not change the result.
    pub loaders: usize,
    /// The device of the steps. Outside [`Run::train`], a run's tensors are on the CPU.
    pub device: Device,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All epochs are done.
    Finished,
    /// Stopped on request; `--resume` continues.
    Interrupted,
}

/// Why a run cannot continue.
#[derive(Debug, Error)]
pub enum TrainError {
    /// A setting is out of its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The loss is not finite; the last checkpoint is kept.
    #[error("the loss is {loss} at step {step}: try a lower learning rate; the last checkpoint is kept")]
    Diverged {
        /// The step, from 0.
        step: usize,
        /// The loss.
        loss: f64,
    },
    /// An image is no longer readable; the last checkpoint is kept.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A weight is not finite, which the next loss would have shown.
    #[error("{name} is not a number after {steps} steps: try a lower learning rate; the last checkpoint is kept")]
    Overflow {
        /// The weight's name.
        name: String,
        /// Completed steps.
        steps: usize,
    },
    /// A checkpoint could not be written, or does not match the recipe.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// The widths named in progress lines and model cards.
pub fn named_widths() -> [Width; 4] {
    [250_000, 500_000, 750_000, 1_000_000]
        .map(|millionths| Width::from_millionths(millionths).expect("between one and a million"))
}
