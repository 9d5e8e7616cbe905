//! A run: its network, its optimiser, and its training loop.

use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use anywidth::engine::Width;
use tch::{Device, Tensor};

use super::average::Average;
use super::balance::class_weights;
use super::batches::{Order, augmented, of_method};
use super::checkpoint::{self, Checkpoint, CheckpointError};
use super::loss::Target;
use super::method::Step;
use super::optimiser::Sgd;
use super::progress::Progress;
use super::recipe::recalibration_images;
use super::{Epoch, Material, Outcome, Recipe, TrainError};
use crate::data::loader::Loader;
use crate::data::{Batch, Examples, Images};
use crate::evaluate;
use crate::model::{Mode, Network, beside};
use crate::setting::SettingError;

/// A run of a recipe, at any stage.
#[derive(Debug)]
pub struct Run {
    recipe: Recipe,
    network: Network,
    sgd: Sgd,
    average: Option<Average>,
    teacher: Option<Box<Run>>,
    /// Whether the network was initialized from the training images.
    begun: bool,
    /// Completed steps.
    step: usize,
    history: Vec<Epoch>,
    /// Sum of the losses of the current epoch.
    loss_sum: f64,
    /// Whether any step was computed on a GPU.
    gpu: bool,
    checkpoint: PathBuf,
}

/// Steps between progress updates: reading the loss is cheap, formatting a bar is not.
const LOOK_EVERY: usize = 10;

impl Run {
    /// A new run with checkpoints in the file `checkpoint`. If the recipe has a teacher, add it by [`Run::taught_by`].
    ///
    /// # Panics
    /// If [`Recipe::check`] fails.
    pub fn new(recipe: Recipe, checkpoint: PathBuf) -> Run {
        let network = recipe.network();
        Run::with(recipe, network, checkpoint)
    }

    /// A new run with the weights of `network`, which has the structure of [`Recipe::network`].
    ///
    /// # Panics
    /// See [`Run::new`].
    pub fn with(recipe: Recipe, network: Network, checkpoint: PathBuf) -> Run {
        let sgd = Sgd::new(recipe.sgd, &network.parameters());
        let average = recipe.average();
        Run {
            recipe,
            network,
            sgd,
            average,
            teacher: None,
            begun: false,
            step: 0,
            history: Vec::new(),
            loss_sum: 0.0,
            gpu: false,
            checkpoint,
        }
    }

    /// The run in the file `checkpoint`, without its teacher; add it by [`Run::taught_by`].
    ///
    /// # Errors
    /// [`CheckpointError`] if the file is missing or truncated.
    pub fn resume(checkpoint: PathBuf) -> Result<Run, CheckpointError> {
        let loaded = Checkpoint::load(&checkpoint)?;
        let state = loaded.state;
        Ok(Run {
            recipe: state.recipe,
            network: loaded.network,
            sgd: loaded.sgd,
            average: loaded.average,
            teacher: None,
            begun: true,
            step: state.step,
            history: state.history,
            loss_sum: state.loss_sum,
            gpu: state.gpu,
            checkpoint,
        })
    }

    /// Adds the teacher that its recipe names.
    #[must_use]
    pub fn taught_by(self, teacher: Run) -> Run {
        Run { teacher: Some(Box::new(teacher)), ..self }
    }

    /// The teacher's run, if it was added.
    pub fn teacher(&self) -> Option<&Run> {
        self.teacher.as_deref()
    }

    /// The network to measure and export: the moving average if the recipe has one, otherwise the current one.
    pub fn network(&self) -> &Network {
        self.average.as_ref().map_or(&self.network, Average::network)
    }

    /// Its recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Whether any step was computed on a GPU, in which case the recipe does not determine the result.
    pub fn gpu(&self) -> bool {
        self.gpu
    }

    /// Whether all epochs are done.
    pub fn is_finished(&self) -> bool {
        self.history.len() == self.recipe.epochs
    }

    /// The completed epochs.
    pub fn history(&self) -> &[Epoch] {
        &self.history
    }

    /// Trains until the last epoch, or until `stop` returns true between two steps; saves a checkpoint in both cases.
    ///
    /// # Errors
    /// [`TrainError`] for settings out of range, a missing teacher, a loss or weight that is not finite, an unreadable
    /// image, or a checkpoint that cannot be written.
    ///
    /// # Panics
    /// If the material has no loader threads.
    pub fn train(
        &mut self,
        material: Material<'_>,
        progress: &Progress,
        stop: &dyn Fn() -> bool,
    ) -> Result<Outcome, TrainError> {
        let Material { train, validation, .. } = material;
        self.recipe.validate(train, validation)?;
        if self.recipe.method.teacher().is_some() != self.teacher.is_some() {
            return Err(SettingError::conflict("teacher", "either the run or its recipe has none").into());
        }
        let per_epoch = train.labels().len() / self.recipe.batch;
        let (epoch, done) = (self.step / per_epoch, self.history.len());
        if epoch != done {
            let step = self.step;
            let reason = format!(
                "started with another number of images: step {step} is in epoch {epoch} of these, but {done} were done"
            );
            return Err(SettingError::conflict("checkpoint", reason).into());
        }
        if !self.begun {
            self.recipe.begin(&self.network, train)?;
            self.begun = true;
        }
        self.gpu |= material.device != Device::Cpu;
        self.move_to(material.device);
        let outcome = self.epochs(material, per_epoch, progress, stop);
        self.move_to(Device::Cpu);
        outcome
    }

