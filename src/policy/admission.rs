//! Accept, or refuse with the time to wait.

use std::time::{Duration, Instant};

use thiserror::Error;

use super::tuning::WHOLE;
use super::{Demand, Profile, WidestFit, Workers};

/// A request that could be met on an idle server, but not now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("overloaded: too much waits to answer this in time, even at the narrowest width that it allows")]
pub struct Overload {
    /// The time until the backlog leaves room, if nothing else comes.
    pub wait: Duration,
}

impl WidestFit {
    /// Accepts a job if it and all who are in the queue can be answered in time at the narrowest widths that they allow; one
    /// with a target also while the queue has room. Jobs of lower priority do not stand in its way. Once it is in the queue, say so: [`WidestFit::arrived`].
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
        let margin = self.tuning.margin_of(&profiles[demand.model]).max((self.reserve.share() * WHOLE as f64) as u64);
        let mut ahead = 0;
        let queue = queue.inspect(|queued| ahead += usize::from(queued.deadline <= demand.deadline));
        self.fill(queue, workers, now, profiles);
        self.backlog.fits(demand, ahead, now, profiles, margin, &self.crew).map_err(|wait| {
            self.reserve.refused(now);
            Overload { wait }
        })
    }

    /// Takes note of a job that was accepted: what comes is expected to be like what came.
    pub fn arrived(&mut self, demand: &Demand, now: Instant) {
        self.traffic.arrived(now, demand.budget(), demand.stage.takes());
    }

    /// Jobs that were accepted came to their end: so many in time, so many late or given up. From these it learns how much
    /// time to keep in reserve when it accepts others.
    pub fn ended(&mut self, kept: usize, broken: usize) {
        self.reserve.learn(kept, broken, &self.tuning);
    }

    /// The share of its slack that a job must have left to be accepted.
    pub fn reserve(&self) -> f64 {
        self.reserve.share()
    }
}
