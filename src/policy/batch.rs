//! What a free worker takes: images to decode, or a batch to run.

use std::time::Duration;

use super::Profile;
use super::backlog::{Backlog, Item};
use super::forecast::Crew;
use crate::engine::Width;

/// One job of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    /// Its place in the queue.
    pub index: usize,
    /// The width that it runs at; of a job that stops when it is confident, the widest.
    pub width: Width,
    /// Why this width.
    pub reason: WidthReason,
}

/// Why a job runs at its width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WidthReason {
    /// It is full width.
    Full,
    /// Its caller asked for this width.
    Requested,
    /// Its caller asked for the accuracy of this width, and there is no time for more.
    Accuracy,
    /// Its own budget has no time for more.
    Budget,
    /// Others wait.
    Load,
    /// Its caller asked for a confidence, and a narrower width had it.
    Confident,
}

impl WidthReason {
    /// One word for answers and metrics.
    pub fn word(self) -> &'static str {
        match self {
            WidthReason::Full => "full",
            WidthReason::Requested => "requested",
            WidthReason::Accuracy => "accuracy",
            WidthReason::Budget => "budget",
            WidthReason::Load => "load",
            WidthReason::Confident => "confident",
        }
    }
}

/// What else there is to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Workers that wait for work beside the one that asks.
    pub(super) idle: usize,
    /// Is the ceiling that of the budgets in use, not of the load?
    pub(super) by_budget: bool,
}

/// The most urgent jobs of the first one's model, as many as end in time for the first; and how long they take.
///
/// Idle workers get their share of a queue that is too short for all.
pub(super) fn form(
    backlog: &Backlog,
    ceilings: &[usize],
    profiles: &[Profile],
    crew: &Crew,
    bounds: Bounds,
) -> (Vec<Assignment>, Duration) {
    let mut jobs = backlog.jobs.iter().filter(|item| item.is_decoded());
    let Some(head) = jobs.next() else { return (Vec::new(), Duration::ZERO) };
    let model = head.model as usize;
    let (profile, ceiling) = (&profiles[model], ceilings[model]);
    let same = || backlog.jobs.iter().filter(|item| item.is_decoded() && item.model == head.model);
    let share = share(same(), crew, bounds.idle);

    let costs = profile.costs();
    let single = costs[head.step(ceiling)].single();
    // A job that is nearly late gets what it has.
    let limit = if single <= head.usable { head.usable } else { head.slack };
    let (mut setup, mut items) = (0, 0);
    let mut batch = Vec::with_capacity(share);
    for item in same().take(share) {
        let cost = costs[item.step(ceiling)];
        let (larger, more) = (cost.setup.max(setup), items + cost.item);
        if !batch.is_empty() && larger + more > limit.min(crew.longest()) {
            break;
        }
        (setup, items) = (larger, more);
        batch.push(assign(item, profile, ceiling, bounds.by_budget));
    }
    (batch, Duration::from_nanos(setup + items))
}

/// Nanoseconds of a group of images, however long the budgets in use are: whoever comes meanwhile waits for its end.
const LONGEST_GROUP: u64 = 2_000_000;

/// The most urgent images that wait to be decoded and that `may` be, as many as a batch takes, unless a decoded job is
/// more urgent; and how long that takes. A long one is alone.
///
/// Idle workers get their share.
pub(super) fn decode(backlog: &Backlog, crew: &Crew, idle: usize, may: impl Fn(u64) -> bool) -> (Vec<usize>, Duration) {
    let urgent = backlog.jobs.iter().take_while(|item| !item.is_decoded());
    let waiting = || urgent.clone().filter_map(|item| Some((item.index, item.undecoded()?))).filter(|job| may(job.1));
    let share = share(waiting(), crew, idle);
    let (mut group, mut takes) = (Vec::with_capacity(share), 0);
    for (index, more) in waiting().take(share) {
        if !group.is_empty() && takes + more > crew.longest().min(LONGEST_GROUP) {
            break;
        }
        takes += more;
        group.push(index as usize);
    }
    (group, Duration::from_nanos(takes))
}

/// How many of those who wait are this worker's, where others are idle: a batch at most.
fn share(waiting: impl Iterator, crew: &Crew, idle: usize) -> usize {
    let workers = idle + 1;
    waiting.take(crew.max_batch() * workers).count().div_ceil(workers)
}

fn assign(item: &Item, profile: &Profile, ceiling: usize, by_budget: bool) -> Assignment {
    let step = item.step(ceiling);
    let width = item.pinned.unwrap_or(profile.width(step));
    let reason = match step {
        _ if item.pinned.is_some() => WidthReason::Requested,
        _ if width == Width::FULL => WidthReason::Full,
        _ if step == item.least as usize && step > ceiling => WidthReason::Accuracy,
        _ if by_budget || (item.hurried && step < ceiling) => WidthReason::Budget,
        _ => WidthReason::Load,
    };
    Assignment { index: item.index as usize, width, reason }
}
