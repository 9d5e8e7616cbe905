//! The width rule: the widest width at which everybody who waits is answered in time.
//!
//! A ceiling holds for a step of the widths when (a) the whole backlog, in the order of its deadlines, over all workers,
//! ends within its slack less a margin, and (b) what is expected to arrive in the next two budgets ends with it in three.
//! What holds for a step holds for every narrower one, so the widest is found in a few looks. No step is taken at which one
//! job alone would block a worker for half of the short budgets in use.
//!
//! The ceiling falls at once to what holds. It rises to what could be kept up: where the backlog and the arrivals of two
//! budgets end in two. Where that has become much wider than it was within three budgets, it must have been so for a third
//! of a budget, which brings full width back soon after a burst; where it is a little wider, for all three, which keeps it
//! still under a steady load. With one and the same bound for both ways, the width swings, and no accuracy is gained by it.
//!
//! Batches are short: a twentieth of the short budgets. A long one saves a few percent of the work, but everybody behind it
//! waits, and when something holds it up, all of it is late.

use std::time::{Duration, Instant};

use super::backlog::{Backlog, Item};
use super::batch::{self, Assignment, Bounds};
use super::forecast::Crew;
use super::reserve::Reserve;
use super::traffic::Traffic;
use super::tuning::{Tuning, WHOLE};
use super::window::SlidingMinimum;
use super::{Demand, Profile};
use crate::engine::Width;

/// The rule with what it remembers: traffic, and the widths of late.
#[derive(Debug, Clone)]
pub struct WidestFit {
    pub(super) tuning: Tuning,
    limits: Limits,
    pub(super) traffic: Traffic,
    pub(super) crew: Crew,
    pub(super) backlog: Backlog,
    pub(super) reserve: Reserve,
    ceiling: Width,
    /// What could be kept up, over the two times for which a ceiling must be good before it rises.
    lately: SlidingMinimum,
    for_long: SlidingMinimum,
    /// Scratch: a ceiling as a step of each model.
    ceilings: Vec<usize>,
}

/// Budgets that are longer on average count as this long.
const LONGEST_BUDGET: Duration = Duration::from_secs(5);

/// What there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most jobs that run together.
    pub batch: usize,
    /// The most jobs that wait. The caller keeps to it; the rule narrows in time that it is not reached.
    pub queue: usize,
    /// The most workers that are at a long decoding at once.
    pub decoders: usize,
}

/// The threads that run batches.
#[derive(Debug, Clone, Copy)]
pub struct Workers<'a> {
    /// How many there are; at least one.
    pub count: usize,
    /// When those that are busy will be free, as predicted. For [`WidestFit::next_batch`] without the one that asks.
    pub busy_until: &'a [Instant],
    /// How many of them are at a long decoding.
    pub long_decodings: usize,
}

/// What a free worker shall do.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The jobs to run together, the most urgent first, all of one model; none if no job is decoded, or `decode` has some.
    pub batch: Vec<Assignment>,
    /// Places in the queue of the jobs to decode, ascending: they are more urgent than all that could run.
    pub decode: Vec<usize>,
    /// Will decoding block the worker for longer than a job may?
    pub decoding_is_long: bool,
    /// Places in the queue of jobs that cannot be answered in time, ascending.
    pub shed: Vec<usize>,
    /// How long the batch, or the decoding, will take.
    pub takes: Duration,
    /// The widest width that a job may have now, unless it asked for it.
    pub ceiling: Width,
    /// Why it is not wider.
    pub reason: Reason,
    /// Jobs in the queue, those of the batch included.
    pub queue_length: usize,
    /// How long the oldest of them has waited.
    pub oldest_wait: Duration,
}

/// Why the ceiling is where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It is full width.
    Full,
    /// Short budgets: one job would block a worker for too long.
    Budget,
    /// The backlog would be late.
    Load,
    /// What is expected to arrive would be late.
    Arrivals,
    /// A wider width would do, but has not for long enough.
    Holding,
    /// Not even the narrowest width leaves the margin that it should.
    Overload,
}

impl Reason {
    /// One word for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Full => "full",
            Reason::Budget => "budget",
            Reason::Load => "load",
            Reason::Arrivals => "arrivals",
            Reason::Holding => "holding",
            Reason::Overload => "overload",
        }
    }
}

