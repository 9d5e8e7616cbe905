//! The queue as one decision sees it: what each job costs at each ceiling, and whom to shed if not all can be answered in
//! time.

use std::time::{Duration, Instant};

use super::super::profile::Cost;
use super::super::{DeadlineKind, JobConstraints, Profile, QueueView, Stage, Widths};
use super::forecast::{Forecast, WorkerPool};
use super::tuning::WHOLE;
use crate::engine::Width;

/// Jobs, earliest deadline first. Its memory is reused from decision to decision.
#[derive(Debug, Clone, Default)]
pub(super) struct Backlog {
    /// The jobs that can be answered in time if they are alone.
    pub(super) jobs: Vec<Item>,
    /// Indices in the queue of the others, ascending.
    pub(super) shed: Vec<usize>,
    /// For each model, the widest of its jobs' narrowest allowed steps; `None` without a job.
    floors: Vec<Option<usize>>,
    /// Scratch: for each model the margin, and the widest step that its jobs may run at.
    bounds: Vec<(u64, usize)>,
    /// Scratch: the places in `jobs` that a higher rank may displace, by rank.
    ranks: [Vec<usize>; RANKS],
}

/// A job of the backlog. Times are in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// Time to its deadline. A target that cannot be met any more counts as if it were set now: the job is still answered,
    /// neither before nor after one that has just arrived.
    pub(super) slack: u64,
    /// The part of the slack that plans may use.
    pub(super) planned_slack: u64,
    /// Time to decode it.
    decoding: u64,
    /// Its index in the queue.
    pub(super) index: u32,
    pub(super) model: u16,
    /// Its narrowest allowed step.
    pub(super) min_step: u8,
    /// The widest step that it allows and has time for.
    max_step: u8,
    /// Whether its own deadline excludes steps that it allows.
    pub(super) deadline_limited: bool,
    progress: Progress,
    rank: u8,
    /// Whether its deadline is a target.
    target: bool,
    /// Its pinned width.
    pub(super) pinned: Option<Width>,
}

/// A [`Stage`] without its time: decisions walk many jobs, so they are kept small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Encoded,
    Decoding,
    Decoded,
}

/// Two per priority: a newcomer ranks below the jobs in the queue.
const RANKS: usize = 6;
/// The most jobs that are shed for one.
const MAX_VICTIMS: usize = 16;
/// Jobs per worker up to which the queue always has room for a job with a target. Even slow machines answer as many within
/// the default target at a quarter of the width.
const ROOM: u64 = 64;
/// The part of a target, in 1024ths, that is left for reading and answering at least, which plans do not model.
const TARGET_RESERVE: u64 = WHOLE / 3;
/// The slack of a job that is answered however late it is; times the number of workers it does not overflow.
const UNLIMITED: u64 = 1 << 50;
/// The index of a job that is not in the queue yet.
const NEWCOMER: u32 = u32::MAX;

impl Item {
    // Inlined: copying an item takes longer than computing it.
    #[inline(always)]
    fn new(job: &JobConstraints, index: u32, now: Instant, profile: &Profile, (margin, widest): (u64, usize)) -> Item {
        let mut slack = nanoseconds(job.deadline.saturating_duration_since(now));
        let JobConstraints { model, stage, priority, .. } = *job;
        let costs = profile.costs();
        let (least, most) = job.span(costs.len());
        let mut most = most.min(widest.max(least));
        let target = job.deadline_kind == DeadlineKind::Target;
        if target && slack < costs[least].single() + nanoseconds(stage.remaining()) {
            slack = nanoseconds(job.budget()).max(costs[least].single());
        }
        // An estimated decoding time alone makes no job hopeless.
        let decoding = nanoseconds(stage.remaining()).min(slack.saturating_sub(costs[least].single()));
        // A job that is nearly late may use all of its slack.
        let planned_slack = (slack - slack / WHOLE * margin).max(costs[least].single() + decoding).min(slack);
        let deadline_limited = most > least && planned_slack < costs[most].single() + decoding;
        if deadline_limited {
            let fits = |cost: &Cost| cost.single() + decoding <= planned_slack;
            most = least + costs[least..most].partition_point(fits).max(1) - 1;
        }
        let (least, most) = (least as u8, most as u8);
        let rank = 2 * priority as u8 + u8::from(index != NEWCOMER);
        let pinned = match job.widths {
            Widths::Pinned { width, .. } => Some(width),
            Widths::From { .. } => None,
        };
        let progress = match stage {
            Stage::Encoded { .. } => Progress::Encoded,
            Stage::Decoding => Progress::Decoding,
            Stage::Decoded => Progress::Decoded,
        };
        let model = model as u16;
        Item {
            slack,
            planned_slack,
            decoding,
            index,
            model,
            min_step: least,
            max_step: most,
            deadline_limited,
            progress,
            rank,
            target,
            pinned,
        }
    }

