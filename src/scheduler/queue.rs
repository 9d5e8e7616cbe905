//! The [`JobQueue`] behind a lock: jobs from any thread, work for any worker.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;
use tracing::debug;

use super::audit::{Audit, Stopped};
use super::job::ImageRequest;
use super::models::Models;
use super::{Clock, Input, Job, JobError, QueuedJob, Ticket};
use crate::engine::Width;
use crate::policy::{
    Batch, BatchReport, Decision, DecodeTask, ExitRule, JobQueue, ModelStatistics, Policy, Profile, QueueSettings,
    QueueStatistics, Refusal, ShedReason, Task,
};
use crate::repository::ServedModel;
use crate::telemetry::{Metrics, Miss};

/// Why jobs were refused.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum Refused {
    /// They can never be answered, or not in time.
    #[error(transparent)]
    Queue(#[from] Refusal),
    /// The model is not one of the scheduler's.
    #[error("the scheduler does not run this model")]
    UnknownModel,
    /// The scheduler is closing.
    #[error("the server is stopping")]
    Closed,
}

/// The one queue of a server.
#[derive(Debug)]
pub(super) struct Queue {
    /// Held for microseconds: to add jobs, or to decide what a worker does.
    state: Mutex<State>,
    work: Condvar,
    metrics: Arc<Metrics>,
    clock: Clock,
}

/// What a worker does next.
#[derive(Debug)]
pub(super) enum Next {
    /// A task.
    Task(Taken),
    /// Whatever it does without work: there was none for this time.
    Idle(Duration),
    /// Nothing: the queue is closed and empty.
    Closed,
}

/// What a worker took from the queue.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) task: Task<ImageRequest>,
    /// Its model; of several images to decode, that of each.
    pub(super) models: Vec<Arc<ServedModel>>,
    /// How long it waited for work, if it had to.
    pub(super) waited: Option<Duration>,
}

#[derive(Debug)]
struct State {
    jobs: JobQueue<ImageRequest>,
    models: Models,
    closed: bool,
    /// Workers that wait for work.
    parked: usize,
    /// How many of them were told that there is some.
    woken: usize,
}

impl State {
    /// The model of a batch, or of each image to decode.
    fn models_of(&self, task: &Task<ImageRequest>) -> Vec<Arc<ServedModel>> {
        match task {
            Task::Run(batch) => vec![self.models.of_job(batch.model).clone()],
            Task::Decode(tasks) => tasks.iter().map(|task| self.models.of_job(task.model).clone()).collect(),
        }
    }

    /// Whether nothing is queued and nothing will be.
    fn ended(&self) -> bool {
        self.closed && self.jobs.is_empty()
    }
}

