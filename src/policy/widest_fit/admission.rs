//! Admission control: accepts a job only if enough of its slack is left, and learns how much is enough.
//!
//! # The rule
//! A job is accepted if the plan at the narrowest widths ends it within `(1 - max(margin, reserve)) * slack`. The reserve
//! makes up for what no plan foresees, above all other programs that take the processor. It is an integral controller on the
//! share of accepted jobs that miss their deadlines:
//!
//! `reserve += reserve_step * (missed - miss_target * on_time)`, kept within `[min_reserve, max_reserve]`,
//!
//! so that under a lasting overload misses settle at `miss_target`. Without an overload, misses come from a stall that a
//! reserve cannot undo, and a raised reserve would refuse what can be answered. So when jobs run above their narrowest widths
//! or the server is idle, the reserve falls back to `min_reserve`, unless a job was refused within the last mean budget.

use std::time::{Duration, Instant};

use super::super::{JobConstraints, Overload, QueueView};
use super::backlog::Backlog;
use super::forecast::WorkerPool;
use super::tuning::{Ratio, Tuning};

/// The reserve, and the refusals that keep it raised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct AdmissionController {
    reserve: f64,
    last_refusal: Option<Instant>,
}

impl AdmissionController {
    pub(super) fn new(tuning: &Tuning) -> AdmissionController {
        AdmissionController { reserve: tuning.min_reserve.0, last_refusal: None }
    }

    /// The share of its slack that a job must have left to be accepted.
    pub(super) fn reserve(self) -> f64 {
        self.reserve
    }

    /// Accepts all jobs of a request or none. `backlog` holds the queue of `view`; its contents are used up.
    pub(super) fn admit(
        &mut self,
        jobs: &[JobConstraints],
        view: QueueView<'_>,
        backlog: &mut Backlog,
        pool: &WorkerPool,
        tuning: &Tuning,
    ) -> Result<(), Overload> {
        let reserve = Ratio(self.reserve).in_whole();
        let margin = |model: usize| tuning.margin_of(&view.profiles[model]).max(reserve);
        backlog.admit(jobs, view, margin, pool).map_err(|wait| {
            self.last_refusal = Some(view.now);
            Overload { wait }
        })
    }

    /// Learns from accepted jobs that are finished.
    pub(super) fn learn(&mut self, on_time: usize, missed: usize, tuning: &Tuning) {
        let error = missed as f64 - tuning.miss_target.0 * on_time as f64;
        let least = tuning.min_reserve.0;
        self.reserve = (self.reserve + tuning.reserve_step.0 * error).clamp(least, tuning.max_reserve.0.max(least));
    }

    pub(super) fn is_raised(self, tuning: &Tuning) -> bool {
        self.reserve > tuning.min_reserve.0
    }

    /// There is no overload now: lowers the reserve unless a job was refused within `quiet`.
    pub(super) fn reset(&mut self, now: Instant, quiet: Duration, tuning: &Tuning) {
        if self.last_refusal.is_none_or(|refusal| now.saturating_duration_since(refusal) >= quiet) {
            self.reserve = tuning.min_reserve.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn misses_settle_at_the_target() {
        let tuning = Tuning::default();
        let mut admission = AdmissionController::new(&tuning);
        let (mut missed, mut all) = (0, 0);
        // Deadlines are met once a third of the slack is left.
        for _ in 0..100_000 {
            let miss = usize::from(admission.reserve() < 1.0 / 3.0);
            admission.learn(1 - miss, miss, &tuning);
            (missed, all) = (missed + miss, all + 1);
        }
        assert!((admission.reserve() - 1.0 / 3.0).abs() < 0.02, "{admission:?}");
        assert!((missed as f64) < 1.1 * tuning.miss_target.0 * all as f64, "{missed} of {all}");
    }

    proptest! {
        #[test]
        fn the_reserve_stays_within_its_bounds(outcomes in prop::collection::vec((0usize..40, 0usize..40), 0..200)) {
            let tuning = Tuning::default();
            let mut admission = AdmissionController::new(&tuning);
            for (on_time, missed) in outcomes {
                admission.learn(on_time, missed, &tuning);
                prop_assert!((tuning.min_reserve.0..=tuning.max_reserve.0).contains(&admission.reserve()));
            }
        }
    }
}
