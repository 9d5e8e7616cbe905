//! Policies of others, as published. Those that have an `early` form drop jobs that cannot be met any more, leave a
//! margin, and correct their profile, as the server's own policy does.

use std::time::{Duration, Instant};

use anywidth::engine::Width;
use anywidth::policy::{Demand, Profile};

use super::{Choice, Policy, Situation};

/// What all of them need.
#[derive(Debug, Clone)]
struct Base {
    profile: Profile,
    max_batch: usize,
    /// Share of the slack that is not used; with it come early drops and correction.
    early: Option<f64>,
}

/// SlackFit (SuperServe, NSDI 2025): evenly spaced latency buckets, in each the tuple with the largest batch; of them
/// the one that comes closest below the slack of the most urgent job.
#[derive(Debug, Clone)]
pub struct SlackFit {
    base: Base,
    /// Width and batch by ascending latency.
    buckets: Vec<(Duration, Width, usize)>,
}

/// SuperServe's peer: the widest width that fits one job, then the largest batch.
#[derive(Debug, Clone)]
pub struct MaxAccuracy(Base);

/// SuperServe's peer: the largest batch that fits at the narrowest width, then the widest width for it.
#[derive(Debug, Clone)]
pub struct MaxBatch(Base);

/// Model-Switching (HotCloud 2020): each second, the widest width whose capacity is above the rate of the last second.
#[derive(Debug, Clone)]
pub struct RateTable {
    base: Base,
    second: Option<Instant>,
    arrived: usize,
    width: Width,
}

const BUCKETS: u32 = 64;
/// The share of the capacity that the rate table uses.
const USED: f64 = 0.9;

impl Base {
    fn slack(&self, demand: &Demand, now: Instant) -> Duration {
        let slack = demand.deadline.saturating_duration_since(now);
        self.early.map_or(slack, |margin| slack.mul_f64(1.0 - margin))
    }

    fn narrowest(&self) -> Width {
        self.profile.narrowest()
    }

    /// How many jobs at the front cannot be met even at `width`.
    fn hopeless(&self, at: &Situation, width: Width) -> usize {
        let single = self.profile.latency(width, 1);
        let late = |demand: &&Demand| demand.deadline.saturating_duration_since(at.now) < single;
        if self.early.is_some() { at.queue.iter().take_while(late).count() } else { 0 }
    }

    /// The jobs behind the hopeless ones, as a batch.
    fn take(&self, at: &Situation, hopeless: usize, batch: usize, width: Width) -> Choice {
        let batch = batch.min(at.queue.len() - hopeless);
        let takes = self.profile.latency(width, batch);
        let jobs = (hopeless..hopeless + batch).map(|index| (index, width));
        Choice { batch: jobs.collect(), shed: (0..hopeless).collect(), takes }
    }

    /// The largest batch, of the jobs there are, that ends within `slack`; at least one.
    fn largest(&self, at: &Situation, width: Width, slack: Duration) -> usize {
        let most = self.max_batch.min(at.queue.len());
        (1..=most).rev().find(|&batch| self.profile.latency(width, batch) <= slack).unwrap_or(1)
    }

    /// The widest width at which such a batch ends within `slack`, or the narrowest of all.
    fn widest(&self, batch: usize, slack: Duration) -> Width {
        let fits = |width: &Width| self.profile.latency(*width, batch) <= slack;
        self.profile.widths().take_while(fits).last().unwrap_or_else(|| self.narrowest())
    }

    fn took(&mut self, widths: &[Width], took: Duration) {
        if self.early.is_some() {
            self.profile.record(widths.iter().copied(), took);
        }
    }
}

impl SlackFit {
    /// As published, or with a margin, early drops and correction.
    pub fn new(profile: Profile, max_batch: usize, early: Option<f64>) -> SlackFit {
        let narrowest = profile.narrowest();
        let (least, most) = (profile.latency(narrowest, 1), profile.latency(Width::FULL, max_batch));
        let best = |bucket: u32| {
            let bound = least + (most - least) * bucket / BUCKETS;
            let batch = (1..=max_batch).rev().find(|&batch| profile.latency(narrowest, batch) <= bound)?;
            let width = profile.widths().take_while(|&width| profile.latency(width, batch) <= bound).last()?;
            Some((profile.latency(width, batch), width, batch))
        };
        let buckets = (0..=BUCKETS).filter_map(best).collect();
        SlackFit { base: Base { profile, max_batch, early }, buckets }
    }
}