    /// The step that it runs at if `step` is the widest for all.
    pub(super) fn step(&self, step: usize) -> usize {
        (step as u8).min(self.max_step).max(self.min_step) as usize
    }

    /// What it costs in the network at a level of its model.
    pub(super) fn network(&self, level: usize, profile: &Profile) -> Cost {
        self.bounded(profile.levels().costs(level), profile.costs())
    }

    /// The same, with the costs by step at the level and without it at hand.
    #[inline(always)]
    fn bounded(&self, level: &[Cost], steps: &[Cost]) -> Cost {
        let (mean, most) = (level[self.min_step as usize], steps[self.max_step as usize]);
        Cost { setup: mean.setup.min(most.setup), item: mean.item.min(most.item) }
    }

    /// Its cost at its narrowest allowed step.
    fn min_cost(&self, profiles: &[Profile]) -> Cost {
        self.cost(profiles[self.model as usize].costs()[self.min_step as usize])
    }

    /// Its cost where the network costs this: with its decoding.
    fn cost(&self, network: Cost) -> Cost {
        Cost { item: network.item + self.decoding, ..network }
    }

    /// Its decoding time, if it waits to be decoded.
    pub(super) fn undecoded(&self) -> Option<u64> {
        (self.progress == Progress::Encoded).then_some(self.decoding)
    }

    pub(super) fn is_decoded(&self) -> bool {
        self.progress == Progress::Decoded
    }

    /// Whether it waits for a worker.
    pub(super) fn is_waiting(&self) -> bool {
        self.progress != Progress::Decoding
    }
}

impl Backlog {
    /// Fills in the queue, without the jobs that would be late even if they were alone. `bounds` are the share of a model's
    /// slacks, in 1024ths, that plans leave unused, and the widest step that its jobs may run at.
    pub(super) fn fill(&mut self, view: QueueView<'_>, bounds: impl Fn(&Profile) -> (u64, usize)) {
        let QueueView { profiles, now, .. } = view;
        self.jobs.clear();
        self.shed.clear();
        self.floors.clear();
        self.floors.resize(profiles.len(), None);
        self.bounds.clear();
        self.bounds.extend(profiles.iter().map(bounds));
        for (index, job) in (0..).zip(view.jobs) {
            let item = Item::new(job, index, now, &profiles[job.model], self.bounds[job.model]);
            if item.min_cost(profiles).single() > item.slack {
                self.shed.push(index as usize);
                continue;
            }
            let floor = &mut self.floors[job.model];
            *floor = (*floor).max(Some(item.min_step as usize));
            self.jobs.push(item);
        }
    }

