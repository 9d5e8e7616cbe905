//! Training by the one-pass method: each step fits every width at once. A dense network, to compare with, has full width only.
//!
//! A run is a pure function of its [`Recipe`], its images and its seed (on one thread): what is random in a step is
//! drawn from the seed and the step's number, so that a resumed run goes on exactly as an uninterrupted one would.

pub mod average;
pub mod balance;
mod check;
pub mod checkpoint;
pub mod difference;
pub mod loss;
pub mod optimiser;
pub mod progress;
pub mod recipe;
pub mod schedule;

use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use anywidth::engine::Width;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};
use thiserror::Error;

use crate::data::loader::Loader;
use crate::data::{Batch, DataError, Examples, Images};
use crate::evaluate;
use crate::model::{Mode, Network};

use average::Average;
use balance::class_weights;
use checkpoint::{Checkpoint, CheckpointError};
use loss::{LossWeights, Target};
use optimiser::Sgd;
use progress::Progress;

pub use recipe::{Method, Precision, Recipe, Start};

/// What an epoch did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean training loss.
    pub loss: f64,
    /// Share of the validation images that are classified correctly, at each of the network's widths.
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

/// A run under way.
#[derive(Debug)]
pub struct Run {
    recipe: Recipe,
    network: Network,
    sgd: Sgd,
    average: Option<Average>,
    /// Steps done.
    step: usize,
    history: Vec<Epoch>,
    /// Sum of the losses of the epoch under way.
    loss_sum: f64,
    checkpoint: PathBuf,
}

/// Steps between two looks at the loss: reading it back is cheap, formatting a bar each time is not.
const LOOK_EVERY: usize = 10;

impl Run {
    /// A run from its beginning; checkpoints go to the file `checkpoint`.
    ///
    /// # Panics
    /// If [`Recipe::check`] finds something wrong.
    pub fn new(recipe: Recipe, checkpoint: PathBuf) -> Run {
        let network = recipe.network();
        let sgd = Sgd::new(recipe.sgd, &network.parameters());
        let average = recipe.average();
        Run { recipe, network, sgd, average, step: 0, history: Vec::new(), loss_sum: 0.0, checkpoint }
    }

    /// The run that the file `checkpoint` holds.
    ///
    /// # Errors
    /// [`CheckpointError`] if there is no such file or it is not whole.
    pub fn resume(checkpoint: PathBuf) -> Result<Run, CheckpointError> {
        let loaded = Checkpoint::load(&checkpoint)?;
        let state = loaded.state;
        Ok(Run {
            recipe: state.recipe,
            network: loaded.network,
            sgd: loaded.sgd,
            average: loaded.average,
            step: state.step,
            history: state.history,
            loss_sum: state.loss_sum,
            checkpoint,
        })
    }

    /// The network to measure and export: as it is now, or its average if the recipe wants one.
    pub fn network(&self) -> &Network {
        self.average.as_ref().map_or(&self.network, Average::network)
    }

    /// The recipe that it follows.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The epochs that are done.
    pub fn history(&self) -> &[Epoch] {
        &self.history
    }

    /// Trains until the recipe's last epoch, or until `stop` says so between two steps; saves either way.
    ///
    /// # Errors
    /// [`TrainError`] for settings out of range, a loss or a weight that is no number, an image that is gone, or a
    /// checkpoint that cannot be written.
    ///
    /// # Panics
    /// If the material has no loader.
    pub fn train(
        &mut self,
        material: Material<'_>,
        progress: &Progress,
        stop: &dyn Fn() -> bool,
    ) -> Result<Outcome, TrainError> {
        let Material { train, validation, loaders } = material;
        self.recipe.validate(train, validation).map_err(TrainError::Setting)?;
        let goal = Goal::of(&self.recipe, &self.network, train.labels())?;
        let per_epoch = train.labels().len() / self.recipe.batch;
        let steps = self.recipe.epochs * per_epoch;
        let (epoch, done) = (self.step / per_epoch, self.history.len());
        if epoch != done {
            let reason = format!("step {} is in epoch {epoch} of these images, but {done} were done", self.step);
            return Err(TrainError::Setting(format!("checkpoint: begun with another number of images: {reason}")));
        }
        if self.step == 0 {
            self.recipe.begin(&self.network, train)?;
        }
        let recipe = self.recipe.clone();
        let batches = || {
            let (recipe, mut order) = (&recipe, Order::default());
            move |step| batch(recipe, train, order.indices(recipe, train.labels().len(), step), step)
        };
        thread::scope(|scope| {
            let mut loader = Loader::start(scope, loaders, self.step..steps, batches);
            while self.step < steps {
                if self.epoch(&mut loader, &goal, [per_epoch, steps], progress, stop)? == Outcome::Interrupted {
                    self.save()?;
                    return Ok(Outcome::Interrupted);
                }
                self.measure(validation);
                self.save()?;
                progress.epoch(&self.history, self.recipe.epochs);
            }
            Ok(Outcome::Finished)
        })
    }

