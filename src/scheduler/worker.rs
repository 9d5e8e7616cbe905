//! A worker thread: takes work until there is no more, and survives its own failures.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{debug, error};

use super::queue::{Queue, Taken};
use super::run_delay::RunDelay;
use super::task::Task;
use super::turns::Turns;
use super::{Batch, Encoded, JobError};
use crate::engine::Width;
use crate::image::ImageError;
use crate::repository::ServedModel;
use crate::telemetry::{Metrics, observe};

/// What a worker does with its work. The server's is [`EngineWorker`](super::EngineWorker); a test may bring its own.
pub trait Execute: Send {
    /// Makes ready for these models, so that the first request is as fast as the next.
    fn warm_up(&mut self, models: &[Arc<ServedModel>]);

    /// The pixels that the model reads of an image, `[C, H, W]`.
    ///
    /// # Errors
    /// When the bytes are no image.
    fn decode(&mut self, picture: &Encoded) -> Result<Vec<u8>, ImageError>;

    /// Replies to every job of the batch. A job that is dropped without a reply is answered with [`JobError::WorkerFailed`].
    fn run(&mut self, batch: Batch) -> Ran;
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ran {
    /// The widths that ran; none if the worker did anything else beside, for then its time says nothing of them.
    pub widths: Vec<Width>,
    /// Jobs that were answered by their deadlines.
    pub in_time: usize,
    /// Jobs that were answered after them.
    pub late: usize,
}

/// Makes a worker's insides: once for each thread, and again after a failure.
pub type NewWorker = Arc<dyn Fn() -> Box<dyn Execute> + Send + Sync>;

pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) queue: Arc<Queue>,
    pub(super) models: Arc<[Arc<ServedModel>]>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) warmed_up: watch::Sender<usize>,
    pub(super) run_delay: Arc<RunDelay>,
    pub(super) turns: Arc<Turns>,
    pub(super) new_worker: NewWorker,
}

impl Worker {
    pub(super) fn work(self) {
        self.run_delay.count_this_thread();
        let mut execute = (self.new_worker)();
        // Where warming up fails, the worker never counts as ready, but goes on: other models may run.
        if self.survives("warming up", || execute.warm_up(&self.models)).is_some() {
            self.metrics.workers_ready.inc();
            self.warmed_up.send_modify(|count| *count += 1);
            debug!("warmed up");
        }
        // Whatever fails, the thread lives: a queue that nobody works on would take jobs and never answer.
        let mut between = Duration::ZERO;
        while self.survives("taking work", || self.take(&mut execute, &mut between)) != Some(ControlFlow::Break(())) {}
    }

    /// Does what there is to do next; breaks once there is no more. `between` is the time that has passed between tasks since
    /// the last batch although there was work.
    fn take(&self, execute: &mut Box<dyn Execute>, between: &mut Duration) -> ControlFlow<()> {
        let asked = Instant::now();
        // On a shared core, requests that arrived during the last task are read, and its answers sent, before the next one.
        // Without this they wait until the worker's time slice ends. A lower priority would do the same for the runtime,
        // but it would also let any other busy process starve the workers.
        self.turns.wait();
        let Some(Taken { task, waited }) = self.queue.take(self.index) else { return ControlFlow::Break(()) };
        *between = if waited { Duration::ZERO } else { *between + asked.elapsed() };
        self.turns.during(|| match task {
            Task::Decode(pictures) => pictures.into_iter().for_each(|picture| self.decode(execute, picture)),
            Task::Run(batch) => self.run(execute, batch, std::mem::take(between)),
        });
        ControlFlow::Continue(())
    }

    fn decode(&self, execute: &mut Box<dyn Execute>, picture: Encoded) {
        if !self.queue.is_wanted(&picture) {
            return;
        }
        let began = Instant::now();
        let pixels = match self.survives("decoding", || execute.decode(&picture)) {
            Some(outcome) => outcome.map_err(JobError::from),
            None => {
                *execute = (self.new_worker)();
                Err(JobError::WorkerFailed)
            }
        };
        let took = began.elapsed();
        observe(&self.metrics.decode_duration.with_label_values(&[&picture.model.name]), took);
        self.queue.decoded(&picture, pixels, took);
    }

    /// Runs a batch. What others, above all the runtime, took of this core `between` tasks counts as the batch's: plans are
    /// about when answers are there, not about what the network alone takes.
    fn run(&self, execute: &mut Box<dyn Execute>, batch: Batch, between: Duration) {
        let (began, model) = (Instant::now(), batch.model.clone());
        match self.survives("a batch", || execute.run(batch)) {
            Some(ran) => self.queue.ran(&model, &ran, between + began.elapsed()),
            // Whatever state the failure left behind is thrown away.
            None => *execute = (self.new_worker)(),
        }
    }

    /// Runs `work`; a panic is logged, counted, and goes no further.
    fn survives<T>(&self, what: &str, work: impl FnOnce() -> T) -> Option<T> {
        let outcome = catch_unwind(AssertUnwindSafe(work));
        if let Err(panic) = &outcome {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            self.metrics.worker_panics.inc();
            error!(panic = text.unwrap_or("of another kind"), "worker failed at {what}, and goes on");
        }
        outcome.ok()
    }
}
