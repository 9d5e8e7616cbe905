//! Images wait in one bounded queue, and worker threads answer them in batches.
//!
//! Promises that a full queue refuses at once; that a batch never waits to fill; that a job whose caller has left
//! costs nothing; that every job that was accepted gets an answer, also when its worker fails; and that all that
//! computes runs on named threads of its own, never on those of the async runtime. Knows nothing of requests,
//! protocols or status codes.

mod engine_worker;
mod job;
mod predict;
mod queue;
mod worker;

pub use engine_worker::EngineWorker;
pub use job::{Answer, Batch, Job, JobError, QueuedJob, Ticket, Timing};
pub use predict::{Prediction, predict};
pub use queue::Refused;
pub use worker::{Execute, NewWorker};

use std::io;
use std::sync::Arc;

use tokio::sync::watch;

use crate::repository::ServedModel;
use crate::telemetry::Metrics;
use queue::Queue;

/// How many threads, and how much they may have to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Worker threads; a core each is best.
    pub workers: usize,
    /// The most images that run together.
    pub max_batch: usize,
    /// The most images that wait.
    pub queue_limit: usize,
}

/// The queue and its workers. Dropping it refuses new jobs; the workers end when those accepted are answered.
#[derive(Debug)]
pub struct Scheduler {
    queue: Arc<Queue>,
    settings: Settings,
    warmed_up: watch::Receiver<usize>,
}

impl Scheduler {
    /// Starts the worker threads, each of which warms up with every one of `models` before its first batch.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        settings: Settings,
        models: Vec<Arc<ServedModel>>,
        metrics: Arc<Metrics>,
        new_worker: NewWorker,
    ) -> io::Result<Scheduler> {
        let queue = Arc::new(Queue::new(settings.queue_limit, metrics.clone()));
        let (report, warmed_up) = watch::channel(0);
        // Dropped when a thread cannot be had, it lets those that could end.
        let scheduler = Scheduler { queue: queue.clone(), settings, warmed_up };
        let models: Arc<[Arc<ServedModel>]> = models.into();
        for index in 0..settings.workers {
            let worker = worker::Worker {
                queue: queue.clone(),
                max_batch: settings.max_batch,
                models: models.clone(),
                metrics: metrics.clone(),
                warmed_up: report.clone(),
                new_worker: new_worker.clone(),
            };
            std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || worker.run())?;
        }
        Ok(scheduler)
    }

    /// Takes all the jobs, or none; each ticket waits for its job's answer, and dropping it abandons the job.
    ///
    /// # Errors
    /// [`Refused`] when the queue has no room for all of them, or takes no more.
    pub fn submit(&self, jobs: Vec<Job>) -> Result<Vec<Ticket>, Refused> {
        self.queue.submit(jobs)
    }

    /// Has every worker warmed up?
    pub fn is_ready(&self) -> bool {
        *self.warmed_up.borrow() == self.settings.workers
    }

    /// Waits until every worker has warmed up; forever, should one of them fail at it.
    pub async fn ready(&self) {
        let mut warmed_up = self.warmed_up.clone();
        // An error means that the workers are gone: then they never will be ready.
        if warmed_up.wait_for(|&count| count == self.settings.workers).await.is_err() {
            std::future::pending().await
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.queue.close();
    }
}

#[cfg(test)]
mod tests;