    /// What is left of an epoch, which then is the history's last; not if it was stopped.
    fn epoch(
        &mut self,
        loader: &mut Loader,
        goal: &Goal,
        [per_epoch, steps]: [usize; 2],
        progress: &Progress,
        stop: &dyn Fn() -> bool,
    ) -> Result<Outcome, TrainError> {
        let begin = Instant::now();
        for place in self.step % per_epoch..per_epoch {
            if stop() {
                return Ok(Outcome::Interrupted);
            }
            let rate = self.recipe.schedule.rate(self.step, steps);
            let loss = self.step_once(&loader.next_batch()?, goal, rate);
            if !loss.is_finite() {
                return Err(TrainError::Diverged { step: self.step, loss });
            }
            self.loss_sum += loss;
            self.step += 1;
            if place % LOOK_EVERY == 0 {
                progress.step(self.step, steps, self.loss_sum / (place + 1) as f64, rate);
            }
        }
        let loss = std::mem::take(&mut self.loss_sum) / per_epoch as f64;
        let waited = loader.take_waited().as_secs_f64();
        let seconds = begin.elapsed().as_secs_f64();
        self.history.push(Epoch { loss, accuracy: Vec::new(), seconds, waited });
        Ok(Outcome::Finished)
    }

    /// Completes the epoch that is the history's last.
    fn measure(&mut self, validation: &Images) {
        let begin = Instant::now();
        let mode = Mode { training: false, precision: self.recipe.precision.kind() };
        let accuracy = evaluate::accuracies(self.network(), validation, mode);
        if let Some(last) = self.history.last_mut() {
            last.accuracy = accuracy;
            last.seconds += begin.elapsed().as_secs_f64();
        }
    }

    fn step_once(&mut self, batch: &Batch, goal: &Goal, rate: f64) -> f64 {
        let mode = Mode { training: true, precision: self.recipe.precision.kind() };
        let logits = self.network.all_logits(&batch.images, mode);
        let loss = goal.widths.loss(&logits, &batch.labels, &goal.target);
        let value = loss.double_value(&[]);
        if value.is_finite() {
            loss.backward();
            self.sgd.step(&self.network.parameters(), &goal.scales, rate);
            if let Some(average) = &mut self.average {
                average.update(&self.network, self.step);
            }
        }
        value
    }

    /// Saves the run, unless its network is worth nothing any more.
    fn save(&self) -> Result<(), TrainError> {
        let broken = |(_, tensor): &(String, &Tensor)| tensor.isfinite().all().int64_value(&[]) == 0;
        if let Some((name, _)) = self.network.tensors().into_iter().find(broken) {
            return Err(TrainError::Overflow { name, steps: self.step });
        }
        let state = checkpoint::State {
            recipe: self.recipe.clone(),
            step: self.step,
            history: self.history.clone(),
            loss_sum: self.loss_sum,
        };
        Ok(checkpoint::save(&self.checkpoint, &state, &self.network, &self.sgd, self.average.as_ref())?)
    }
}

/// What the gradients follow, and how far.
struct Goal {
    widths: LossWeights,
    target: Target,
    /// One for each parameter, where gradients are divided by the channels' coverage.
    scales: Vec<Option<Tensor>>,
}

impl Goal {
    fn of(recipe: &Recipe, network: &Network, labels: &[u16]) -> Result<Goal, TrainError> {
        let widths = LossWeights::new(&recipe.loss_weights, network.widths().len()).map_err(TrainError::Setting)?;
        let scales = if recipe.coverage { widths.gradient_scales(network) } else { Vec::new() };
        let weights = || class_weights(labels, recipe.dataset.labels().len());
        let classes = recipe.balanced.then(|| Tensor::from_slice(&weights()).to_kind(Kind::Float));
        let Recipe { label_smoothing, distillation, .. } = *recipe;
        Ok(Goal { widths, target: Target { label_smoothing, distillation, classes }, scales })
    }
}

/// The order in which an epoch sees the images, remembered until the next epoch.
#[derive(Default)]
struct Order {
    epoch: Option<usize>,
    order: Vec<usize>,
}

impl Order {
    /// The images of step `step`, of `count` in all.
    fn indices(&mut self, recipe: &Recipe, count: usize, step: usize) -> &[usize] {
        let per_epoch = count / recipe.batch;
        let epoch = step / per_epoch;
        if self.epoch != Some(epoch) {
            self.epoch = Some(epoch);
            self.order = (0..count).collect();
            self.order.shuffle(&mut random(recipe.seed, ORDER, epoch));
        }
        &self.order[step % per_epoch * recipe.batch..][..recipe.batch]
    }
}

fn batch(recipe: &Recipe, images: &dyn Examples, indices: &[usize], step: usize) -> Result<Batch, DataError> {
    images.augmented(indices, &recipe.augmentation, &mut random(recipe.seed, PIXELS, step))
}

fn random(seed: u64, purpose: u64, index: usize) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(purpose << STREAM_BITS | index as u64);
    random
}

/// The purposes that random numbers of one seed are drawn for; the split and the weights use stream 0.
const ORDER: u64 = 1;
const PIXELS: u64 = 2;
const STREAM_BITS: u32 = 48;

/// The widths that progress and model cards name.
pub fn named_widths() -> [Width; 4] {
    [250_000, 500_000, 750_000, 1_000_000]
        .map(|millionths| Width::from_millionths(millionths).expect("between one and a million"))
}
