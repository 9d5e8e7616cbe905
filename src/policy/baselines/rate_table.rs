//! The rate table of Model-Switching (HotCloud 2020): each second, the widest width whose capacity exceeds the arrival rate of
//! the last second.

use std::time::{Duration, Instant};

use super::super::{JobConstraints, Overload, Plan, Policy, QueueView};
use super::base::{Base, Hardening};
use crate::engine::Width;

/// The policy, with a margin of a tenth of each slack.
#[derive(Debug, Clone)]
pub struct RateTable {
    base: Base,
    /// Start of the current second, and the arrivals since.
    second: Option<Instant>,
    arrivals: usize,
    width: Width,
}

/// The share of a width's capacity that is used.
const UTILIZATION: f64 = 0.9;

impl RateTable {
    /// The policy for batches of up to `max_batch`.
    pub fn new(max_batch: usize) -> RateTable {
        RateTable {
            base: Base { max_batch, hardening: Hardening::Margin(0.1) },
            second: None,
            arrivals: 0,
            width: Width::FULL,
        }
    }
}

impl Policy for RateTable {
    fn admit(&mut self, jobs: &[JobConstraints], view: QueueView<'_>) -> Result<(), Overload> {
        self.arrivals += jobs.len();
        let elapsed = view.now.saturating_duration_since(*self.second.get_or_insert(view.now));
        let Some(model) = jobs.first().map(|job| job.model).filter(|_| elapsed >= Duration::from_secs(1)) else {
            return Ok(());
        };
        let (profile, rate) = (&view.profiles[model], self.arrivals as f64 / elapsed.as_secs_f64());
        let batches =
            |width: Width| view.workers.count as f64 / profile.latency(width, self.base.max_batch).as_secs_f64();
        let enough = |&width: &Width| batches(width) * self.base.max_batch as f64 * UTILIZATION >= rate;
        self.width = profile.widths().take_while(enough).last().unwrap_or_else(|| profile.narrowest());
        (self.second, self.arrivals) = (Some(view.now), 0);
        Ok(())
    }

    fn next(&mut self, view: QueueView<'_>) -> Plan {
        let width = self.width;
        self.base.plan(view, |profile| width.max(profile.narrowest()), |jobs| (jobs.largest(width), width))
    }
}