    /// Trains the remaining epochs.
    fn epochs(
        &mut self,
        material: Material<'_>,
        per_epoch: usize,
        progress: &Progress,
        stop: &dyn Fn() -> bool,
    ) -> Result<Outcome, TrainError> {
        let Material { train, validation, loaders, .. } = material;
        let goal = Goal::of(&self.recipe, &self.network, train.labels());
        let steps = self.recipe.epochs * per_epoch;
        let recipe = self.recipe.clone();
        let batches = || {
            let (recipe, mut order) = (&recipe, Order::default());
            move |step| augmented(recipe, train, order.indices(recipe, train.labels().len(), step), step)
        };
        thread::scope(|scope| {
            let mut loader = Loader::start(scope, loaders, self.step..steps, batches);
            while self.step < steps {
                if self.epoch(&mut loader, &goal, [per_epoch, steps], progress, stop)? == Outcome::Interrupted {
                    self.save()?;
                    return Ok(Outcome::Interrupted);
                }
                self.measure(train, validation)?;
                self.save()?;
                progress.epoch(&self.history, &self.recipe);
            }
            Ok(Outcome::Finished)
        })
    }

    /// Trains the rest of the current epoch and adds it to the history, unless it was stopped.
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

    /// Measures the completed epoch, and finishes the network after the last.
    fn measure(&mut self, train: &dyn Examples, validation: &Images) -> Result<(), TrainError> {
        let begin = Instant::now();
        let precision = self.recipe.precision.kind();
        let widths = self.recipe.progress_widths();
        let mode = Mode { training: false, precision };
        let accuracy = match self.recipe.method.rules().recalibrated() {
            Some(norms) => {
                let network = self.network().copied().with_norms_for(&norms);
                network.recalibrate(&recalibration_images(train)?.images.to_device(network.device()));
                let accuracy = evaluate::accuracies_at(&network, &widths, validation, mode);
                if self.is_finished() {
                    self.average = None;
                    self.network = network;
                }
                accuracy
            }
            None => evaluate::accuracies_at(self.network(), &widths, validation, mode),
        };
        if let Some(last) = self.history.last_mut() {
            last.accuracy = accuracy;
            last.seconds += begin.elapsed().as_secs_f64();
        }
        Ok(())
    }

    fn step_once(&mut self, batch: &Batch, goal: &Goal, rate: f64) -> f64 {
        let mode = Mode { training: true, precision: self.recipe.precision.kind() };
        let batch = batch.to_device(self.network.device());
        let told = self.teacher.as_ref().map(|teacher| {
            let mode = Mode { training: false, ..mode };
            tch::no_grad(|| teacher.network().logits(&batch.images, Width::FULL, mode))
        });
        let random = of_method(&self.recipe, self.step);
        let mut step = Step { network: &self.network, batch: &batch, target: &goal.target, told, mode, random };
        let value = self.recipe.method.rules().backward(&mut step);
        if value.is_finite() {
            self.sgd.step(&self.network.parameters(), &goal.scales, rate);
            if let Some(average) = &mut self.average {
                average.update(&self.network, self.step);
            }
        }
        value
    }

    fn move_to(&mut self, device: Device) {
        self.network.move_to(device);
        self.sgd.move_to(device);
        if let Some(average) = &mut self.average {
            average.move_to(device);
        }
        if let Some(teacher) = &mut self.teacher {
            teacher.move_to(device);
        }
    }

    /// Saves the run, unless its weights are not finite.
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
            gpu: self.gpu,
        };
        // A finished run needs no optimiser state.
        let sgd = (!self.is_finished()).then_some(&self.sgd);
        Ok(checkpoint::save(&self.checkpoint, &state, &self.network, sgd, self.average.as_ref())?)
    }
}

/// The parameters of a step's gradients.
struct Goal {
    target: Target,
    /// One per parameter, if gradients are divided by coverage.
    scales: Vec<Option<Tensor>>,
}

impl Goal {
    fn of(recipe: &Recipe, network: &Network, labels: &[u16]) -> Goal {
        let weights = || class_weights(labels, recipe.dataset.labels().len());
        let classes = recipe.balanced.then(|| beside(&network.graph.classifier.bias, &weights()));
        let target = Target { label_smoothing: recipe.label_smoothing, distillation: 0.0, classes };
        Goal { target, scales: recipe.method.rules().gradient_scales(network) }
    }
}
