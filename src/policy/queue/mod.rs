//! The queue that owns the jobs of a server: admission, deadline order, decode stage, batches and shedding.
//!
//! It is generic over what a job carries, and used by the server's worker threads and by the simulator alike. Time is an
//! argument; it knows no thread, lock or channel. Every accepted job leaves exactly once: in a batch, shed, failed at decoding,
//! or dropped because it is abandoned.
//!
//! [`JobQueue::submit`] accepts jobs, [`JobQueue::next`] gives a free worker its work, and [`JobQueue::decoded`],
//! [`JobQueue::undecodable`] and [`JobQueue::finished`] report what came of it. Which job goes first is the [`Policy`]'s decision.

mod budget;
mod decision;
mod job;
mod statistics;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{
    DeadlineKind, DecodeTimes, JobConstraints, Overload, Plan, Policy, Profile, QueueView, Stage, Unsatisfiable,
    Workers,
};
use crate::engine::Width;
use budget::{inside, of_whole};

pub use decision::{Batch, BatchTrace, Decision, Refusal, Shed, ShedReason, Task};
pub use job::{DecodeTask, Payload, QueuedJob, RunningJob, SubmittedJob};
pub use statistics::{BatchReport, ModelStatistics, QueueStatistics};

/// The size of a queue and of what serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// Workers; one per core is best. Each decodes and runs, whichever is more urgent.
    pub workers: usize,
    /// The most workers that are busy with a long decoding at once: one that takes longer than the budgets in use can spare.
    pub decoders: usize,
    /// The largest batch.
    pub max_batch: usize,
    /// The most jobs in the queue.
    pub max_queue: usize,
    /// The target of a job without a budget.
    pub default_budget: Duration,
}

/// The queue, its workers, and what is known of their speed.
#[derive(Debug)]
pub struct JobQueue<P> {
    /// The earliest deadline first.
    jobs: VecDeque<JobConstraints>,
    /// The rest of each job, in the order of `jobs`. Policies walk `jobs` alone.
    entries: VecDeque<Entry<P>>,
    policy: Box<dyn Policy>,
    /// One for each model.
    /// By model. Those of removed models remain until another takes their index.
    profiles: Vec<Profile>,
    /// The indices of removed models.
    vacant: Vec<usize>,
    decode_times: DecodeTimes,
    workers: Vec<Option<Busy>>,
    settings: QueueSettings,
    next_id: u64,
    /// Jobs that were dropped since the last decision.
    abandoned: usize,
    /// Scratch.
    busy_until: Vec<Instant>,
}

/// A queued job without its constraints.
#[derive(Debug)]
struct Entry<P> {
    id: u64,
    queued_at: Instant,
    decoding: Duration,
    bytes: usize,
    payload: P,
}

/// A busy worker.
#[derive(Debug, Clone, Copy)]
struct Busy {
    until: Instant,
    long_decoding: bool,
}

/// The default budget is at least this many times what the images of a request take on an idle server.
const DEFAULT_BUDGET_FACTOR: u32 = 4;

impl<P: Payload> JobQueue<P> {
    /// An empty queue for models with these profiles. The workers are warming up from `now` on: each runs its largest batch
    /// of every model.
    pub fn new(settings: QueueSettings, profiles: Vec<Profile>, policy: Box<dyn Policy>, now: Instant) -> JobQueue<P> {
        let warm_up = profiles.iter().map(|profile| profile.latency(Width::FULL, settings.max_batch));
        let warming_up = Busy { until: now + warm_up.sum::<Duration>(), long_decoding: false };
        JobQueue {
            jobs: VecDeque::new(),
            entries: VecDeque::new(),
            policy,
            profiles,
            vacant: Vec::new(),
            decode_times: DecodeTimes::default(),
            workers: vec![Some(warming_up); settings.workers],
            settings,
            next_id: 0,
            abandoned: 0,
            busy_until: Vec::new(),
        }
    }

    /// Adds a model with this profile. Returns its index, which a removed model may have had.
    pub fn add_model(&mut self, profile: Profile) -> usize {
        match self.vacant.pop() {
            Some(index) => {
                self.profiles[index] = profile;
                index
            }
            None => {
                self.profiles.push(profile);
                self.profiles.len() - 1
            }
        }
    }

    /// Removes a model, unless a job of it is queued; returns whether it did.
    pub fn remove_model(&mut self, model: usize) -> bool {
        let used = self.jobs.iter().any(|job| job.model == model);
        if !used && !self.vacant.contains(&model) {
            self.vacant.push(model);
        }
        !used
    }

