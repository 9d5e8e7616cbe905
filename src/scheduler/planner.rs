//! The queue in the order of its deadlines, and the policy that decides over it.
//!
//! Promises that nothing here knows a clock, a thread or a lock: time is an argument, so that a test plays a million events
//! in a second. Who is accepted leaves once: in a batch, or given up, or because the caller has left.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::task::{Batch, Encoded, PlannedJob, Task};
use super::{Job, JobError, QueuedJob, Refused, Settings, Ticket};
use crate::engine::Width;
use crate::policy::{
    DeadlineKind, Decision, DecodeTimes, Demand, Limits, Overload, Profile, Stage, Tuning, Unsatisfiable, WidestFit,
    Workers,
};
use crate::repository::ServedModel;

/// Jobs, models, workers, and what is known of their times.
#[derive(Debug)]
pub(super) struct Planner {
    /// The earliest deadline first.
    queue: VecDeque<QueuedJob>,
    models: Vec<Arc<ServedModel>>,
    /// Of the models, in their order.
    profiles: Vec<Profile>,
    decode_times: DecodeTimes,
    rule: WidestFit,
    /// What each worker is at.
    workers: Vec<Option<Busy>>,
    settings: Settings,
    next_id: u64,
    /// Jobs dropped because their callers had left, since a worker was last told.
    abandoned: usize,
    /// Scratch.
    busy_until: Vec<Instant>,
}

/// What a worker is at.
#[derive(Debug, Clone, Copy)]
struct Busy {
    until: Instant,
    at_long_decoding: bool,
}

/// What there is to do for a free worker, and what became of those who waited.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) task: Option<Task>,
    /// Jobs that are given up, with the reasons.
    pub(super) given_up: Vec<(QueuedJob, JobError)>,
    /// How many were dropped because their callers have left.
    pub(super) abandoned: usize,
    pub(super) decision: Option<Decision>,
}

/// One part in so many of a caller's budget is for what happens outside: reading the request, and writing the answer.
const OUTSIDE: u32 = 50;
/// It is at least this, as on the fastest machines that were measured.
const LEAST_OUTSIDE: Duration = Duration::from_micros(100);
/// A budget that nobody asked for is at least this many times what the images of a call take on an idle server.
const USUAL_BUDGET: u32 = 4;

impl Planner {
    /// A planner for these models, whose profiles are given, and for workers that begin now to warm up with them.
    pub(super) fn new(settings: Settings, models: Vec<(Arc<ServedModel>, Profile)>, now: Instant) -> Planner {
        let limits = Limits { batch: settings.max_batch, queue: settings.queue_limit, decoders: settings.decoders };
        let (models, profiles): (_, Vec<Profile>) = models.into_iter().unzip();
        let warm = |profile: &Profile| profile.latency(Width::FULL, settings.max_batch);
        let warming = Busy { until: now + profiles.iter().map(warm).sum::<Duration>(), at_long_decoding: false };
        Planner {
            queue: VecDeque::new(),
            models,
            profiles,
            decode_times: DecodeTimes::default(),
            rule: WidestFit::new(limits, Tuning::default()),
            workers: vec![Some(warming); settings.workers],
            settings,
            next_id: 0,
            abandoned: 0,
            busy_until: Vec::new(),
        }
    }

    /// Accepts all the jobs, or none.
    pub(super) fn submit(&mut self, jobs: Vec<Job>, now: Instant) -> Result<Vec<Ticket>, Refused> {
        let (limit, wanted) = (self.settings.queue_limit, jobs.len());
        self.decay(now);
        self.drop_abandoned();
        let alone = match &jobs[..] {
            [job] if self.is_idle() => Some(job.clone()),
            _ => None,
        };
        if self.queue.len() + wanted > limit {
            let waiting = self.queue.len();
            return Err(Refused::QueueFull { waiting, limit, wanted, wait: self.time_of(waiting) });
        }
        self.check_together(&jobs)?;
        let first_id = self.next_id;
        let tickets: Result<Vec<Ticket>, Refused> = jobs.into_iter().map(|job| self.accept(job, wanted, now)).collect();
        match &tickets {
            Ok(_) => {
                let new = self.queue.iter().filter(|queued| queued.id >= first_id);
                new.for_each(|queued| self.rule.arrived(&queued.demand, now));
            }
            Err(_) => self.queue.retain(|queued| queued.id < first_id),
        }
        if let (Err(_), Some(job)) = (&tickets, alone) {
            self.doubt(&job, now);
        }
        tickets
    }

