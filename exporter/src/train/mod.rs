//! Training: one loop for every method; [`method`] has what differs between them.
//!
//! A run is a pure function of its [`Recipe`], its images, its seed and its teacher, if it has one (on one thread of a
//! processor; a GPU rounds as it likes): what is random in a step is drawn from the seed and the step's number, so that a
//! resumed run goes on exactly as an uninterrupted one would.

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

use checkpoint::CheckpointError;

pub use method::{Method, Teacher};
pub use recipe::{Origin, Precision, Recipe, Start, recalibration_images, some_of};
pub use run::Run;

/// What an epoch did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean training loss.
    pub loss: f64,
    /// Share of the validation images that are classified correctly, at each of [`Recipe::progress_widths`].
    pub accuracy: Vec<f64>,
    /// Time taken, in seconds.
    pub seconds: f64,
    /// Seconds of it in which training waited for images.
    #[serde(default)]
    pub waited: f64,
}

/// What a run learns from.
#[derive(Clone, Copy)]
pub struct Material<'a> {
    /// Images to train on.
    pub train: &'a dyn Examples,
    /// Images to measure with after each epoch.
    pub validation: &'a Images,
    /// Threads that read and change images beside training; their number changes nothing else.
    pub loaders: usize,
    /// What computes the steps. Between two runs of [`Run::train`], a run is where the processor can read it.
    pub device: Device,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All epochs are done.
    Finished,
    /// It was told to stop; `--resume` goes on.
    Interrupted,
}

/// Why a run could not go on.
#[derive(Debug, Error)]
pub enum TrainError {
    /// A setting is out of its range.
    #[error("{0}")]
    Setting(String),
    /// The loss is no number any more; the last checkpoint is from before.
    #[error("the loss is {loss} at step {step}: try a lower learning rate; the last checkpoint is kept")]
    Diverged {
        /// The step's number from 0.
        step: usize,
        /// What the loss was.
        loss: f64,
    },
    /// An image is not where it was any more; the last checkpoint is kept.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A weight is no number any more, which the next loss would have shown.
    #[error("{name} is no number after {steps} steps: try a lower learning rate; the last checkpoint is kept")]
    Overflow {
        /// The weight's name.
        name: String,
        /// Steps done.
        steps: usize,
    },
    /// A checkpoint could not be written, or is not one of this recipe.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// The widths that progress and model cards name.
pub fn named_widths() -> [Width; 4] {
    [250_000, 500_000, 750_000, 1_000_000]
        .map(|millionths| Width::from_millionths(millionths).expect("between one and a million"))
}
