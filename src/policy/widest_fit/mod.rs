//! Widest fit, the server's own policy: the widest width at which everyone in the queue is answered in time.
//!
//! Four parts, each with its rule in its first lines: the [arrival estimator](arrivals), the
//! [admission controller](admission), the [width controller](width_controller) and the [batch former](batch_former). All
//! plan over the [backlog] with a [forecast] of when jobs end.
//!
//! A ceiling is feasible at a step of the widths when (a) the backlog, earliest deadline first, over all workers, ends within
//! its planned slacks, and (b) together with the arrivals expected in `lookahead` mean budgets it ends within the horizon.
//! No step is taken at which one job would block a worker for more than `max_block` of the short budgets. `docs/policy.md`
//! explains the whole on a page.

mod admission;
mod arrivals;
mod backlog;
mod batch_former;
mod forecast;
mod sliding_minimum;
#[cfg(test)]
mod tests;
mod tuning;
mod width_controller;

use std::time::{Duration, Instant};

use super::levels::Dither;
use super::{CeilingReason, JobConstraints, Overload, Plan, Policy, Profile, QueueSettings, QueueView};
use crate::engine::Width;
use admission::AdmissionController;
use arrivals::ArrivalEstimator;
use backlog::{Backlog, Item};
use batch_former::BatchFormer;
use forecast::WorkerPool;
use tuning::WHOLE;
use width_controller::{Bounds, Feasibility, WidthController};

pub use tuning::{Budgets, Ratio, Tuning};

/// The policy and what it remembers.
#[derive(Debug, Clone)]
pub struct WidestFit {
    tuning: Tuning,
    settings: QueueSettings,
    arrivals: ArrivalEstimator,
    admission: AdmissionController,
    controller: WidthController,
    /// The queue and the workers at this decision.
    backlog: Backlog,
    pool: WorkerPool,
    /// Which images of each model run at the wider step of a mixture.
    dithers: Vec<Dither>,
    /// Scratch: a level of each model.
    levels: Vec<usize>,
}

/// Longer mean budgets count as this long.
const MAX_MEAN_BUDGET: Duration = Duration::from_secs(5);

/// What stays the same for all steps that one decision checks. Times are in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct PlanInputs<'a> {
    profiles: &'a [Profile],
    /// The model of the earliest deadline, along whose steps the ceiling moves.
    lead: usize,
    mean_budget: f64,
    expected_arrivals: f64,
    /// Mean time to decode one of them.
    decoding: f64,
}

/// A decision's inputs with the parts of the policy that check a step.
struct Check<'a> {
    inputs: PlanInputs<'a>,
    backlog: &'a Backlog,
    pool: &'a WorkerPool,
    levels: &'a mut Vec<usize>,
}

impl WidestFit {
    /// The policy for a queue with these settings.
    pub fn new(settings: QueueSettings, tuning: Tuning) -> WidestFit {
        WidestFit {
            tuning,
            settings,
            arrivals: ArrivalEstimator::default(),
            admission: AdmissionController::new(&tuning),
            controller: WidthController::new(),
            backlog: Backlog::default(),
            pool: WorkerPool::default(),
            dithers: Vec::new(),
            levels: Vec::new(),
        }
    }

    /// Reads the queue and the workers as they are now.
    fn fill(&mut self, view: QueueView<'_>) {
        let (workers, now) = (view.workers, view.now);
        let busy = workers.busy_until.iter().map(|at| at.saturating_duration_since(now).as_nanos() as u64);
        let idle = workers.count.saturating_sub(workers.busy_until.len());
        let longest = self.of_short_budget(self.tuning.max_batch_time);
        self.pool.set(busy.chain(std::iter::repeat_n(0, idle)), self.settings.max_batch, longest as u64);
        let (tuning, short) = (self.tuning, self.of_short_budget(self.tuning.max_block));
        self.backlog.fill(view, |profile| {
            let last = profile.costs().len() - 1;
            // Otherwise the level is the bound.
            let bounded = profile.levels().exceeds_equivalent_widths();
            let widest = if bounded { widest_step(profile, short, &tuning) } else { last };
            (tuning.margin_of(profile), widest)
        });
    }

    /// Moves the ceiling and sheds what cannot be met; returns why the ceiling is not wider.
    fn control(&mut self, lead: usize, view: QueueView<'_>) -> CeilingReason {
        let inputs = self.inputs(lead, view);
        let profile = &view.profiles[lead];
        let step = widest_step(profile, self.of_short_budget(self.tuning.max_block), &self.tuning);
        let widest = profile.levels().within(profile.width(step));
        let bounds = Bounds { now: view.now, mean_budget: inputs.mean_budget, widest };
        let mut check = Check { inputs, backlog: &self.backlog, pool: &self.pool, levels: &mut self.levels };
        let reason = self.controller.update(profile, bounds, &self.tuning, &mut check);
        set_levels(&mut self.levels, self.controller.ceiling(), view.profiles);
        if self.admission.is_raised(&self.tuning) && self.all_above_their_narrowest(view.profiles) {
            self.reset_reserve(view.now);
        }
        if reason == CeilingReason::Overload {
            self.backlog.shed_late(view.profiles, &self.pool);
        }
        reason
    }