    /// The mean time of all jobs at these levels of their models, each within the steps that it allows; `None` if one of them is
    /// late then. It never falls with a higher level or with another job.
    pub(super) fn work(&self, levels: &[usize], profiles: &[Profile], pool: &WorkerPool) -> Option<u64> {
        let setup = self.setup(levels, profiles);
        let mut forecast = Forecast::new(pool);
        let in_time = match (profiles, levels) {
            // Looked up once, not per job.
            ([profile], [level]) => {
                let (level, steps) = (profile.levels().costs(*level), profile.costs());
                let cost = |item: &Item| item.cost(Cost { setup, ..item.bounded(level, steps) });
                self.jobs.iter().all(|item| forecast.add(cost(item), item.planned_slack))
            }
            _ => self.jobs.iter().all(|item| {
                let model = item.model as usize;
                let cost = Cost { setup, ..item.network(levels[model], &profiles[model]) };
                forecast.add(item.cost(cost), item.planned_slack)
            }),
        };
        in_time.then(|| forecast.work())
    }

    /// Sheds jobs until the others meet their firm deadlines at their narrowest allowed steps: of low priority first, then those
    /// whose turn comes too late (Moore 1968).
    pub(super) fn shed_late(&mut self, profiles: &[Profile], pool: &WorkerPool) {
        let (late, _) = self.plan(profiles, pool);
        let shed = self.jobs.iter().zip(&late).filter_map(|(item, late)| late.then_some(item.index as usize));
        self.shed.extend(shed);
        self.shed.sort_unstable();
        let mut late = late.into_iter();
        self.jobs.retain(|_| late.next() != Some(true));
    }

    /// Whether the jobs of a request can be accepted in addition to those filled in; if not, the time until they can. A firm
    /// deadline must be met in the plan; a target needs room in the queue or must be met as well. `margin` is the share of a
    /// model's slacks, in 1024ths, that must be left. The new jobs remain among [`Backlog::jobs`].
    pub(super) fn admit(
        &mut self,
        jobs: &[JobConstraints],
        view: QueueView<'_>,
        margin: impl Fn(usize) -> u64,
        pool: &WorkerPool,
    ) -> Result<(), Duration> {
        let places = self.insert(jobs, view, &margin);
        let room = |job: &JobConstraints| self.room(job, margin(job.model));
        let room = jobs.iter().filter_map(room).min();
        let without_room = self.without_room(&places, room, view.profiles, pool);
        if without_room.is_empty() {
            return Ok(());
        }
        let (shed, work) = self.plan(view.profiles, pool);
        for place in without_room {
            let (item, least) = (&self.jobs[place], self.jobs[place].min_cost(view.profiles).single());
            if shed[place] || least > item.planned_slack {
                let end = (work + pool.busy()) / pool.workers() + least;
                return Err(Duration::from_nanos(end.saturating_sub(item.planned_slack)));
            }
        }
        Ok(())
    }

    /// Adds jobs that are not in the queue yet, and returns where they are, ascending.
    fn insert(&mut self, jobs: &[JobConstraints], view: QueueView<'_>, margin: &impl Fn(usize) -> u64) -> Vec<usize> {
        let mut ordered: Vec<&JobConstraints> = jobs.iter().collect();
        ordered.sort_by_key(|job| job.deadline);
        let mut places = Vec::with_capacity(jobs.len());
        for job in ordered {
            let ahead = view.jobs.partition_point(|queued| queued.deadline <= job.deadline);
            let queued = |item: &Item| item.index == NEWCOMER || (item.index as usize) < ahead;
            let place = self.jobs.partition_point(queued);
            let (profile, margin) = (&view.profiles[job.model], margin(job.model));
            let margin = if job.deadline_kind == DeadlineKind::Target { margin.max(TARGET_RESERVE) } else { margin };
            // Admission plans at the narrowest widths alone.
            let widest = profile.costs().len() - 1;
            let mut new = Item::new(job, NEWCOMER, view.now, profile, (margin, widest));
            // The margin is promised too; but an estimated decoding time alone refuses nothing.
            new.slack = new.planned_slack;
            let network = new.min_cost(view.profiles).single() - new.decoding;
            new.decoding = new.decoding.min(new.planned_slack.saturating_sub(network) / 2);
            self.jobs.insert(place, new);
            places.push(place);
        }
        places
    }

