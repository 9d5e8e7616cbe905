//! Images wait in one bounded queue, the earliest deadline first, and worker threads answer them in batches at the widths
//! that the policy chooses.
//!
//! Promises that what cannot be answered in time is refused at once; that a batch never waits to fill; that a job whose
//! caller has left costs nothing; that every job that was accepted gets an answer, also when its worker fails; and that all
//! that computes runs on named threads of its own, never on those of the async runtime. Knows nothing of requests,
//! protocols or status codes.

mod climb;
mod engine_worker;
mod job;
mod measure;
mod planner;
mod predict;
mod queue;
mod run_delay;
mod task;
mod turns;
mod worker;

pub use engine_worker::EngineWorker;
pub use job::{Answer, Job, JobError, QueuedJob, Ticket, Timing};
pub use measure::measure;
pub use predict::{Prediction, predict};
pub use queue::Refused;
pub use task::{Batch, Encoded, PlannedJob};
pub use turns::Turns;
pub use worker::{Execute, NewWorker, Ran};

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::engine::Width;
use crate::policy::Profile;
use crate::repository::ServedModel;
use crate::telemetry::Metrics;
use queue::Queue;
use run_delay::RunDelay;

/// How many threads, and how much they may have to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Worker threads; a core each is best. They decode and they run, whichever is more urgent.
    pub workers: usize,
    /// How many of them may be at large images at once, those that take longer than the budgets in use have to spare.
    pub decoders: usize,
    /// The most images that run together.
    pub max_batch: usize,
    /// The most images that wait.
    pub queue_limit: usize,
    /// The time to the answer of a job that says none.
    pub default_budget: Duration,
}

impl Settings {
    /// Images per second that all workers together answer at full width, when decoding one takes so long.
    pub fn capacity_at_full_width(&self, profile: &Profile, decoding: Duration) -> f64 {
        let batch = self.max_batch;
        let seconds = profile.latency(Width::FULL, batch).as_secs_f64() / batch as f64 + decoding.as_secs_f64();
        self.workers as f64 / seconds
    }
}

/// The queue and its workers. Dropping it refuses new jobs; the workers end when those accepted are answered.
#[derive(Debug)]
pub struct Scheduler {
    queue: Arc<Queue>,
    settings: Settings,
    warmed_up: watch::Receiver<usize>,
    run_delay: Arc<RunDelay>,
}

impl Scheduler {
    /// Starts the worker threads, each of which warms up with every one of `models` before its first batch. With each model
    /// comes what it takes, as [`measure`] tells. Workers take turns with the threads of the runtime that `turns` knows.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        settings: Settings,
        models: Vec<(Arc<ServedModel>, Profile)>,
        metrics: Arc<Metrics>,
        new_worker: NewWorker,
        turns: Arc<Turns>,
    ) -> io::Result<Scheduler> {
        let all: Arc<[Arc<ServedModel>]> = models.iter().map(|(model, _)| model.clone()).collect();
        let queue = Arc::new(Queue::new(settings, models, metrics.clone()));
        let (report, warmed_up) = watch::channel(0);
        // Dropped when a thread cannot be had, it lets those that could end.
        let run_delay = Arc::new(RunDelay::default());
        let scheduler = Scheduler { queue: queue.clone(), settings, warmed_up, run_delay: run_delay.clone() };
        for index in 0..settings.workers {
            let worker = worker::Worker {
                index,
                queue: queue.clone(),
                models: all.clone(),
                metrics: metrics.clone(),
                warmed_up: report.clone(),
                run_delay: run_delay.clone(),
                turns: turns.clone(),
                new_worker: new_worker.clone(),
            };
            std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || worker.work())?;
        }
        Ok(scheduler)
    }

    /// Takes all the jobs, or none; each ticket waits for its job's answer, and dropping it abandons the job.
    ///
    /// # Errors
    /// [`Refused`] when one of them cannot be answered in time, or the queue takes no more.
    pub fn submit(&self, jobs: Vec<Job>) -> Result<Vec<Ticket>, Refused> {
        self.queue.submit(jobs)
    }

    /// The settings that it was started with.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// The models with what they take, as corrected so far, and the mean time that decoding takes.
    pub fn profiles(&self) -> (Vec<(Arc<ServedModel>, Profile)>, Duration) {
        self.queue.profiles()
    }

    /// Brings those metrics up to date that change while nothing runs.
    pub fn update_metrics(&self) {
        self.queue.update_metrics(self.run_delay.since_last_call());
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
