//! A worker thread: takes batches until there are no more, and survives its own failures.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::watch;
use tracing::{debug, error};

use super::Batch;
use super::queue::Queue;
use crate::repository::ServedModel;
use crate::telemetry::Metrics;

/// What a worker does with its batches. The server's is [`EngineWorker`](super::EngineWorker); a test may bring its own.
pub trait Execute: Send {
    /// Makes ready for these models, so that the first request is as fast as the next.
    fn warm_up(&mut self, models: &[Arc<ServedModel>]);

    /// Replies to every job of the batch. A job that is dropped without a reply is answered with
    /// [`JobError::WorkerFailed`](super::JobError::WorkerFailed).
    fn execute(&mut self, batch: Batch);
}

/// Makes a worker's insides: once for each thread, and again after a failure.
pub type NewWorker = Arc<dyn Fn() -> Box<dyn Execute> + Send + Sync>;

pub(super) struct Worker {
    pub(super) queue: Arc<Queue>,
    pub(super) max_batch: usize,
    pub(super) models: Arc<[Arc<ServedModel>]>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) warmed_up: watch::Sender<usize>,
    pub(super) new_worker: NewWorker,
}

impl Worker {
    pub(super) fn run(self) {
        let mut execute = (self.new_worker)();
        // Where warming up fails, the worker never counts as ready, but goes on: other models may run.
        if self.survives("warming up", || execute.warm_up(&self.models)) {
            self.metrics.workers_ready.inc();
            self.warmed_up.send_modify(|count| *count += 1);
            debug!("warmed up");
        }
        while let Some(batch) = self.queue.take(self.max_batch) {
            if !self.survives("a batch", || execute.execute(batch)) {
                // Whatever state the failure left behind is thrown away.
                execute = (self.new_worker)();
            }
        }
    }

    /// Runs `work`; a panic is logged, counted, and goes no further.
    fn survives(&self, what: &str, work: impl FnOnce()) -> bool {
        let outcome = catch_unwind(AssertUnwindSafe(work));
        if let Err(panic) = &outcome {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            self.metrics.worker_panics.inc();
            error!(panic = text.unwrap_or("of another kind"), "worker failed at {what} and is rebuilt");
        }
        outcome.is_ok()
    }
}
