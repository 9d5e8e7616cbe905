//! The planner behind a lock: jobs from any thread, work for any worker, and the clock.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;
use tracing::debug;

use super::planner::{Next, Planner};
use super::task::{Encoded, Task};
use super::{Job, JobError, Ran, Settings, Ticket};
use crate::engine::Width;
use crate::policy::{Decision, Overload, Profile, Unsatisfiable};
use crate::repository::ServedModel;
use crate::telemetry::Metrics;

/// Why jobs were not taken.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Refused {
    /// No server could give what is asked for.
    #[error(transparent)]
    Unsatisfiable(#[from] Unsatisfiable),
    /// It would be answered too late.
    #[error(transparent)]
    Overloaded(#[from] Overload),
    /// The budget was over before the image was there, or leaves too little for any width.
    #[error("of the budget of {} ms too little is left for the narrowest width, now that the image is here", .budget.as_secs_f64() * 1e3)]
    Late {
        /// The time that its caller gave.
        budget: Duration,
    },
    /// There is no room.
    #[error("the queue is full: {waiting} of at most {limit} images wait, {wanted} more do not fit")]
    QueueFull {
        /// Images that wait.
        waiting: usize,
        /// The most that may.
        limit: usize,
        /// Images of this call.
        wanted: usize,
        /// The time in which those that wait can be answered.
        wait: Duration,
    },
    /// The model is not one that the scheduler was started with.
    #[error("the scheduler does not run this model")]
    UnknownModel,
    /// The scheduler ends.
    #[error("the server is stopping")]
    Closed,
}

/// The one queue.
#[derive(Debug)]
pub(super) struct Queue {
    /// Held for moments: to add jobs, or to decide what a worker does.
    state: Mutex<State>,
    not_empty: Condvar,
    settings: Settings,
    metrics: Arc<Metrics>,
}

/// What a worker took from the queue.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) task: Task,
    /// Whether there was nothing to do when it asked.
    pub(super) waited: bool,
}

#[derive(Debug)]
struct State {
    planner: Planner,
    closed: bool,
}

impl State {
    /// Does nothing wait, and will nothing come?
    fn ended(&self) -> bool {
        self.closed && self.planner.len() == 0
    }
}

impl Queue {
    pub(super) fn new(settings: Settings, models: Vec<(Arc<ServedModel>, Profile)>, metrics: Arc<Metrics>) -> Queue {
        let state = State { planner: Planner::new(settings, models, Instant::now()), closed: false };
        let queue = Queue { state: Mutex::new(state), not_empty: Condvar::new(), settings, metrics };
        let state = queue.lock();
        queue.show(&state);
        for (model, profile) in state.planner.profiles() {
            queue.show_profile(model, profile, state.planner.mean_decoding());
            queue.show_zeros(model);
        }
        drop(state);
        // Until load says otherwise.
        queue.metrics.width_ceiling.set(Width::FULL.as_f64());
        queue
    }

    /// All or none.
    pub(super) fn submit(&self, jobs: Vec<Job>) -> Result<Vec<Ticket>, Refused> {
        for job in &jobs {
            self.metrics.images.with_label_values(&[&job.model.name]).inc();
        }
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        let tickets = state.planner.submit(jobs, Instant::now());
        self.show(&state);
        if tickets.is_err() && state.planner.is_idle() {
            // It may have changed what is expected.
            state.planner.profiles().for_each(|(model, profile)| {
                self.show_profile(model, profile, state.planner.mean_decoding());
            });
        }
        drop(state);
        // One worker takes as much as it may; it wakes the next if work is left.
        self.not_empty.notify_one();
        tickets
    }