    fn inputs<'a>(&self, lead: usize, view: QueueView<'a>) -> PlanInputs<'a> {
        // Nobody can wait longer than it takes to fill half of the queue, and a few budgets of an hour must not hold the width
        // down for as long.
        let mean = self.arrivals.mean_budget().unwrap_or_default().min(MAX_MEAN_BUDGET);
        let budget = self.arrivals.time_of(self.settings.max_queue.div_ceil(2), view.now).unwrap_or(mean).min(mean);
        let ahead = budget.mul_f64(self.tuning.lookahead.0);
        PlanInputs {
            profiles: view.profiles,
            lead,
            mean_budget: budget.as_secs_f64() * 1e9,
            expected_arrivals: self.arrivals.rate(view.now, ahead) * ahead.as_secs_f64(),
            decoding: self.arrivals.mean_decoding().as_secs_f64() * 1e9,
        }
    }

    /// A share of the short budget, in nanoseconds; infinite without one.
    fn of_short_budget(&self, share: Ratio) -> f64 {
        self.arrivals.short_budget().map_or(f64::INFINITY, |short| short.as_secs_f64() * 1e9 * share.0)
    }

    fn all_above_their_narrowest(&self, profiles: &[Profile]) -> bool {
        let above = |item: &Item| {
            let (level, profile) = (self.levels[item.model as usize], &profiles[item.model as usize]);
            item.step(profile.levels().widest_step(level)) > item.min_step as usize
        };
        self.backlog.jobs.iter().all(above)
    }

    fn reset_reserve(&mut self, now: Instant) {
        let quiet = self.arrivals.mean_budget().unwrap_or_default().min(MAX_MEAN_BUDGET);
        self.admission.reset(now, quiet, &self.tuning);
    }
}

impl Policy for WidestFit {
    fn admit(&mut self, jobs: &[JobConstraints], view: QueueView<'_>) -> Result<(), Overload> {
        self.fill(view);
        self.admission.admit(jobs, view, &mut self.backlog, &self.pool, &self.tuning)
    }

    fn accepted(&mut self, jobs: &[JobConstraints], now: Instant) {
        jobs.iter().for_each(|job| self.arrivals.arrived(now, job.budget(), job.stage.remaining()));
    }

    fn next(&mut self, view: QueueView<'_>) -> Plan {
        self.fill(view);
        let mut reason = CeilingReason::Holding;
        if let Some(head) = self.backlog.jobs.iter().find(|item| item.is_waiting()) {
            reason = self.control(head.model as usize, view);
        }
        let workers = view.workers;
        let idle = workers.count.saturating_sub(workers.busy_until.len() + 1);
        let former = BatchFormer { pool: &self.pool, idle };
        let long = self.of_short_budget(self.tuning.max_block);
        let may = |time: u64| workers.long_decodings < self.settings.decoders || time as f64 <= long;
        let (decode, mut predicted) = former.decode(&self.backlog, may);
        let long_decoding = predicted.as_nanos() as f64 > long;
        let (mut batch, mut exits) = (Vec::new(), None);
        if decode.is_empty() {
            let by_budget = reason == CeilingReason::Budget;
            self.dithers.resize(view.profiles.len(), Dither::default());
            (batch, exits, predicted) =
                former.run(&self.backlog, &self.levels, view.profiles, &mut self.dithers, by_budget);
        }
        let shed = std::mem::take(&mut self.backlog.shed);
        Plan { batch, decode, long_decoding, shed, predicted, exits, ceiling: self.controller.ceiling(), reason }
    }

    fn finished(&mut self, on_time: usize, missed: usize) {
        self.admission.learn(on_time, missed, &self.tuning);
    }

    fn idle(&mut self, now: Instant) {
        self.reset_reserve(now);
    }

    fn reserve(&self) -> f64 {
        self.admission.reserve()
    }
}

impl Feasibility for Check<'_> {
    fn check(&mut self, level: usize, horizon: Budgets) -> Result<(), CeilingReason> {
        let PlanInputs { profiles, lead, mean_budget, expected_arrivals, decoding } = self.inputs;
        set_levels(self.levels, profiles[lead].levels().width(level), profiles);
        let work = self.backlog.work(self.levels, profiles, self.pool).ok_or(CeilingReason::Load)?;
        let cost = profiles[lead].levels().costs(level)[0];
        let work = (work + self.pool.busy()) as f64 + expected_arrivals * (cost.item as f64 + decoding);
        let room = (mean_budget * horizon.0 - cost.single() as f64) * self.pool.workers() as f64;
        // Before the first arrivals there is no budget to compare with.
        if mean_budget == 0.0 || work <= room { Ok(()) } else { Err(CeilingReason::Arrivals) }
    }
}

/// Sets each model to its widest level within `width`.
fn set_levels(levels: &mut Vec<usize>, width: Width, profiles: &[Profile]) {
    levels.clear();
    levels.extend(profiles.iter().map(|profile| profile.levels().within(width)));
}

/// The widest step at which one job does not block a worker for longer than `bound` nanoseconds.
fn widest_step(profile: &Profile, bound: f64, tuning: &Tuning) -> usize {
    let share = 1.0 - tuning.margin_of(profile) as f64 / WHOLE as f64;
    profile.costs().partition_point(|cost| cost.single() as f64 <= bound * share).max(1) - 1
}