impl Queue {
    pub(super) fn new(
        settings: QueueSettings,
        policy: Box<dyn Policy>,
        models: Vec<(Arc<ServedModel>, Profile)>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Queue {
        let (served, profiles): (Vec<_>, _) = models.into_iter().unzip();
        let jobs = JobQueue::new(settings, profiles, policy, clock.now());
        let mut models = Models::default();
        for (index, model) in served.iter().enumerate() {
            models.add(index, model.clone());
        }
        let state = Mutex::new(State { jobs, models, closed: false, parked: 0, woken: 0 });
        let queue = Queue { state, work: Condvar::new(), metrics, clock };
        queue.update_metrics(Duration::ZERO);
        served.iter().for_each(|model| queue.start_at_zero(model));
        // Until load says otherwise.
        queue.metrics.width_ceiling.set(Width::FULL.as_f64());
        queue
    }

    /// Adds a model with its profile.
    pub(super) fn add(&self, model: Arc<ServedModel>, profile: Profile) {
        let mut state = self.lock();
        let index = state.jobs.add_model(profile);
        state.models.add(index, model.clone());
        self.start_at_zero(&model);
        self.show_model(&state, index);
    }

    /// Retires a model, which then accepts only jobs of requests that have found it.
    pub(super) fn retire(&self, model: &Arc<ServedModel>) {
        self.lock().models.retire(model);
    }

    /// Lets retired models go that have no jobs left. Returns the number of those that have.
    pub(super) fn release_retired(&self) -> usize {
        let mut guard = self.lock();
        let state = &mut *guard;
        let (released, stay) = state.models.release(|index| state.jobs.remove_model(index));
        // Freeing the weights takes longer than others should wait for the queue.
        drop(guard);
        drop(released);
        stay
    }

    /// Accepts all jobs or none.
    pub(super) fn submit(&self, jobs: Vec<Job>) -> Result<Vec<Ticket>, Refused> {
        for job in &jobs {
            self.metrics.images.with_label_values(&[&job.model.name]).inc();
        }
        let (mut submitted, mut tickets) = (Vec::with_capacity(jobs.len()), Vec::with_capacity(jobs.len()));
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        for job in jobs {
            let model = state.models.index_of(&job.model).ok_or(Refused::UnknownModel)?;
            let (job, ticket) = job.submit(model);
            submitted.push(job);
            tickets.push(ticket);
        }
        let outcome = state.jobs.submit(submitted, self.clock.now());
        self.show(&state);
        if outcome.is_err() && state.jobs.is_idle() {
            // The refusal may have lowered a correction.
            self.show_models(&state);
        }
        // One worker takes as much as it may, and wakes the next if work is left.
        self.wake_one(&mut state);
        outcome?;
        Ok(tickets)
    }

    /// Waits for work for this worker; up to its `patience`, if it has something else to do.
    pub(super) fn take(&self, worker: usize, patience: Option<Duration>) -> Next {
        let (mut state, mut waiting_since) = (self.lock(), None);
        let waited = |since: Option<Instant>| since.map(|since| self.clock.now().saturating_duration_since(since));
        loop {
            let Decision { task, shed, abandoned } = state.jobs.next(worker, self.clock.now());
            self.show(&state);
            self.metrics.jobs_abandoned.inc_by(abandoned as u64);
            if task.is_some() && state.jobs.has_work() {
                self.wake_one(&mut state);
            }
            if state.ended() {
                // Whoever waits for the last jobs waits in vain now.
                self.wake_all(&mut state);
            }
            if task.is_some() || !shed.is_empty() {
                let model = |(job, _): &(QueuedJob, _)| state.models.of_job(job.constraints.model).clone();
                let shed_models: Vec<_> = shed.iter().map(model).collect();
                let models = task.as_ref().map(|task| state.models_of(task)).unwrap_or_default();
                drop(state);
                for ((job, reason), model) in shed.into_iter().zip(shed_models) {
                    self.metrics.deadline_missed(&model.name, Miss::Shed);
                    job.payload.reply(Err(reason.into()));
                }
                if let Some(task) = task {
                    self.record(&task, &models);
                    return Next::Task(Taken { task, models, waited: waited(waiting_since) });
                }
                state = self.lock();
                continue;
            }
            if state.ended() {
                return Next::Closed;
            }
            waiting_since = waiting_since.or(Some(self.clock.now()));
            let (parked, woken) = self.park(state, patience);
            if !woken {
                return Next::Idle(waited(waiting_since).unwrap_or_default());
            }
            state = parked;
        }
    }

    /// Whether anyone still waits for this image. Others of its group may have taken a while.
    pub(super) fn is_wanted(&self, task: &DecodeTask<bytes::Bytes>) -> bool {
        self.lock().jobs.is_wanted(task)
    }

    /// An image was decoded, or cannot be, in `time`. After the last of a group, its worker asks for work itself.
    pub(super) fn decoded(
        &self,
        task: &DecodeTask<bytes::Bytes>,
        pixels: Result<Vec<u8>, JobError>,
        time: Duration,
        last: bool,
    ) {
        let mut state = self.lock();
        let failed = match pixels {
            Ok(pixels) => {
                if let Some(request) = state.jobs.decoded(task, time) {
                    // The memory of the encoded image is free for others.
                    request.input = Input::Pixels(pixels.into());
                }
                if !last {
                    // A free worker may run it while this one decodes others.
                    self.wake_one(&mut state);
                }
                None
            }
            Err(error) => {
                let time = matches!(error, JobError::Image(_)).then_some(time);
                state.jobs.undecodable(task, time).zip(Some(error))
            }
        };
        if state.ended() {
            self.wake_all(&mut state);
        }
        drop(state);
        if let Some((job, error)) = failed {
            job.payload.reply(Err(error));
        }
    }

    /// A batch of a model ended after `time`.
    pub(super) fn finished(&self, model: usize, report: &BatchReport, time: Duration) {
        let mut state = self.lock();
        state.jobs.finished(model, report, time);
        self.show_model(&state, model);
    }

    /// An image that stopped early was checked.
    pub(super) fn audited(&self, audit: &Audit) {
        let Stopped { width, probability, .. } = audit.stopped;
        let mut state = self.lock();
        let Some(model) = state.models.index_of(&audit.model) else { return };
        let Some(agreement) = state.models.get_mut(model).and_then(|entry| entry.agreement.as_mut()) else { return };
        let expected = agreement.expected(width, probability).unwrap_or_default();
        let table = agreement.record(width, probability, audit.agrees);
        let profile = state.jobs.profiles()[model].clone();
        drop(state);
        self.metrics.audited(&audit.model.name, audit.agrees, expected);
        let Some(table) = table else { return };
        // A plan takes a millisecond, during which others need the queue. The model stays, for the audit refers to it.
        let planned = profile.with_gain(&table);
        self.lock().jobs.replan(model, planned);
        debug!(model = audit.model.name, %width, probability, "an audit has changed the gain table");
    }

    /// The models with their profiles as corrected so far.
    pub(super) fn profiles(&self) -> Vec<(Arc<ServedModel>, Profile, ModelStatistics)> {
        let mut state = self.lock();
        state.jobs.decay(self.clock.now());
        let model = |(index, model): (usize, &Arc<ServedModel>)| {
            (model.clone(), state.jobs.profiles()[index].clone(), state.jobs.model_statistics(index))
        };
        state.models.served().map(model).collect()
    }

    pub(super) fn statistics(&self) -> QueueStatistics {
        self.lock().jobs.statistics()
    }

    /// Workers that wait for work and were not told that there is some.
    pub(super) fn idle_workers(&self) -> usize {
        let state = self.lock();
        state.parked - state.woken
    }

    /// Updates the metrics that change while nothing runs. Workers waited for a core for `run_delay` more than last time.
    pub(super) fn update_metrics(&self, run_delay: Duration) {
        let mut state = self.lock();
        state.jobs.decay(self.clock.now());
        self.show_models(&state);
        self.show(&state);
        self.metrics.worker_run_delay.inc_by(run_delay.as_secs_f64());
    }

    /// Accepts no more jobs; those that are queued are still answered.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.wake_all(&mut state);
    }

