//! SlackFit (SuperServe, NSDI 2025).
//!
//! Evenly spaced latency buckets, in each the pair of width and batch with the largest batch whose latency is below the
//! bucket's bound. The bucket that comes closest below the slack of the earliest deadline decides.

use std::time::Duration;

use super::super::{Plan, Policy, Profile, QueueView};
use super::base::{Base, Hardening};
use crate::engine::Width;

/// The policy.
#[derive(Debug, Clone)]
pub struct SlackFit {
    base: Base,
    /// The buckets of each model, made from its profile when it is first seen.
    buckets: Vec<Option<Vec<Bucket>>>,
}

/// A pair of width and batch with its latency.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    latency: Duration,
    width: Width,
    batch: usize,
}

const BUCKETS: u32 = 64;

impl SlackFit {
    /// The policy for batches of up to `max_batch`.
    pub fn new(max_batch: usize, hardening: Hardening) -> SlackFit {
        SlackFit { base: Base { max_batch, hardening }, buckets: Vec::new() }
    }

    fn buckets(&mut self, model: usize, profile: &Profile) -> &[Bucket] {
        if self.buckets.len() <= model {
            self.buckets.resize(model + 1, None);
        }
        let max_batch = self.base.max_batch;
        self.buckets[model].get_or_insert_with(|| buckets(profile, max_batch))
    }
}

impl Policy for SlackFit {
    fn next(&mut self, view: QueueView<'_>) -> Plan {
        let base = self.base;
        base.plan(view, Profile::narrowest, |jobs| {
            let profile = jobs.profile();
            // The buckets keep the latencies of start-up.
            let slack = jobs.slack().div_f64(profile.correction());
            let below = self.buckets(jobs.first().model, profile).iter().rev().find(|bucket| bucket.latency <= slack);
            below.map_or((1, profile.narrowest()), |bucket| (bucket.batch, bucket.width))
        })
    }
}

/// By ascending latency, as of start-up.
fn buckets(profile: &Profile, max_batch: usize) -> Vec<Bucket> {
    let narrowest = profile.narrowest();
    let latency = |width, batch| profile.latency(width, batch).div_f64(profile.correction());
    let (least, most) = (latency(narrowest, 1), latency(Width::FULL, max_batch));
    let best = |bucket: u32| {
        let bound = least + (most - least) * bucket / BUCKETS;
        let batch = (1..=max_batch).rev().find(|&batch| latency(narrowest, batch) <= bound)?;
        let width = profile.widths().take_while(|&width| latency(width, batch) <= bound).last()?;
        Some(Bucket { latency: latency(width, batch), width, batch })
    };
    (0..=BUCKETS).filter_map(best).collect()
}
