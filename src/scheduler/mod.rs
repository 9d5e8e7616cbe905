//! Worker threads around the [`JobQueue`](crate::policy::JobQueue): they decode images and run batches at the widths that the
//! policy chooses.
//!
//! What cannot be answered in time is refused at once; a batch never waits to fill; a job whose caller has left costs nothing;
//! every accepted job gets an answer, also when its worker panics; and everything that computes runs on threads of its own,
//! never on those of the async runtime. Knows nothing of requests, protocols or status codes.

mod audit;
mod clock;
mod early_exit;
mod engine_worker;
mod job;
mod measure;
mod models;
mod queue;
mod run_delay;
mod turns;
mod worker;

pub use audit::{Audit, Stopped};
pub use clock::Clock;
pub use engine_worker::EngineWorker;
pub use job::{Answer, ImageRequest, Input, Job, JobError, QueuedJob, RunningJob, Ticket, Timing};
pub use measure::measure;
pub use queue::Refused;
pub use turns::Turns;
pub use worker::{Executor, NewExecutor};

use std::io;
use std::sync::Arc;

use tokio::sync::watch;

use crate::policy::{ModelStatistics, PolicyKind, Profile, QueueSettings, QueueStatistics};
use crate::repository::ServedModel;
use crate::telemetry::Metrics;
use queue::Queue;
use run_delay::RunDelay;

/// What a scheduler shares with the rest of its process.
#[derive(Debug, Clone)]
pub struct Environment {
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// The threads of the runtime, with which workers take turns on shared cores.
    pub turns: Arc<Turns>,
    /// The time.
    pub clock: Clock,
}

/// How a scheduler decides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decisions {
    /// Its policy.
    pub policy: PolicyKind,
    /// The share of idle time in which images that stopped early run at full width, to check their answers; 0 for none.
    pub audit_share: f64,
}

impl From<PolicyKind> for Decisions {
    /// Without audits.
    fn from(policy: PolicyKind) -> Decisions {
        Decisions { policy, audit_share: 0.0 }
    }
}

/// The queue and its workers. Dropping it refuses new jobs; the workers end once the accepted ones are answered.
#[derive(Debug)]
pub struct Scheduler {
    queue: Arc<Queue>,
    settings: QueueSettings,
    warmed_up: watch::Receiver<usize>,
    run_delay: Arc<RunDelay>,
}

impl Scheduler {
    /// Starts the worker threads. Each warms up with every model before its first batch. With each model comes its profile, as
    /// [`measure`] makes it.
    ///
    /// # Errors
    /// When the system starts no thread.
    pub fn start(
        settings: QueueSettings,
        decisions: impl Into<Decisions>,
        models: Vec<(Arc<ServedModel>, Profile)>,
        new_executor: NewExecutor,
        environment: Environment,
    ) -> io::Result<Scheduler> {
        let Environment { metrics, turns, clock } = environment;
        let Decisions { policy, audit_share } = decisions.into();
        let all: Vec<Arc<ServedModel>> = models.iter().map(|(model, _)| model.clone()).collect();
        let queue = Queue::new(settings, policy.build(settings), models, metrics.clone(), clock.clone());
        let (queue, (report, warmed_up)) = (Arc::new(queue), watch::channel(0));
        let run_delay = Arc::new(RunDelay::default());
        // Dropped when a thread cannot be started, it ends those that could.
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
                clock: clock.clone(),
                new_executor: new_executor.clone(),
                audit_share,
            };
            std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || worker.work())?;
        }
        Ok(scheduler)
    }

    /// Accepts all jobs or none. Each ticket waits for its job's answer; dropping it abandons the job.
    ///
    /// # Errors
    /// [`Refused`] when one of them cannot be answered in time, or the queue has no room.
    pub fn submit(&self, jobs: Vec<Job>) -> Result<Vec<Ticket>, Refused> {
        self.queue.submit(jobs)
    }

    /// Adds a model with its profile, as [`measure`] makes it.
    pub fn add(&self, model: Arc<ServedModel>, profile: Profile) {
        self.queue.add(model, profile);
    }

    /// Retires a model: it still accepts jobs of whoever refers to it, and leaves after the last of them.
    pub fn retire(&self, model: &Arc<ServedModel>) {
        self.queue.retire(model);
    }

    /// Frees retired models that nobody refers to, and returns the number of those that somebody does.
    pub fn release_retired(&self) -> usize {
        self.queue.release_retired()
    }

    /// The settings that it was started with.
    pub fn settings(&self) -> QueueSettings {
        self.settings
    }

    /// The models with their profiles as corrected so far, and their statistics.
    pub fn models(&self) -> Vec<(Arc<ServedModel>, Profile, ModelStatistics)> {
        self.queue.profiles()
    }

    /// The queue at this moment.
    pub fn statistics(&self) -> QueueStatistics {
        self.queue.statistics()
    }

    /// The number of workers that wait for work.
    pub fn idle_workers(&self) -> usize {
        self.queue.idle_workers()
    }

    /// Updates the metrics that change while nothing runs.
    pub fn update_metrics(&self) {
        self.queue.update_metrics(self.run_delay.since_last_call());
    }

    /// Whether every worker has warmed up.
    pub fn is_ready(&self) -> bool {
        *self.warmed_up.borrow() == self.settings.workers
    }

    /// Waits until every worker has warmed up; forever, if one of them fails at it.
    pub async fn ready(&self) {
        let mut warmed_up = self.warmed_up.clone();
        // An error means that the workers are gone, so they are never ready.
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
