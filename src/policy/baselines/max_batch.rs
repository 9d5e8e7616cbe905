//! MaxBatch, a baseline of SuperServe (NSDI 2025): the largest batch that fits at the narrowest width, then the widest width for
//! that batch.

use super::super::{Plan, Policy, Profile, QueueView};
use super::base::{Candidates, Hardening};

/// The policy.
#[derive(Debug, Clone)]
pub struct MaxBatch {
    max_batch: usize,
    hardening: Hardening,
}

impl MaxBatch {
    /// The policy for batches of up to `max_batch`.
    pub fn new(max_batch: usize, hardening: Hardening) -> MaxBatch {
        MaxBatch { max_batch, hardening }
    }
}

impl Policy for MaxBatch {
    fn next(&mut self, view: QueueView<'_>) -> Plan {
        match Candidates::find(view, self.hardening, self.max_batch, Profile::narrowest) {
            Ok(candidates) => {
                let slack = self.hardening.slack(candidates.first(), view);
                let batch = candidates.largest(candidates.profile().narrowest(), slack, self.max_batch);
                let width = candidates.widest(batch, slack);
                candidates.run(batch, width)
            }
            Err(plan) => plan,
        }
    }
}
