//! The width ceiling over time: drops at once, rises with hysteresis.
//!
//! # The rule
//! Let `feasible(h)` be the widest step at which the backlog meets its deadlines and, with the arrivals expected, ends
//! within `h` mean budgets. At each decision:
//!
//! - `needed = min(ceiling, feasible(narrow_within))`: the ceiling drops to it at once.
//! - `sustainable = feasible(widen_within)` if nothing forces the ceiling down, else `needed`.
//! - `recent` and `lasting` are the minima of `sustainable` over the last `hold` and the last `patience` mean budgets.
//! - `ceiling = max(needed, recent)` if `recent >= lasting + leap`, else `max(needed, lasting)`.
//!
//! So after a burst, full width returns within `hold`; under a steady load the width changes at most every `patience`.
//! Feasibility is monotone in the width, so a search by doubling strides and halving needs a few looks.

use std::time::{Duration, Instant};

use super::super::{CeilingReason, Profile};
use super::sliding_minimum::SlidingMinimum;
use super::tuning::{Budgets, Tuning};
use crate::engine::Width;

/// The ceiling and the feasible widths of the recent past.
#[derive(Debug, Clone)]
pub(super) struct WidthController {
    ceiling: Width,
    /// Minima of `sustainable`.
    recent: SlidingMinimum,
    lasting: SlidingMinimum,
}

/// What the ceiling is to satisfy at one decision.
pub(super) trait Feasibility {
    /// Whether backlog and expected arrivals are feasible with the ceiling at `step`, the latter within `horizon`; if not,
    /// which of them is not.
    fn check(&mut self, step: usize, horizon: Budgets) -> Result<(), CeilingReason>;
}

/// The bounds of one decision.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) now: Instant,
    /// Nanoseconds; the unit of [`Budgets`].
    pub(super) mean_budget: f64,
    /// The widest step that blocks no worker for too long.
    pub(super) widest: usize,
}

impl WidthController {
    /// Starts at full width.
    pub(super) fn new() -> WidthController {
        let [recent, lasting] = [SlidingMinimum::default(), SlidingMinimum::default()];
        WidthController { ceiling: Width::FULL, recent, lasting }
    }

    pub(super) fn ceiling(&self) -> Width {
        self.ceiling
    }

    /// Moves the ceiling along the steps of `profile`, and returns why it is not wider.
    pub(super) fn update(
        &mut self,
        profile: &Profile,
        bounds: Bounds,
        tuning: &Tuning,
        feasibility: &mut impl Feasibility,
    ) -> CeilingReason {
        let levels = profile.levels();
        let current = levels.within(self.ceiling).min(bounds.widest);
        let (needed, mut limit) = widest((0, current), current, tuning.narrow_within, feasibility);
        let mut sustainable = needed;
        if needed == current {
            (sustainable, limit) = widest((current, bounds.widest), current + 1, tuning.widen_within, feasibility);
        }
        let sustainable = levels.width(sustainable);
        let span = |budgets: Budgets| Duration::from_nanos((bounds.mean_budget * budgets.0) as u64);
        let recent = self.recent.push(bounds.now, span(tuning.hold), sustainable);
        let lasting = self.lasting.push(bounds.now, span(tuning.patience), sustainable);
        let leaps = recent.as_f64() >= lasting.as_f64() + tuning.leap.0;
        self.ceiling = levels.width(needed).max(if leaps { recent } else { lasting });

        let narrowest = self.ceiling == levels.width(0);
        match limit {
            _ if narrowest && feasibility.check(0, tuning.narrow_within) == Err(CeilingReason::Load) => {
                CeilingReason::Overload
            }
            Some(limit) if self.ceiling == sustainable => limit,
            _ if self.ceiling < sustainable => CeilingReason::Holding,
            _ if self.ceiling == Width::FULL => CeilingReason::Full,
            _ => CeilingReason::Budget,
        }
    }
}

/// The widest feasible step up to the second bound, and what makes the next one infeasible. The first bound is taken for
/// feasible. The search starts at `guess`.
fn widest(
    (least, most): (usize, usize),
    guess: usize,
    horizon: Budgets,
    feasibility: &mut impl Feasibility,
) -> (usize, Option<CeilingReason>) {
    let (mut good, mut bad, mut step, mut stride, mut limit) = (least, most + 1, guess, 1, None);
    while good + 1 < bad {
        match feasibility.check(step, horizon) {
            Ok(()) => {
                good = step;
                step = ((good + bad) / 2).min(good + stride);
            }
            Err(reason) => {
                (bad, limit) = (step, Some(reason));
                step = ((good + bad) / 2).max(bad.saturating_sub(stride));
            }
        }
        stride *= 2;
    }
    (good, limit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::testing::profile;

    /// Feasible up to a step, whatever the horizon.
    struct UpTo(usize);

    impl Feasibility for UpTo {
        fn check(&mut self, step: usize, _: Budgets) -> Result<(), CeilingReason> {
            if step <= self.0 { Ok(()) } else { Err(CeilingReason::Load) }
        }
    }

    fn bounds(now: Instant) -> Bounds {
        Bounds { now, mean_budget: 1e6, widest: 3 }
    }

    proptest! {
        #[test]
        fn the_search_finds_the_widest_feasible_step(last in 0usize..40, most in 0usize..40, guess in 0usize..40) {
            let (found, limit) = widest((0, most), guess.min(most), Budgets(1.0), &mut UpTo(last));
            prop_assert_eq!(found, last.min(most));
            prop_assert_eq!(limit.is_some(), last < most && most > 0);
        }

        #[test]
        fn the_ceiling_is_never_wider_than_what_is_feasible(steps in prop::collection::vec((0usize..4, 0u64..900), 1..60)) {
            let (profile, mut now) = (profile(), Instant::now());
            let mut controller = WidthController::new();
            for (last, gap) in steps {
                now += Duration::from_micros(gap);
                controller.update(&profile, bounds(now), &Tuning::default(), &mut UpTo(last));
                prop_assert!(controller.ceiling() <= profile.width(last));
            }
        }
    }

    #[test]
    fn a_leap_is_held_back_for_hold_and_a_small_rise_for_patience() {
        let (profile, start) = (profile(), Instant::now());
        let tuning = Tuning { leap: super::super::Ratio(0.5), ..Tuning::default() };
        // The step is 1 at first and then `to`; when does the ceiling follow?
        let rises_after = |to: usize| {
            let mut controller = WidthController::new();
            controller.update(&profile, bounds(start), &tuning, &mut UpTo(1));
            (1..9000).find(|&us| {
                controller.update(&profile, bounds(start + Duration::from_micros(us)), &tuning, &mut UpTo(to));
                controller.ceiling() == profile.width(to)
            })
        };
        // The mean budget is 1 ms, hold 0.25 and patience 3 of it; a span includes its end.
        assert_eq!((rises_after(3), rises_after(2)), (Some(251), Some(3001)));
    }
}
