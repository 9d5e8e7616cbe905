//! MaxAcc, a baseline of SuperServe (NSDI 2025): the widest width at which one job fits its slack, then the largest batch.

use super::super::{Plan, Policy, Profile, QueueView};
use super::base::{Base, Hardening};

/// The policy.
#[derive(Debug, Clone)]
pub struct MaxAccuracy(Base);

impl MaxAccuracy {
    /// The policy for batches of up to `max_batch`.
    pub fn new(max_batch: usize, hardening: Hardening) -> MaxAccuracy {
        MaxAccuracy(Base { max_batch, hardening })
    }
}

impl Policy for MaxAccuracy {
    fn next(&mut self, view: QueueView<'_>) -> Plan {
        self.0.plan(view, Profile::narrowest, |jobs| {
            let width = jobs.widest(1);
            (jobs.largest(width), width)
        })
    }
}