    /// Refuses a call whose images take longer together than their budget, on an idle server that is as fast as it ever was:
    /// nobody should ask that again.
    fn check_together(&self, jobs: &[Job]) -> Result<(), Refused> {
        let [Job { budget: Some(budget), .. }, _, ..] = *jobs else { return Ok(()) };
        let mut work = Duration::ZERO;
        for job in jobs {
            let Some(model) = self.place_of_model(&job.model) else { return Err(Refused::UnknownModel) };
            let profile = &self.profiles[model];
            let demand = Demand::new(&job.wish, (model, profile), job.arrived, inside(budget), Stage::Decoded);
            let demand = demand.map_err(|error| of_whole(error, budget))?;
            work += demand.item_at_best(profile) + self.decode_times.known(job.image.len()).unwrap_or_default();
        }
        let least = work / self.workers.len().max(1) as u32;
        if least > inside(budget) {
            let images = jobs.len();
            return Err(of_whole(Unsatisfiable::Together { budget, images, least }, budget).into());
        }
        Ok(())
    }

    /// An idle server refused this job. If it would not have at its best, what it expects may be left from a hold-up, and
    /// without a batch nothing would ever correct that.
    fn doubt(&mut self, job: &Job, now: Instant) {
        // A budget of the server's own is several times what is expected.
        let Some((model, budget)) = self.place_of_model(&job.model).zip(job.budget) else { return };
        let profile = &mut self.profiles[model];
        let demand = Demand::new(&job.wish, (model, profile), job.arrived, inside(budget), Stage::Decoded);
        if demand.is_ok_and(|demand| demand.fits_at_best(profile, now)) {
            profile.doubt();
        }
    }

    /// Accepts one job of a call of `together`. Once accepted, an image of several is answered even if it is late: the others
    /// would be lost with it.
    fn accept(&mut self, job: Job, together: usize, now: Instant) -> Result<Ticket, Refused> {
        let demand = self.demand(&job, together, now)?;
        self.see_workers();
        let workers = workers(&self.workers, &self.busy_until);
        let queue = self.queue.iter().map(|queued| &queued.demand);
        self.rule.admit(&demand, queue, workers, now, &self.profiles)?;
        let demand = if together > 1 { demand.with_target() } else { demand };
        let (queued, ticket) = QueuedJob::new(job, demand, self.next_id, now);
        self.next_id += 1;
        let place = self.queue.partition_point(|other| other.demand.deadline <= demand.deadline);
        self.queue.insert(place, queued);
        Ok(ticket)
    }

    fn demand(&self, job: &Job, together: usize, now: Instant) -> Result<Demand, Refused> {
        let model = self.place_of_model(&job.model).ok_or(Refused::UnknownModel)?;
        let profile = &self.profiles[model];
        let stage = Stage::Encoded { takes: self.decode_times.estimate(job.image.len()) };
        let new = |arrived, budget| Demand::new(&job.wish, (model, profile), arrived, budget, stage);
        let Some(budget) = job.budget else {
            let demand = new(now, self.usual_budget(job, together, profile))?;
            return Ok(demand.with_target());
        };
        let demand = new(job.arrived, inside(budget)).map_err(|error| of_whole(error, budget))?;
        if demand.deadline < now + profile.latency(demand.widths.narrowest(profile), 1) {
            return Err(Refused::Late { budget });
        }
        Ok(demand)
    }

    /// The budget of a job that names none, in a call of so many.
    fn usual_budget(&self, job: &Job, together: usize, profile: &Profile) -> Duration {
        let widest = job.wish.width.unwrap_or(Width::FULL);
        let takes = profile.latency(widest, 1) + self.decode_times.estimate(job.image.len());
        self.settings.default_budget.max(takes * USUAL_BUDGET * together as u32)
    }

