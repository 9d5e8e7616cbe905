//! A worker thread: takes work until there is no more, and survives its executor's panics.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use tracing::{debug, error};

use super::audit::{Audit, IdleBudget};
use super::job::ImageRequest;
use super::queue::{Next, Queue, Taken};
use super::run_delay::RunDelay;
use super::turns::Turns;
use super::{Clock, JobError, RunningJob};
use crate::image::ImageError;
use crate::policy::{Batch, BatchReport, DecodeTask, ExitRule, Task};
use crate::repository::ServedModel;
use crate::telemetry::{Metrics, observe};

/// Does a worker's work. The server's is [`EngineWorker`](super::EngineWorker); a test may bring its own.
pub trait Executor: Send {
    /// Prepares for these models, so that the first request is as fast as the next.
    fn warm_up(&mut self, models: &[Arc<ServedModel>]);

    /// Decodes an image to the pixels that the model reads, `[C, H, W]`.
    ///
    /// # Errors
    /// When the bytes are not an image.
    fn decode(&mut self, model: &ServedModel, image: &[u8]) -> Result<Vec<u8>, ImageError>;

    /// Runs jobs of one model and replies to each. With a rule, each image stops where that says. A job that is dropped without a
    /// reply is answered with [`JobError::WorkerFailed`].
    fn run(&mut self, model: &Arc<ServedModel>, jobs: Vec<RunningJob>, rule: Option<&ExitRule>) -> BatchReport;

    /// Runs an image that stopped early at full width, to check its answer; `None` if there is none.
    fn audit(&mut self) -> Option<Audit> {
        None
    }
}

/// Makes an executor: once for each worker thread, and again after a panic.
pub type NewExecutor = Arc<dyn Fn() -> Box<dyn Executor> + Send + Sync>;

pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) queue: Arc<Queue>,
    /// The models to warm up for.
    pub(super) models: Vec<Arc<ServedModel>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) warmed_up: watch::Sender<usize>,
    pub(super) run_delay: Arc<RunDelay>,
    pub(super) turns: Arc<Turns>,
    pub(super) clock: Clock,
    pub(super) new_executor: NewExecutor,
    pub(super) audit_share: f64,
}

/// What a worker remembers from task to task.
struct Between {
    /// The time between tasks since the last batch during which there was work.
    busy: Duration,
    idle: IdleBudget,
}

impl Worker {
    pub(super) fn work(mut self) {
        self.run_delay.count_this_thread();
        let mut executor = (self.new_executor)();
        // If warming up fails, the worker never counts as ready, but goes on: other models may run.
        let models = std::mem::take(&mut self.models);
        let warmed_up = self.survives("warming up", || executor.warm_up(&models)).is_some();
        // Retired models should not be held for this.
        drop(models);
        if warmed_up {
            self.metrics.workers_ready.inc();
            self.warmed_up.send_modify(|count| *count += 1);
            debug!("warmed up");
        }
        // The thread survives every panic: a queue without workers would accept jobs and never answer.
        let mut between = Between { busy: Duration::ZERO, idle: IdleBudget::new(self.audit_share) };
        while self.survives("taking work", || self.take(&mut executor, &mut between)) != Some(ControlFlow::Break(())) {}
    }

    /// Does the next task; breaks once there is none.
    fn take(&self, executor: &mut Box<dyn Executor>, between: &mut Between) -> ControlFlow<()> {
        let asked = self.clock.now();
        // On a shared core, requests that arrived during the last task are read, and its answers sent, before the next one.
        // Without this they wait until the worker's time slice ends. A lower priority would do the same for the runtime,
        // but it would also let any other busy process starve the workers.
        self.turns.wait();
        let Taken { task, models, waited } = match self.queue.take(self.index, between.idle.patience()) {
            Next::Task(taken) => taken,
            Next::Idle(time) => {
                between.idle.was_idle(time);
                self.turns.during(|| self.audit(executor, &mut between.idle));
                return ControlFlow::Continue(());
            }
            Next::Closed => return ControlFlow::Break(()),
        };
        between.busy = if waited.is_some() { Duration::ZERO } else { between.busy + self.since(asked) };
        between.idle.was_idle(waited.unwrap_or_default());
        self.turns.during(|| match task {
            Task::Decode(tasks) => {
                let last = tasks.len() - 1;
                let all = tasks.iter().zip(&models).enumerate();
                all.for_each(|(index, (task, model))| self.decode(executor, model, task, index == last));
            }
            Task::Run(batch) => {
                self.run(executor, &models[0], batch, std::mem::take(&mut between.busy));
                between.idle.ran();
            }
        });
        ControlFlow::Continue(())
    }

    /// Checks an answer.
    fn audit(&self, executor: &mut Box<dyn Executor>, idle: &mut IdleBudget) {
        let start = self.clock.now();
        let audit = self.survives("an audit", || executor.audit()).unwrap_or_else(|| {
            *executor = (self.new_executor)();
            None
        });
        idle.audited(audit.is_some().then(|| self.since(start)));
        if let Some(audit) = audit {
            self.queue.audited(&audit);
        }
    }

    /// Decodes an image, the last of its group or not.
    fn decode(&self, executor: &mut Box<dyn Executor>, model: &ServedModel, task: &DecodeTask<Bytes>, last: bool) {
        if !self.queue.is_wanted(task) {
            return;
        }
        let start = self.clock.now();
        let pixels = match self.survives("decoding", || executor.decode(model, &task.encoded)) {
            Some(outcome) => outcome.map_err(JobError::from),
            None => {
                *executor = (self.new_executor)();
                Err(JobError::WorkerFailed)
            }
        };
        let time = self.since(start);
        observe(&self.metrics.decode_duration.with_label_values(&[&model.name]), time);
        self.queue.decoded(task, pixels, time, last);
    }

    /// Runs a batch. The time that others, above all the runtime, took of this core `between` tasks counts as the batch's: plans
    /// predict when answers are ready, not the network's time alone.
    fn run(
        &self,
        executor: &mut Box<dyn Executor>,
        model: &Arc<ServedModel>,
        batch: Batch<ImageRequest>,
        between: Duration,
    ) {
        let (start, Batch { model: index, jobs, exits, .. }) = (self.clock.now(), batch);
        match self.survives("a batch", || executor.run(model, jobs, exits.as_ref())) {
            Some(report) => self.queue.finished(index, &report, between + self.since(start)),
            // Whatever state the panic left behind is thrown away.
            None => *executor = (self.new_executor)(),
        }
    }

    fn since(&self, start: Instant) -> Duration {
        self.clock.now().saturating_duration_since(start)
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