    /// The time that a target leaves for the queue before it; `None` for a firm deadline.
    fn room(&self, job: &JobConstraints, margin: u64) -> Option<u64> {
        let budget = nanoseconds(job.budget());
        let left = budget - budget / WHOLE * margin.clamp(TARGET_RESERVE, WHOLE);
        (job.deadline_kind == DeadlineKind::Target).then_some(left)
    }

    /// Which of the new jobs have a firm deadline, or a target and more than `room` of work for each worker before them, at
    /// the narrowest widths allowed.
    ///
    /// No job counts for more than its share of a queue of [`ROOM`] jobs per worker: so a slow decoding, a stall or a high
    /// estimate does not fill a queue of a few jobs.
    fn without_room(&self, places: &[usize], room: Option<u64>, profiles: &[Profile], pool: &WorkerPool) -> Vec<usize> {
        let Some(room) = room else { return places.to_vec() };
        let counted = |item: &Item| item.min_cost(profiles).item.min(room / ROOM);
        let (mut queued, mut from) = (0, 0);
        let crowded = |&place: &usize| {
            queued += self.jobs[from..place].iter().map(counted).sum::<u64>();
            from = place;
            !self.jobs[place].target || queued > room * pool.workers()
        };
        places.iter().copied().filter(crowded).collect()
    }

    /// The longest setup of any job at these levels. It counts for every batch, so that forecasts are exactly monotone.
    fn setup(&self, levels: &[usize], profiles: &[Profile]) -> u64 {
        let models = self.floors.iter().zip(levels).zip(profiles);
        let setup = |((floor, &level), profile): ((&Option<usize>, _), &Profile)| {
            Some(profile.levels().costs(level)[(*floor)?].setup)
        };
        models.filter_map(setup).max().unwrap_or(0)
    }

    /// For each job, whether it must be shed; and the time of the others. A job with a target is shed only for a higher
    /// priority in a crowded queue.
    fn plan(&mut self, profiles: &[Profile], pool: &WorkerPool) -> (Vec<bool>, u64) {
        self.ranks.iter_mut().for_each(Vec::clear);
        let mut shed = vec![false; self.jobs.len()];
        let (mut forecast, mut opened) = (Forecast::new(pool), 0);
        let crowded = self.jobs.len() as u64 > ROOM * pool.workers();
        for (place, item) in self.jobs.iter().enumerate() {
            let cost = item.min_cost(profiles);
            let mut planned = forecast.add(cost, item.slack);
            if !planned {
                let (before, mut victims) = (forecast, Vec::new());
                while !planned
                    && victims.len() < MAX_VICTIMS
                    && let Some(victim) = self.ranks[..item.rank as usize].iter_mut().find_map(Vec::pop)
                {
                    victims.push(victim);
                    forecast.remove(self.jobs[victim].min_cost(profiles), victim >= opened);
                    planned = forecast.add(cost, item.slack);
                }
                if planned {
                    victims.iter().for_each(|&victim| shed[victim] = true);
                } else {
                    forecast = before;
                    victims.iter().rev().for_each(|&victim| self.ranks[self.jobs[victim].rank as usize].push(victim));
                    // It is late, and answered.
                    planned = item.target && item.index != NEWCOMER && forecast.add(cost, UNLIMITED);
                }
            }
            shed[place] = !planned;
            if planned {
                opened = if forecast.open() == 1 { place } else { opened };
                if crowded || !item.target {
                    self.ranks[item.rank as usize].push(place);
                }
            }
        }
        (shed, forecast.work())
    }
}

fn nanoseconds(time: Duration) -> u64 {
    // Faster than `as_nanos`, which computes 128 bits.
    time.as_secs() * 1_000_000_000 + u64::from(time.subsec_nanos())
}