    /// What this worker, which is free, shall do.
    pub(super) fn next(&mut self, worker: usize, now: Instant) -> Next {
        self.workers[worker] = None;
        self.decay(now);
        self.drop_abandoned();
        let abandoned = std::mem::take(&mut self.abandoned);
        if self.queue.is_empty() {
            if self.is_idle() {
                self.rule.idle(now);
            }
            return Next { task: None, given_up: Vec::new(), abandoned, decision: None };
        }
        self.see_workers();
        let workers = workers(&self.workers, &self.busy_until);
        let queue = self.queue.iter().map(|queued| &queued.demand);
        let decision = self.rule.next_batch(queue, workers, now, &self.profiles);
        // First, as long as the decision's places are those of the queue.
        let decoding = self.begin_decoding(&decision.decode);
        let (batch, given_up) = self.take_out(&decision, now);
        if !given_up.is_empty() {
            let broken = self.broken_promises(&given_up, batch.as_ref());
            self.rule.ended(0, broken);
        }
        let task = decoding.or(batch.map(Task::Run));
        if task.is_some() {
            let at_long_decoding = decision.decoding_is_long;
            self.workers[worker] = Some(Busy { until: now + decision.takes, at_long_decoding });
        }
        Next { task, given_up, abandoned, decision: Some(decision) }
    }

    /// Takes the jobs out of the queue that run and those that are given up.
    fn take_out(&mut self, decision: &Decision, now: Instant) -> (Option<Batch>, Vec<(QueuedJob, JobError)>) {
        let runs = decision.batch.iter().map(|job| (job.index, Some(*job)));
        let mut places: Vec<_> = runs.chain(decision.shed.iter().map(|&index| (index, None))).collect();
        // From the back, so that the places before stay what they are.
        places.sort_unstable_by_key(|&(index, _)| std::cmp::Reverse(index));
        let (mut jobs, mut given_up) = (VecDeque::new(), Vec::new());
        for (index, assignment) in places {
            let Some(queued) = self.queue.remove(index) else { continue };
            match assignment {
                Some(job) => {
                    let from = queued.demand.widths.narrowest(&self.profiles[queued.demand.model]);
                    jobs.push_front(PlannedJob { queued, from, width: job.width, reason: job.reason });
                }
                None => {
                    let error = self.why_given_up(&queued.demand, now);
                    given_up.push((queued, error));
                }
            }
        }
        let model = jobs.front().map(|job: &PlannedJob| job.queued.job.model.clone());
        (model.map(|model| Batch { model, jobs: jobs.into() }), given_up)
    }

    /// How many of those who are given up did not make room for others of higher priority.
    fn broken_promises(&self, given_up: &[(QueuedJob, JobError)], batch: Option<&Batch>) -> usize {
        let running = batch.iter().flat_map(|batch| &batch.jobs).map(|job| &job.queued);
        let highest = self.queue.iter().chain(running).map(|queued| queued.demand.priority).max();
        given_up.iter().filter(|(queued, _)| Some(queued.demand.priority) >= highest).count()
    }

    fn begin_decoding(&mut self, places: &[usize]) -> Option<Task> {
        let begin = |&place: &usize| {
            let queued = self.queue.get_mut(place)?;
            queued.demand.stage = Stage::Decoding;
            let (id, model, image) = (queued.id, queued.job.model.clone(), queued.job.image.clone());
            Some(Encoded { id, deadline: queued.demand.deadline, model, image })
        };
        let pictures: Vec<Encoded> = places.iter().filter_map(begin).collect();
        (!pictures.is_empty()).then_some(Task::Decode(pictures))
    }

    fn why_given_up(&self, demand: &Demand, now: Instant) -> JobError {
        let profile = &self.profiles[demand.model];
        let least = profile.latency(demand.widths.narrowest(profile), 1);
        match demand.deadline_kind {
            DeadlineKind::Firm if demand.deadline.saturating_duration_since(now) <= least => JobError::Late,
            _ => JobError::Shed(Overload { wait: self.time_of(self.queue.len()) }),
        }
    }

    /// Is the caller of this image still there?
    pub(super) fn is_wanted(&self, picture: &Encoded) -> bool {
        self.place_of(picture).is_some_and(|place| !self.queue[place].is_abandoned())
    }

    fn place_of(&self, picture: &Encoded) -> Option<usize> {
        let first = self.queue.partition_point(|queued| queued.demand.deadline < picture.deadline);
        Some(first + self.queue.range(first..).position(|queued| queued.id == picture.id)?)
    }