    /// Accepts all jobs of a request or none, and returns the id of the first; the others follow it.
    ///
    /// # Errors
    /// [`Refusal`] says why, and when to try again.
    ///
    /// # Panics
    /// If a job names a model that there is none of.
    pub fn submit(&mut self, mut jobs: Vec<SubmittedJob<P>>, now: Instant) -> Result<u64, Refusal> {
        self.decay(now);
        self.drop_abandoned();
        let (waiting, limit, wanted) = (self.jobs.len(), self.settings.max_queue, jobs.len());
        if waiting + wanted > limit {
            return Err(Refusal::QueueFull { waiting, limit, wanted, wait: self.time_of(waiting) });
        }
        jobs.iter_mut().for_each(|job| job.options = self.policy.options(job.options));
        let constraints = self.admit(&jobs, now);
        if let (Err(_), [job], true) = (&constraints, &jobs[..], self.is_idle()) {
            self.doubt(job, now);
        }
        let constraints = constraints?;
        self.policy.accepted(&constraints, now);
        let first = self.next_id;
        for (job, constraints) in jobs.into_iter().zip(constraints) {
            self.insert(job, constraints, now);
        }
        Ok(first)
    }

    /// What this worker does next, which is free.
    pub fn next(&mut self, worker: usize, now: Instant) -> Decision<P> {
        self.workers[worker] = None;
        self.decay(now);
        self.drop_abandoned();
        let abandoned = std::mem::take(&mut self.abandoned);
        if self.jobs.is_empty() {
            if self.is_idle() {
                self.policy.idle(now);
            }
            return Decision { task: None, shed: Vec::new(), abandoned };
        }
        let (policy, view) = self.policy_and_view(now);
        let plan = policy.next(view);
        let decode = self.start_decoding(&plan.decode);
        let (batch, shed) = self.take_out(&plan, now);
        if !shed.is_empty() {
            self.policy.finished(0, self.misses(&shed, batch.as_ref()));
        }
        let task = decode.or(batch.map(Task::Run));
        if task.is_some() {
            self.workers[worker] = Some(Busy { until: now + plan.predicted, long_decoding: plan.long_decoding });
        }
        Decision { task, shed, abandoned }
    }

    /// Whether anyone waits for this image. Others of its group may have taken a while.
    pub fn is_wanted(&self, task: &DecodeTask<P::Encoded>) -> bool {
        self.find(task).is_some_and(|index| !self.entries[index].payload.is_abandoned())
    }

    /// An image was decoded in `time`; its job can run. Returns what the job carries, unless it has left the queue meanwhile.
    pub fn decoded(&mut self, task: &DecodeTask<P::Encoded>, time: Duration) -> Option<&mut P> {
        self.decode_times.record(task.bytes, time);
        let index = self.find(task)?;
        self.jobs[index].stage = Stage::Decoded;
        let entry = &mut self.entries[index];
        entry.decoding = time;
        Some(&mut entry.payload)
    }

    /// An image could not be decoded, which took `time` to find out if that says something about decoding. Its job leaves the
    /// queue, unless it has left already.
    pub fn undecodable(&mut self, task: &DecodeTask<P::Encoded>, time: Option<Duration>) -> Option<QueuedJob<P>> {
        // An error that is found at once says nothing about images.
        if let Some(time) = time.filter(|&time| time > self.decode_times.estimate(task.bytes)) {
            self.decode_times.record(task.bytes, time);
        }
        self.find(task).and_then(|index| self.remove(index))
    }

    /// A batch of a model ended after `time`.
    pub fn finished(&mut self, model: usize, report: &BatchReport, time: Duration) {
        self.policy.finished(report.on_time, report.late);
        let profile = &mut self.profiles[model];
        // Narrower widths than the profile has say nothing about it.
        if report.widths.iter().all(|&width| width >= profile.narrowest()) {
            profile.record(report.widths.iter().copied(), time);
        }
    }

    /// Whether a job waits for a worker.
    pub fn has_work(&self) -> bool {
        self.jobs.iter().any(|job| job.stage != Stage::Decoding)
    }