/// What is the same for all steps that a decision looks at.
#[derive(Debug, Clone, Copy)]
struct Moment<'a> {
    profiles: &'a [Profile],
    /// The model of the most urgent job: the ceiling moves along its steps.
    lead: usize,
    /// Mean budget, as far as the queue has room for it, in nanoseconds.
    budget: f64,
    /// Jobs that will arrive.
    expected: f64,
    /// What decoding one of them takes, in nanoseconds.
    decoding: f64,
}

impl WidestFit {
    /// The rule for a queue and batches of these sizes.
    pub fn new(limits: Limits, tuning: Tuning) -> WidestFit {
        WidestFit {
            tuning,
            limits,
            traffic: Traffic::default(),
            crew: Crew::default(),
            backlog: Backlog::default(),
            reserve: Reserve::new(&tuning),
            ceiling: Width::FULL,
            lately: SlidingMinimum::default(),
            for_long: SlidingMinimum::default(),
            ceilings: Vec::new(),
        }
    }

    /// What a free worker shall do. `queue` is in the order of its deadlines; `profiles` are those of the models.
    pub fn next_batch<'a>(
        &mut self,
        queue: impl Iterator<Item = &'a Demand>,
        workers: Workers,
        now: Instant,
        profiles: &[Profile],
    ) -> Decision {
        let mut oldest = now;
        self.fill(queue.inspect(|demand| oldest = oldest.min(demand.arrived)), workers, now, profiles);
        let queue_length = self.backlog.jobs.len() + self.backlog.shed.len();
        let mut reason = Reason::Holding;
        if let Some(head) = self.backlog.jobs.iter().find(|item| item.is_waiting()) {
            let lead = head.model as usize;
            reason = self.move_ceiling(self.moment(lead, now, profiles), now);
            self.set_ceilings(self.ceiling, profiles);
            if self.reserve.is_raised(&self.tuning) && self.all_have_more_than_their_least() {
                self.forget_reserve(now);
            }
            if reason == Reason::Overload {
                self.backlog.give_up(profiles, &self.crew);
            }
        }
        let bounds = Bounds {
            idle: workers.count.saturating_sub(workers.busy_until.len() + 1),
            by_budget: reason == Reason::Budget,
        };
        let long = self.short_budget(self.tuning.blocking);
        let may = |takes: u64| workers.long_decodings < self.limits.decoders || takes as f64 <= long;
        let (decode, mut takes) = batch::decode(&self.backlog, &self.crew, bounds.idle, may);
        let decoding_is_long = takes.as_nanos() as f64 > long;
        let mut batch = Vec::new();
        if decode.is_empty() {
            (batch, takes) = batch::form(&self.backlog, &self.ceilings, profiles, &self.crew, bounds);
        }
        let oldest_wait = now.saturating_duration_since(oldest);
        let shed = std::mem::take(&mut self.backlog.shed);
        Decision {
            batch,
            decode,
            decoding_is_long,
            shed,
            takes,
            ceiling: self.ceiling,
            reason,
            queue_length,
            oldest_wait,
        }
    }

    /// Takes note that nothing waits and nobody works.
    pub fn idle(&mut self, now: Instant) {
        self.forget_reserve(now);
    }

    fn forget_reserve(&mut self, now: Instant) {
        let quiet = self.traffic.mean_budget().unwrap_or_default().min(LONGEST_BUDGET);
        self.reserve.forget(now, quiet, &self.tuning);
    }

    fn all_have_more_than_their_least(&self) -> bool {
        let more = |item: &Item| item.step(self.ceilings[item.model as usize]) > item.least as usize;
        self.backlog.jobs.iter().all(more)
    }

    /// Sees the queue and the workers as they are now.
    pub(super) fn fill<'a>(
        &mut self,
        queue: impl Iterator<Item = &'a Demand>,
        workers: Workers,
        now: Instant,
        profiles: &[Profile],
    ) {
        let busy = workers.busy_until.iter().map(|at| at.saturating_duration_since(now).as_nanos() as u64);
        let idle = workers.count.saturating_sub(workers.busy_until.len());
        let longest = self.short_budget(self.tuning.batch);
        self.crew.set(busy.chain(std::iter::repeat_n(0, idle)), self.limits.batch, longest as u64);
        let tuning = self.tuning;
        self.backlog.fill(queue, now, profiles, |profile| tuning.margin_of(profile));
    }

    /// A share of the short budgets in use, in nanoseconds; without end where there are none.
    fn short_budget(&self, share: f64) -> f64 {
        self.traffic.short_budget().map_or(f64::INFINITY, |short| short.as_secs_f64() * 1e9 * share)
    }

    fn moment<'a>(&self, lead: usize, now: Instant, profiles: &'a [Profile]) -> Moment<'a> {
        // Budgets that are longer than what fills half of the queue are no time to wait in; and a few of an hour are not to
        // hold the width down for as long.
        let mean = self.traffic.mean_budget().unwrap_or_default().min(LONGEST_BUDGET);
        let budget = self.traffic.time_of(self.limits.queue.div_ceil(2), now).unwrap_or(mean).min(mean);
        let ahead = budget.mul_f64(self.tuning.ahead);
        let expected = self.traffic.rate(now, ahead) * ahead.as_secs_f64();
        let decoding = self.traffic.mean_decoding().as_secs_f64() * 1e9;
        Moment { profiles, lead, budget: budget.as_secs_f64() * 1e9, expected, decoding }
    }

    /// Moves the ceiling to where it should be, and says why it is not wider.
    fn move_ceiling(&mut self, moment: Moment, now: Instant) -> Reason {
        let (tuning, profile) = (self.tuning, &moment.profiles[moment.lead]);
        let most = self.unblocked(profile);
        let current = profile.within(self.ceiling).min(most);
        let (needed, mut why) = self.widest(0, current, current, tuning.within, moment);
        let mut kept_up = needed;
        if needed == current {
            (kept_up, why) = self.widest(current, most, current + 1, tuning.sustained, moment);
        }
        let kept_up = profile.width(kept_up);
        let for_budgets = |budgets: f64| Duration::from_nanos((moment.budget * budgets) as u64);
        let lately = self.lately.push(now, for_budgets(tuning.hold), kept_up);
        let for_long = self.for_long.push(now, for_budgets(tuning.patience), kept_up);
        let leaps = lately.as_f64() >= for_long.as_f64() + tuning.leap;
        self.ceiling = profile.width(needed).max(if leaps { lately } else { for_long });

        let narrowest = self.ceiling == profile.width(0);
        match why {
            _ if narrowest && self.holds(0, tuning.within, moment) == Err(Reason::Load) => Reason::Overload,
            Some(why) if self.ceiling == kept_up => why,
            _ if self.ceiling < kept_up => Reason::Holding,
            _ if self.ceiling == Width::FULL => Reason::Full,
            _ => Reason::Budget,
        }
    }

    /// The widest step at which one job alone does not block a worker for too long.
    fn unblocked(&self, profile: &Profile) -> usize {
        let bound = self.short_budget(self.tuning.blocking);
        let share = 1.0 - self.tuning.margin_of(profile) as f64 / WHOLE as f64;
        profile.costs().partition_point(|cost| cost.single() as f64 <= bound * share).max(1) - 1
    }

    /// The widest step up to `most` that holds, or `least`, which is not looked at, where no other does; and what
    /// forbids the next one. It is looked for near `guess`, in strides that double, and then by halves.
    fn widest(
        &mut self,
        least: usize,
        most: usize,
        guess: usize,
        within: f64,
        moment: Moment,
    ) -> (usize, Option<Reason>) {
        let (mut good, mut bad, mut step, mut stride, mut why) = (least, most + 1, guess, 1, None);
        while good + 1 < bad {
            match self.holds(step, within, moment) {
                Ok(()) => {
                    good = step;
                    step = ((good + bad) / 2).min(good + stride);
                }
                Err(reason) => {
                    (bad, why) = (step, Some(reason));
                    step = ((good + bad) / 2).max(bad.saturating_sub(stride));
                }
            }
            stride *= 2;
        }
        (good, why)
    }

    /// Do the backlog and the arrivals end in time at a step?
    fn holds(&mut self, step: usize, within: f64, moment: Moment) -> Result<(), Reason> {
        let Moment { profiles, lead, budget, expected, decoding } = moment;
        self.set_ceilings(profiles[lead].width(step), profiles);
        let work = self.backlog.work(&self.ceilings, profiles, &self.crew).ok_or(Reason::Load)?;
        let cost = profiles[lead].costs()[step];
        let work = (work + self.crew.busy()) as f64 + expected * (cost.item as f64 + decoding);
        let room = (budget * within - cost.single() as f64) * self.crew.workers() as f64;
        // Without traffic, as at the start, there is no budget to compare with.
        if budget == 0.0 || work <= room { Ok(()) } else { Err(Reason::Arrivals) }
    }

    /// For each model its widest step within a width.
    fn set_ceilings(&mut self, width: Width, profiles: &[Profile]) {
        self.ceilings.clear();
        self.ceilings.extend(profiles.iter().map(|profile| profile.within(width)));
    }
}