    /// An image is decoded; its job runs as soon as a worker takes it. What is broken leaves the queue, and is returned to
    /// be told so. Nothing is left to do where the job has left meanwhile.
    pub(super) fn decoded(
        &mut self,
        picture: &Encoded,
        pixels: Result<Vec<u8>, JobError>,
        took: Duration,
    ) -> Option<(QueuedJob, JobError)> {
        // What is soon found to be no image says nothing of images.
        let long = took > self.decode_times.estimate(picture.image.len());
        if pixels.is_ok() || (long && matches!(pixels, Err(JobError::Image(_)))) {
            self.decode_times.record(picture.image.len(), took);
        }
        let place = self.place_of(picture)?;
        match pixels {
            Ok(pixels) => {
                let queued = &mut self.queue[place];
                (queued.pixels, queued.decoding) = (pixels, took);
                queued.demand.stage = Stage::Decoded;
                // Its memory is free for others.
                queued.job.image = Default::default();
                None
            }
            Err(error) => Some((self.queue.remove(place)?, error)),
        }
    }

    /// Jobs were answered, so many in time and so many late.
    pub(super) fn answered(&mut self, in_time: usize, late: usize) {
        self.rule.ended(in_time, late);
    }

    /// Tells what a batch of jobs of a model, at these widths, took; and returns the model's profile. Widths below the
    /// profile's say nothing of it.
    pub(super) fn ran(&mut self, model: &Arc<ServedModel>, widths: &[Width], took: Duration) -> Option<&Profile> {
        let model = self.place_of_model(model)?;
        let profile = &mut self.profiles[model];
        if widths.iter().all(|&width| width >= profile.narrowest()) {
            profile.record(widths.iter().copied(), took);
        }
        Some(profile)
    }

    /// Jobs that wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Is there work that nobody is at?
    pub(super) fn has_work(&self) -> bool {
        self.queue.iter().any(|queued| queued.demand.stage != Stage::Decoding)
    }

    /// Lets what is known of a busy spell decay.
    pub(super) fn decay(&mut self, now: Instant) {
        self.profiles.iter_mut().for_each(|profile| profile.decay(now));
    }

    /// The models with their profiles.
    pub(super) fn profiles(&self) -> impl Iterator<Item = (&Arc<ServedModel>, &Profile)> {
        self.models.iter().zip(&self.profiles)
    }

    /// Mean time that decoding took of late.
    pub(super) fn mean_decoding(&self) -> Duration {
        self.decode_times.mean()
    }

    /// Share of its slack that a job must have left to be accepted.
    pub(super) fn reserve(&self) -> f64 {
        self.rule.reserve()
    }

    /// Does nothing wait, and nobody work?
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.workers.iter().all(Option::is_none)
    }

    fn place_of_model(&self, model: &Arc<ServedModel>) -> Option<usize> {
        self.models.iter().position(|other| Arc::ptr_eq(other, model))
    }

    fn drop_abandoned(&mut self) {
        let before = self.queue.len();
        self.queue.retain(|queued| !queued.is_abandoned());
        self.abandoned += before - self.queue.len();
    }

    /// How long so many jobs take at the narrowest width.
    fn time_of(&self, jobs: usize) -> Duration {
        let narrowest = |profile: &Profile| profile.latency(profile.narrowest(), jobs);
        self.profiles.iter().map(narrowest).max().unwrap_or_default() / self.workers.len().max(1) as u32
    }

    fn see_workers(&mut self) {
        self.busy_until.clear();
        self.busy_until.extend(self.workers.iter().flatten().map(|busy| busy.until));
    }
}

/// What of a caller's budget is the scheduler's.
fn inside(budget: Duration) -> Duration {
    budget.saturating_sub((budget / OUTSIDE).max(LEAST_OUTSIDE))
}

/// The same error in terms of the caller's whole budget.
fn of_whole(error: Unsatisfiable, budget: Duration) -> Unsatisfiable {
    let whole = |least: Duration| (least + LEAST_OUTSIDE).max(least * OUTSIDE / (OUTSIDE - 1));
    match error {
        Unsatisfiable::Budget { width, least, .. } => Unsatisfiable::Budget { budget, width, least: whole(least) },
        Unsatisfiable::Together { images, least, .. } => {
            Unsatisfiable::Together { budget, images, least: whole(least) }
        }
        other => other,
    }
}

fn workers<'a>(workers: &[Option<Busy>], busy_until: &'a [Instant]) -> Workers<'a> {
    let long_decodings = workers.iter().flatten().filter(|busy| busy.at_long_decoding).count();
    Workers { count: workers.len(), busy_until, long_decodings }
}

#[cfg(test)]
mod tests;