impl Policy for SlackFit {
    fn next_batch(&mut self, at: Situation) -> Choice {
        let hopeless = self.base.hopeless(&at, self.base.narrowest());
        let Some(head) = at.queue.get(hopeless) else { return self.base.take(&at, hopeless, 0, Width::FULL) };
        let slack = self.base.slack(head, at.now).div_f64(self.base.profile.correction());
        let below = self.buckets.iter().rev().find(|bucket| bucket.0 <= slack);
        let (width, batch) = below.map_or((self.base.narrowest(), 1), |&(_, width, batch)| (width, batch));
        self.base.take(&at, hopeless, batch, width)
    }

    fn took(&mut self, widths: &[Width], took: Duration) {
        self.base.took(widths, took);
    }
}

impl MaxAccuracy {
    /// As published, or with a margin, early drops and correction.
    pub fn new(profile: Profile, max_batch: usize, early: Option<f64>) -> MaxAccuracy {
        MaxAccuracy(Base { profile, max_batch, early })
    }
}

impl Policy for MaxAccuracy {
    fn next_batch(&mut self, at: Situation) -> Choice {
        let hopeless = self.0.hopeless(&at, self.0.narrowest());
        let Some(head) = at.queue.get(hopeless) else { return self.0.take(&at, hopeless, 0, Width::FULL) };
        let slack = self.0.slack(head, at.now);
        let width = self.0.widest(1, slack);
        self.0.take(&at, hopeless, self.0.largest(&at, width, slack), width)
    }

    fn took(&mut self, widths: &[Width], took: Duration) {
        self.0.took(widths, took);
    }
}

impl MaxBatch {
    /// As published, or with a margin, early drops and correction.
    pub fn new(profile: Profile, max_batch: usize, early: Option<f64>) -> MaxBatch {
        MaxBatch(Base { profile, max_batch, early })
    }
}

impl Policy for MaxBatch {
    fn next_batch(&mut self, at: Situation) -> Choice {
        let hopeless = self.0.hopeless(&at, self.0.narrowest());
        let Some(head) = at.queue.get(hopeless) else { return self.0.take(&at, hopeless, 0, Width::FULL) };
        let slack = self.0.slack(head, at.now);
        let batch = self.0.largest(&at, self.0.narrowest(), slack);
        self.0.take(&at, hopeless, batch, self.0.widest(batch, slack))
    }

    fn took(&mut self, widths: &[Width], took: Duration) {
        self.0.took(widths, took);
    }
}

impl RateTable {
    /// With early drops and correction.
    pub fn new(profile: Profile, max_batch: usize) -> RateTable {
        let base = Base { profile, max_batch, early: Some(0.1) };
        RateTable { base, second: None, arrived: 0, width: Width::FULL }
    }
}

impl Policy for RateTable {
    fn admit(&mut self, _: &Demand, at: Situation) -> bool {
        self.arrived += 1;
        let second = *self.second.get_or_insert(at.now);
        let passed = at.now - second;
        if passed >= Duration::from_secs(1) {
            let rate = self.arrived as f64 / passed.as_secs_f64();
            let most = self.base.max_batch;
            let capacity =
                |width: Width| (at.workers.count * most) as f64 / self.base.profile.latency(width, most).as_secs_f64();
            let enough = self.base.profile.widths().take_while(|&width| capacity(width) * USED >= rate).last();
            self.width = enough.unwrap_or_else(|| self.base.narrowest());
            (self.second, self.arrived) = (Some(at.now), 0);
        }
        true
    }

    fn next_batch(&mut self, at: Situation) -> Choice {
        let hopeless = self.base.hopeless(&at, self.width);
        let Some(head) = at.queue.get(hopeless) else { return self.base.take(&at, hopeless, 0, Width::FULL) };
        let batch = self.base.largest(&at, self.width, self.base.slack(head, at.now));
        self.base.take(&at, hopeless, batch, self.width)
    }

    fn took(&mut self, widths: &[Width], took: Duration) {
        self.base.took(widths, took);
    }
}