    fn wake_one(&self, state: &mut State) {
        if state.woken < state.parked {
            state.woken += 1;
            self.work.notify_one();
        }
    }

    fn wake_all(&self, state: &mut State) {
        state.woken = state.parked;
        self.work.notify_all();
    }

    /// Waits until there may be work, or for as long as the worker has patience. Also returns whether there may be work.
    fn park<'a>(&self, mut state: MutexGuard<'a, State>, patience: Option<Duration>) -> (MutexGuard<'a, State>, bool) {
        state.parked += 1;
        let idle = |state: &mut State| state.woken == 0;
        state = match patience {
            Some(time) => self.work.wait_timeout_while(state, time, idle).unwrap_or_else(PoisonError::into_inner).0,
            None => self.work.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner),
        };
        let woken = state.woken > 0;
        (state.parked, state.woken) = (state.parked - 1, state.woken - usize::from(woken));
        (state, woken)
    }

    fn start_at_zero(&self, model: &ServedModel) {
        self.metrics.start_at_zero(&model.name, model.model.metadata().gain.is_some());
    }

    /// Records a task of these models.
    fn record(&self, task: &Task<ImageRequest>, models: &[Arc<ServedModel>]) {
        let (Task::Run(Batch { jobs, trace, exits, .. }), [model, ..]) = (task, models) else { return };
        let (model, reason) = (model.name.as_str(), trace.reason.word());
        self.metrics.batches.with_label_values(&[model, reason]).inc();
        self.metrics.width_ceiling.set(trace.ceiling.as_f64());
        let price = exits.as_ref().map_or(0.0, ExitRule::price);
        self.metrics.time_price.set(price);
        let waited = |from: Instant| self.clock.now().saturating_duration_since(from).as_micros() as u64;
        debug!(
            model,
            reason,
            size = jobs.len(),
            ceiling = %trace.ceiling,
            price_per_second = price,
            queue_length = trace.queue_length,
            oldest_wait_us = waited(trace.oldest),
            predicted_us = trace.predicted.as_micros() as u64,
            "batch"
        );
    }

    fn show(&self, state: &State) {
        let QueueStatistics { length, reserve, .. } = state.jobs.statistics();
        self.metrics.queue_length.set(length as i64);
        self.metrics.admission_reserve.set(reserve);
    }

    fn show_models(&self, state: &State) {
        state.models.served().for_each(|(model, _)| self.show_model(state, model));
    }

    fn show_model(&self, state: &State, model: usize) {
        let (name, statistics) = ([&state.models.of_job(model).name], state.jobs.model_statistics(model));
        self.metrics.profile_correction.with_label_values(&name).set(statistics.correction);
        self.metrics.capacity.with_label_values(&name).set(statistics.capacity);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<ShedReason> for JobError {
    fn from(reason: ShedReason) -> JobError {
        match reason {
            ShedReason::Late => JobError::Late,
            ShedReason::Overload(overload) => JobError::Shed(overload),
        }
    }
}
