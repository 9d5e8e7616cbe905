//! MaxAcc, a baseline of SuperServe (NSDI 2025): the widest width at which one job fits its slack, then the largest batch.

use super::super::{Plan, Policy, Profile, QueueView};
use super::base::{Candidates, Hardening};

/// The policy.
#[derive(Debug, Clone)]
pub struct MaxAccuracy {
    max_batch: usize,
    hardening: Hardening,
}

impl MaxAccuracy {
    /// The policy for batches of up to `max_batch`.
    pub fn new(max_batch: usize, hardening: Hardening) -> MaxAccuracy {
        MaxAccuracy { max_batch, hardening }
    }
}

impl Policy for MaxAccuracy {
    fn next(&mut self, view: QueueView<'_>) -> Plan {
        match Candidates::find(view, self.hardening, self.max_batch, Profile::narrowest) {
            Ok(candidates) => {
                let slack = self.hardening.slack(candidates.first(), view);
                let width = candidates.widest(1, slack);
                let batch = candidates.largest(width, slack, self.max_batch);
                candidates.run(batch, width)
            }
            Err(plan) => plan,
        }
    }
}