    /// Whether nothing is queued and every worker is free.
    pub fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.workers.iter().all(Option::is_none)
    }

    /// The number of jobs in the queue.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// The profiles of the models, as corrected so far.
    pub fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// Plans with the levels of `planned` from now on: the profile of this model with another gain table.
    pub fn replan(&mut self, model: usize, planned: Profile) {
        self.profiles[model].adopt_levels(planned);
    }

    /// Lets corrections for a busy spell decay.
    pub fn decay(&mut self, now: Instant) {
        self.profiles.iter_mut().for_each(|profile| profile.decay(now));
    }

    fn admit(&mut self, jobs: &[SubmittedJob<P>], now: Instant) -> Result<Vec<JobConstraints>, Refusal> {
        self.check_together(jobs)?;
        let constraints =
            jobs.iter().map(|job| self.constraints(job, jobs.len(), now)).collect::<Result<Vec<_>, _>>()?;
        let (policy, view) = self.policy_and_view(now);
        policy.admit(&constraints, view)?;
        // Once accepted, an image of several is answered even if it is late: the others would be lost with it.
        let target = |job: JobConstraints| if jobs.len() > 1 { job.with_target() } else { job };
        Ok(constraints.into_iter().map(target).collect())
    }

    /// Refuses a request whose images take longer together than its budget, at the server's best speed.
    fn check_together(&self, jobs: &[SubmittedJob<P>]) -> Result<(), Refusal> {
        let [SubmittedJob { budget: Some(budget), .. }, _, ..] = *jobs else { return Ok(()) };
        let mut work = Duration::ZERO;
        for job in jobs {
            let constraints = self.best_case(job, budget).map_err(|error| of_whole(error, budget))?;
            work += constraints.item_at_best(&self.profiles[job.model]);
            work += job.encoded_bytes.and_then(|bytes| self.decode_times.known(bytes)).unwrap_or_default();
        }
        let least = work / self.workers.len().max(1) as u32;
        if least > inside(budget) {
            let images = jobs.len();
            return Err(of_whole(Unsatisfiable::Together { budget, images, least }, budget).into());
        }
        Ok(())
    }

    /// An idle server refused this job. If it would not have at its best speed, its correction may be left from a stall, and
    /// without a batch nothing would ever lower it.
    fn doubt(&mut self, job: &SubmittedJob<P>, now: Instant) {
        // The default budget is several times what is expected, so it is never refused for that.
        let Some(budget) = job.budget else { return };
        let constraints = self.best_case(job, budget);
        let profile = &mut self.profiles[job.model];
        if constraints.is_ok_and(|constraints| constraints.fits_at_best(profile, now)) {
            profile.lower_correction();
        }
    }

    /// The constraints of a job whose image is decoded.
    fn best_case(&self, job: &SubmittedJob<P>, budget: Duration) -> Result<JobConstraints, Unsatisfiable> {
        let model = (job.model, &self.profiles[job.model]);
        JobConstraints::new(&job.options, model, job.arrived, inside(budget), Stage::Decoded)
    }

    /// The constraints of one job of a request of `together`.
    fn constraints(&self, job: &SubmittedJob<P>, together: usize, now: Instant) -> Result<JobConstraints, Refusal> {
        let profile = &self.profiles[job.model];
        let stage = match job.encoded_bytes {
            Some(bytes) => Stage::Encoded { takes: self.decode_times.estimate(bytes) },
            None => Stage::Decoded,
        };
        let new = |arrived, budget| JobConstraints::new(&job.options, (job.model, profile), arrived, budget, stage);
        let Some(budget) = job.budget else {
            let widest = job.options.width.unwrap_or(Width::FULL);
            let time = profile.latency(widest, 1) + stage.remaining();
            let budget = self.settings.default_budget.max(time * DEFAULT_BUDGET_FACTOR * together as u32);
            return Ok(new(now, budget)?.with_target());
        };
        let constraints = new(job.arrived, inside(budget)).map_err(|error| of_whole(error, budget))?;
        if constraints.deadline < now + profile.latency(constraints.widths.narrowest(profile), 1) {
            return Err(Refusal::Late { budget });
        }
        Ok(constraints)
    }

    fn insert(&mut self, job: SubmittedJob<P>, constraints: JobConstraints, now: Instant) {
        let index = self.jobs.partition_point(|other| other.deadline <= constraints.deadline);
        let (bytes, payload) = (job.encoded_bytes.unwrap_or_default(), job.payload);
        let entry = Entry { id: self.next_id, queued_at: now, decoding: Duration::ZERO, bytes, payload };
        self.next_id += 1;
        self.jobs.insert(index, constraints);
        self.entries.insert(index, entry);
    }

    fn remove(&mut self, index: usize) -> Option<QueuedJob<P>> {
        let (constraints, entry) = self.jobs.remove(index).zip(self.entries.remove(index))?;
        let Entry { id, queued_at, decoding, payload, .. } = entry;
        Some(QueuedJob { id, constraints, queued_at, decoding, payload })
    }

    fn find(&self, task: &DecodeTask<P::Encoded>) -> Option<usize> {
        let first = self.jobs.partition_point(|job| job.deadline < task.deadline);
        Some(first + self.entries.range(first..).position(|entry| entry.id == task.id)?)
    }

    fn start_decoding(&mut self, indices: &[usize]) -> Option<Task<P>> {
        let start = |&index: &usize| {
            let (job, entry) = (self.jobs.get_mut(index)?, self.entries.get(index)?);
            job.stage = Stage::Decoding;
            let &mut JobConstraints { model, deadline, .. } = job;
            let &Entry { id, bytes, ref payload, .. } = entry;
            Some(DecodeTask { id, model, deadline, bytes, encoded: payload.encoded() })
        };
        let tasks: Vec<_> = indices.iter().filter_map(start).collect();
        (!tasks.is_empty()).then_some(Task::Decode(tasks))
    }

    /// Takes out the jobs of the plan's batch and the jobs to shed.
    fn take_out(&mut self, plan: &Plan, now: Instant) -> (Option<Batch<P>>, Shed<P>) {
        let queue_length = self.jobs.len();
        let run = plan.batch.iter().map(|assignment| (assignment.index, Some(*assignment)));
        let mut indices: Vec<_> = run.chain(plan.shed.iter().map(|&index| (index, None))).collect();
        // From the back, so that the indices before remain valid.
        indices.sort_unstable_by_key(|&(index, _)| std::cmp::Reverse(index));
        let (mut jobs, mut shed) = (VecDeque::new(), Vec::new());
        for (index, assignment) in indices {
            let Some(job) = self.remove(index) else { continue };
            match assignment {
                Some(assignment) => {
                    let from = job.constraints.widths.narrowest(&self.profiles[job.constraints.model]);
                    jobs.push_front(RunningJob { job, from, width: assignment.width, reason: assignment.reason });
                }
                None => {
                    let reason = self.shed_reason(&job.constraints, now);
                    shed.push((job, reason));
                }
            }
        }
        let batch = jobs.front().map(|first: &RunningJob<P>| first.job.constraints.model).map(|model| {
            let oldest = jobs.iter().map(|running| running.job.queued_at).min().unwrap_or(now);
            let Plan { ceiling, reason, predicted, .. } = *plan;
            let trace = BatchTrace { ceiling, reason, queue_length, oldest, predicted };
            Batch { model, trace, exits: plan.exits.clone(), jobs: jobs.into() }
        });
        (batch, shed)
    }

    /// How many of the jobs that were shed did not make room for a higher priority.
    fn misses(&self, shed: &[(QueuedJob<P>, ShedReason)], batch: Option<&Batch<P>>) -> usize {
        let running = batch.iter().flat_map(|batch| &batch.jobs).map(|running| &running.job.constraints);
        let highest = self.jobs.iter().chain(running).map(|job| job.priority).max();
        shed.iter().filter(|(job, _)| Some(job.constraints.priority) >= highest).count()
    }

    fn shed_reason(&self, job: &JobConstraints, now: Instant) -> ShedReason {
        let profile = &self.profiles[job.model];
        let least = profile.latency(job.widths.narrowest(profile), 1);
        match job.deadline_kind {
            DeadlineKind::Firm if job.deadline.saturating_duration_since(now) <= least => ShedReason::Late,
            _ => ShedReason::Overload(Overload { wait: self.time_of(self.jobs.len()) }),
        }
    }

    fn drop_abandoned(&mut self) {
        for index in (0..self.jobs.len()).rev() {
            if self.entries[index].payload.is_abandoned() {
                self.remove(index);
                self.abandoned += 1;
            }
        }
    }

    /// The time of so many jobs at the narrowest width.
    fn time_of(&self, jobs: usize) -> Duration {
        let narrowest = |profile: &Profile| profile.latency(profile.narrowest(), jobs);
        let served = self.profiles.iter().enumerate().filter(|(model, _)| !self.vacant.contains(model));
        served.map(|(_, profile)| narrowest(profile)).max().unwrap_or_default() / self.workers.len().max(1) as u32
    }

    /// The policy, and what it sees now.
    fn policy_and_view(&mut self, now: Instant) -> (&mut dyn Policy, QueueView<'_>) {
        let busy = self.workers.iter().flatten();
        self.busy_until.clear();
        self.busy_until.extend(busy.clone().map(|busy| busy.until));
        let long_decodings = busy.filter(|busy| busy.long_decoding).count();
        let workers = Workers { count: self.workers.len(), busy_until: &self.busy_until, long_decodings };
        (&mut *self.policy, QueueView { jobs: &self.jobs, profiles: &self.profiles, workers, now })
    }
}
