//! A run under way: its network, its optimiser, and the steps that move them.

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

/// A run under way.
#[derive(Debug)]
pub struct Run {
    recipe: Recipe,
    network: Network,
    sgd: Sgd,
    average: Option<Average>,
    teacher: Option<Box<Run>>,
    /// Has the network got what the training images decide about its first weights?
    begun: bool,
    /// Steps done.
    step: usize,
    history: Vec<Epoch>,
    /// Sum of the losses of the epoch under way.
    loss_sum: f64,
    /// Was any step computed on a GPU?
    gpu: bool,
    checkpoint: PathBuf,
}

/// Steps between two looks at the loss: reading it back is cheap, formatting a bar each time is not.
const LOOK_EVERY: usize = 10;

impl Run {
    /// A run from its beginning; checkpoints go to the file `checkpoint`. If the recipe has a teacher, [`Run::taught_by`]
    /// brings it.
    ///
    /// # Panics
    /// If [`Recipe::check`] finds something wrong.
    pub fn new(recipe: Recipe, checkpoint: PathBuf) -> Run {
        let network = recipe.network();
        Run::with(recipe, network, checkpoint)
    }

    /// A run from its beginning with the weights of `network`, which is like [`Recipe::network`]'s.
    ///
    /// # Panics
    /// As for [`Run::new`].
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

    /// The run that the file `checkpoint` holds, which has no teacher; [`Run::taught_by`] brings it.
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
            teacher: None,
            begun: true,
            step: state.step,
            history: state.history,
            loss_sum: state.loss_sum,
            gpu: state.gpu,
            checkpoint,
        })
    }

    /// The same run with the one whose network teaches, which its recipe names.
    #[must_use]
    pub fn taught_by(self, teacher: Run) -> Run {
        Run { teacher: Some(Box::new(teacher)), ..self }
    }

    /// The run whose network teaches, if it was brought.
    pub fn teacher(&self) -> Option<&Run> {
        self.teacher.as_deref()
    }

    /// The network to measure and export: as it is now, or its average if the recipe wants one.
    pub fn network(&self) -> &Network {
        self.average.as_ref().map_or(&self.network, Average::network)
    }

    /// The recipe that it follows.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Was any step computed on a GPU? Then the recipe alone does not say what came out of it.
    pub fn gpu(&self) -> bool {
        self.gpu
    }

    /// Are all epochs done?
    pub fn is_finished(&self) -> bool {
        self.history.len() == self.recipe.epochs
    }

    /// The epochs that are done.
    pub fn history(&self) -> &[Epoch] {
        &self.history
    }

    /// Trains until the recipe's last epoch, or until `stop` says so between two steps; saves either way.
    ///
    /// # Errors
    /// [`TrainError`] for settings out of range, a teacher that is missing, a loss or a weight that is no number, an image
    /// that is gone, or a checkpoint that cannot be written.
    ///
    /// # Panics
    /// If the material has no loader.
    pub fn train(
        &mut self,
        material: Material<'_>,
        progress: &Progress,
        stop: &dyn Fn() -> bool,
    ) -> Result<Outcome, TrainError> {
        let Material { train, validation, .. } = material;
        self.recipe.validate(train, validation).map_err(TrainError::Setting)?;
        if self.recipe.method.teacher().is_some() != self.teacher.is_some() {
            return Err(TrainError::Setting("teacher: there is one in the run or in its recipe, not in both".into()));
        }
        let per_epoch = train.labels().len() / self.recipe.batch;
        let (epoch, done) = (self.step / per_epoch, self.history.len());
        if epoch != done {
            let reason = format!("step {} is in epoch {epoch} of these images, but {done} were done", self.step);
            return Err(TrainError::Setting(format!("checkpoint: begun with another number of images: {reason}")));
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

    /// All epochs that are left.
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

    /// Completes the epoch that is the history's last, and the network if that was the run's last.
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
            gpu: self.gpu,
        };
        // A finished run has no further step to take.
        let sgd = (!self.is_finished()).then_some(&self.sgd);
        Ok(checkpoint::save(&self.checkpoint, &state, &self.network, sgd, self.average.as_ref())?)
    }
}

/// What the gradients follow, and how far.
struct Goal {
    target: Target,
    /// One for each parameter, where gradients are divided by the channels' coverage.
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
