//! MaxBatch, a baseline of SuperServe (NSDI 2025): the largest batch that fits at the narrowest width, then the widest width for
//! that batch.

use super::super::{Plan, Policy, Profile, QueueView};
use super::base::{Base, Hardening};

/// The policy.
#[derive(Debug, Clone)]
pub struct MaxBatch(Base);

impl MaxBatch {
    /// The policy for batches of up to `max_batch`.
    pub fn new(max_batch: usize, hardening: Hardening) -> MaxBatch {
        MaxBatch(Base { max_batch, hardening })
    }
}

impl Policy for MaxBatch {
    fn next(&mut self, view: QueueView<'_>) -> Plan {
        self.0.plan(view, Profile::narrowest, |jobs| {
            let batch = jobs.largest(jobs.profile().narrowest());
            (batch, jobs.widest(batch))
        })
    }
}
