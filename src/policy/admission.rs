//! Accept, or refuse with the time to wait.

use std::time::{Duration, Instant};

use thiserror::Error;

use super::{Demand, Profile, WidestFit, Workers};

/// A request that could be met on an idle server, but not now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("overloaded: even at the narrowest width this would be answered too late; retry in {} s", self.retry_after())]
pub struct Overload {
    /// The time until the backlog leaves room, if nothing else comes.
    pub wait: Duration,
}

impl Overload {
    /// The wait in whole seconds, as `Retry-After` has it: at least one.
    pub fn retry_after(&self) -> u64 {
        self.wait.as_nanos().div_ceil(1_000_000_000).max(1) as u64
    }
}

impl WidestFit {
    /// Accepts a job if it and all who are in the queue can be answered in time at the narrowest widths that they allow,
    /// and takes note of it as traffic. Jobs of lower priority do not stand in its way.
    ///
    /// `queue` is in the order of its deadlines; `profiles` are those of the models.
    ///
    /// # Errors
    /// [`Overload`] says how long to wait.
    pub fn admit<'a>(
        &mut self,
        demand: &Demand,
        queue: impl Iterator<Item = &'a Demand>,
        workers: Workers,
        now: Instant,
        profiles: &[Profile],
    ) -> Result<(), Overload> {
        let margin = self.tuning().reserve_of(&profiles[demand.model]);
        self.fill(queue, workers, now, profiles);
        let WidestFit { backlog, crew, traffic, .. } = self;
        backlog.fits(demand, now, profiles, margin, crew).map_err(|wait| Overload { wait })?;
        traffic.arrived(now, demand.budget(), demand.stage.takes());
        Ok(())
    }
}
