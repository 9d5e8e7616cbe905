//! How much time must be left when a job is accepted: as much as promises need to be kept.
//!
//! Plans trust measured times, but whatever else runs on the machine, the refusing of requests included, takes the processor
//! away at moments that nobody foresees. So the reserve learns from its failures: each promise that was broken raises it,
//! each that was kept lowers it a little, and while the overload lasts no more are broken than the tuning allows.
//!
//! It is for overload alone, when whoever is refused makes room for another. Where all who wait get more than their least,
//! or nobody waits, a hold-up of the machine has broken the promises, and a higher reserve would only refuse what can be
//! answered: so it is forgotten, unless somebody was refused just before. In an overload there are such moments too.

use std::time::{Duration, Instant};

use super::Tuning;

/// The share of a new job's slack that must be left in the plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reserve {
    share: f64,
    /// When a job was refused last.
    refused: Option<Instant>,
}

impl Reserve {
    pub(super) fn new(tuning: &Tuning) -> Reserve {
        Reserve { share: tuning.reserve, refused: None }
    }

    pub(super) fn share(self) -> f64 {
        self.share
    }

    /// Jobs that were accepted came to their end: so many in time, so many not.
    pub(super) fn learn(&mut self, kept: usize, broken: usize, tuning: &Tuning) {
        let raised = tuning.caution * broken as f64;
        let lowered = tuning.caution * tuning.broken * kept as f64;
        self.share = (self.share + raised - lowered).clamp(tuning.reserve, tuning.most_reserve.max(tuning.reserve));
    }

    /// Is it more than the least?
    pub(super) fn is_raised(self, tuning: &Tuning) -> bool {
        self.share > tuning.reserve
    }

    /// A job was refused.
    pub(super) fn refused(&mut self, now: Instant) {
        self.refused = Some(now);
    }

    /// At this moment there is no overload: nor was there if nobody was refused for so long.
    pub(super) fn forget(&mut self, now: Instant, quiet: Duration, tuning: &Tuning) {
        if self.refused.is_none_or(|refused| now.saturating_duration_since(refused) >= quiet) {
            self.share = tuning.reserve;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_rests_where_as_many_promises_are_broken_as_are_allowed() {
        let tuning = Tuning::default();
        let mut reserve = Reserve::new(&tuning);
        let (mut broken, mut all) = (0, 0);
        // Promises are kept once a third of the slack is left.
        for _ in 0..100_000 {
            let breaks = usize::from(reserve.share() < 1.0 / 3.0);
            reserve.learn(1 - breaks, breaks, &tuning);
            (broken, all) = (broken + breaks, all + 1);
        }
        assert!((reserve.share() - 1.0 / 3.0).abs() < 0.02, "{reserve:?}");
        assert!((broken as f64) < 1.1 * tuning.broken * all as f64, "{broken} of {all}");
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds(outcomes in prop::collection::vec((0usize..40, 0usize..40), 0..200)) {
            let tuning = Tuning::default();
            let mut reserve = Reserve::new(&tuning);
            for (kept, broken) in outcomes {
                reserve.learn(kept, broken, &tuning);
                prop_assert!((tuning.reserve..=tuning.most_reserve).contains(&reserve.share()));
            }
        }
    }
}