    /// Waits for work for this worker; `None` once the queue is closed and empty.
    pub(super) fn take(&self, worker: usize) -> Option<Taken> {
        let (mut state, mut waited) = (self.lock(), false);
        loop {
            let Next { task, given_up, abandoned, decision } = state.planner.next(worker, Instant::now());
            self.show(&state);
            self.metrics.jobs_abandoned.inc_by(abandoned as u64);
            if task.is_some() && state.planner.has_work() {
                self.not_empty.notify_one();
            }
            if state.ended() {
                // Those who wait for the last jobs wait for nothing now.
                self.not_empty.notify_all();
            }
            if task.is_some() || !given_up.is_empty() {
                drop(state);
                for (queued, error) in given_up {
                    self.metrics.deadline_misses.with_label_values(&[&queued.job.model.name, "given_up"]).inc();
                    queued.reply(Err(error));
                }
                if let Some(task) = task {
                    self.tell(&task, decision.as_ref());
                    return Some(Taken { task, waited });
                }
                state = self.lock();
                continue;
            }
            if state.ended() {
                return None;
            }
            waited = true;
            state = self.not_empty.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Is somebody still there who waits for this image? Others of its group may have taken a while.
    pub(super) fn is_wanted(&self, picture: &Encoded) -> bool {
        self.lock().planner.is_wanted(picture)
    }

    /// An image is decoded, or it is none.
    pub(super) fn decoded(&self, picture: &Encoded, pixels: Result<Vec<u8>, JobError>, took: Duration) {
        let mut state = self.lock();
        let broken = state.planner.decoded(picture, pixels, took);
        let ended = state.ended();
        drop(state);
        match broken {
            // Whoever is free may run it, while this worker decodes others.
            None => self.not_empty.notify_one(),
            Some((queued, error)) => queued.reply(Err(error)),
        }
        if ended {
            self.not_empty.notify_all();
        }
    }

    /// A batch ran.
    pub(super) fn ran(&self, model: &Arc<ServedModel>, ran: &Ran, took: Duration) {
        let mut state = self.lock();
        state.planner.answered(ran.in_time, ran.late);
        let decoding = state.planner.mean_decoding();
        if let Some(profile) = state.planner.ran(model, &ran.widths, took) {
            self.show_profile(model, profile, decoding);
        }
    }

    /// Sees the models with their profiles as they are now, and the mean time of a decoding.
    pub(super) fn profiles(&self) -> (Vec<(Arc<ServedModel>, Profile)>, Duration) {
        let mut state = self.lock();
        state.planner.decay(Instant::now());
        let profiles = state.planner.profiles().map(|(model, profile)| (model.clone(), profile.clone()));
        (profiles.collect(), state.planner.mean_decoding())
    }

    /// Shows what is known of the models now, and that workers waited so much longer for a core.
    pub(super) fn update_metrics(&self, run_delay: Duration) {
        let (profiles, decoding) = self.profiles();
        profiles.iter().for_each(|(model, profile)| self.show_profile(model, profile, decoding));
        self.metrics.worker_run_delay.inc_by(run_delay.as_secs_f64());
    }

    /// Takes no more jobs; those that wait are still answered.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.not_empty.notify_all();
    }

    fn tell(&self, task: &Task, decision: Option<&Decision>) {
        let (Task::Run(batch), Some(decision)) = (task, decision) else { return };
        let reason = decision.reason.word();
        self.metrics.batches.with_label_values(&[batch.model.name.as_str(), reason]).inc();
        self.metrics.width_ceiling.set(decision.ceiling.as_f64());
        debug!(
            model = batch.model.name,
            reason,
            size = batch.jobs.len(),
            ceiling = %decision.ceiling,
            queue_length = decision.queue_length,
            oldest_wait_us = decision.oldest_wait.as_micros() as u64,
            predicted_us = decision.takes.as_micros() as u64,
            given_up = decision.shed.len(),
            "batch"
        );
    }

    fn show(&self, state: &State) {
        self.metrics.queue_length.set(state.planner.len() as i64);
        self.metrics.admission_reserve.set(state.planner.reserve());
    }

    fn show_profile(&self, model: &ServedModel, profile: &Profile, decoding: Duration) {
        let (metrics, capacity) = (&self.metrics, self.settings.capacity_at_full_width(profile, decoding));
        metrics.profile_correction.with_label_values(&[&model.name]).set(profile.correction());
        metrics.capacity.with_label_values(&[&model.name]).set(capacity);
    }

    /// What never happened is zero: without that, who looks for a rise does not see the first time.
    fn show_zeros(&self, model: &ServedModel) {
        self.metrics.images.with_label_values(&[&model.name]);
        for how in ["given_up", "late"] {
            self.metrics.deadline_misses.with_label_values(&[model.name.as_str(), how]);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
