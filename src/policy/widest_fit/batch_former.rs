//! The batch former: which jobs a free worker takes, to decode or to run.
//!
//! # The rule
//! If the earliest deadline in the queue belongs to a job that is not decoded, the worker decodes, else it runs a batch: the
//! earliest deadlines of the first job's model, each at its widest allowed step within that of the level, as long as the batch
//! ends within the first job's planned slack and within `max_batch_time` of the short budgets. Idle workers get equal shares of a
//! short queue. A worker never waits for a batch to fill.

use std::time::Duration;

use super::super::levels::Dither;
use super::super::{Assignment, ExitRule, Profile, WidthReason};
use super::backlog::{Backlog, Item};
use super::forecast::WorkerPool;
use crate::engine::Width;

/// What is known when a worker asks, beside the backlog.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchFormer<'a> {
    pub(super) pool: &'a WorkerPool,
    /// The number of idle workers beside the one that asks.
    pub(super) idle: usize,
}

/// Longest decoding of a group, in nanoseconds, however long the budgets are: jobs that arrive meanwhile wait for its end.
const MAX_DECODING: u64 = 2_000_000;

impl BatchFormer<'_> {
    /// The batch to run at these levels, and its predicted time. `dithers` keep the shares of each model's mixtures. `by_budget`
    /// says that the short budgets determine the level, not the load.
    pub(super) fn run(
        self,
        backlog: &Backlog,
        levels: &[usize],
        profiles: &[Profile],
        dithers: &mut [Dither],
        by_budget: bool,
    ) -> (Vec<Assignment>, Option<ExitRule>, Duration) {
        let mut jobs = backlog.jobs.iter().filter(|item| item.is_decoded());
        let Some(head) = jobs.next() else { return (Vec::new(), None, Duration::ZERO) };
        let model = head.model as usize;
        let (profile, level) = (&profiles[model], levels[model]);
        let same = || backlog.jobs.iter().filter(|item| item.is_decoded() && item.model == head.model);
        let share = self.share(same());

        let (exits, widest) = (profile.exit_rule(level), profile.levels().widest_step(level));
        let mixture = profile.levels().mixture(level);
        let single = head.network(level, profile).single();
        // A job that is nearly late may use all of its slack.
        let limit = if single <= head.planned_slack { head.planned_slack } else { head.slack };
        let (mut setup, mut items) = (0, 0);
        let mut batch = Vec::with_capacity(share);
        for item in same().take(share) {
            let cost = item.network(level, profile);
            let (larger, more) = (cost.setup.max(setup), items + cost.item);
            if !batch.is_empty() && larger + more > limit.min(self.pool.longest()) {
                break;
            }
            (setup, items) = (larger, more);
            let step = mixture.map_or(widest, |mixture| dithers[model].next(mixture));
            batch.push(match exits {
                None => assign(item, profile, step, by_budget),
                Some(_) => assign_widest(item, profile, widest),
            });
        }
        (batch, exits, Duration::from_nanos(setup + items))
    }

    /// The indices of the jobs to decode, and the predicted time. `may` excludes decodings by their time in nanoseconds.
    pub(super) fn decode(self, backlog: &Backlog, may: impl Fn(u64) -> bool) -> (Vec<usize>, Duration) {
        let urgent = backlog.jobs.iter().take_while(|item| !item.is_decoded());
        let waiting =
            || urgent.clone().filter_map(|item| Some((item.index, item.undecoded()?))).filter(|job| may(job.1));
        let share = self.share(waiting());
        let (mut group, mut time) = (Vec::with_capacity(share), 0);
        for (index, more) in waiting().take(share) {
            if !group.is_empty() && time + more > self.pool.longest().min(MAX_DECODING) {
                break;
            }
            time += more;
            group.push(index as usize);
        }
        (group, Duration::from_nanos(time))
    }

    /// How many of the waiting jobs are this worker's: at most a batch.
    fn share(self, waiting: impl Iterator) -> usize {
        let workers = self.idle + 1;
        waiting.take(self.pool.max_batch() * workers).count().div_ceil(workers)
    }
}

fn assign(item: &Item, profile: &Profile, ceiling: usize, by_budget: bool) -> Assignment {
    let step = item.step(ceiling);
    let width = item.pinned.unwrap_or(profile.width(step));
    let reason = match step {
        _ if item.pinned.is_some() => WidthReason::Requested,
        _ if width == Width::FULL => WidthReason::Full,
        _ if step == item.min_step as usize && step > ceiling => WidthReason::Accuracy,
        _ if by_budget || (item.deadline_limited && step < ceiling) => WidthReason::Budget,
        _ => WidthReason::Load,
    };
    Assignment { index: item.index as usize, width, reason }
}

/// At a price, a job may be widened up to the widest step that it allows and has time for.
fn assign_widest(item: &Item, profile: &Profile, widest: usize) -> Assignment {
    let width = item.pinned.unwrap_or(profile.width(item.step(widest)));
    let reason = match width {
        _ if item.pinned.is_some() => WidthReason::Requested,
        Width::FULL => WidthReason::Full,
        _ => WidthReason::Budget,
    };
    Assignment { index: item.index as usize, width, reason }
}
