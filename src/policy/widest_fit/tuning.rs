//! The knobs of widest fit, with their units.
//!
//! `docs/policy.md` shows what half and twice of each default costs in the simulator.

use super::super::Profile;

/// A share; 1 is all of it.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Ratio(pub f64);

/// A multiple of the mean budget of recent requests.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Budgets(pub f64);

/// The knobs. Each states what a larger value buys and what it costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuning {
    /// Share of each slack that plans leave unused. Larger: fewer deadline misses when batches run longer than predicted.
    /// Smaller: wider answers.
    pub margin: Ratio,
    /// The margin until `initial_batches` have corrected the start-up profile, which can be wrong by 1.3 times.
    pub initial_margin: Ratio,
    /// Batches after which `margin` replaces `initial_margin`.
    pub initial_batches: u64,
    /// Smallest share of a new job's slack that must remain in the plan at the narrowest widths. Larger: fewer misses among
    /// accepted jobs. Smaller: fewer refusals.
    pub min_reserve: Ratio,
    /// Largest such share. It bounds what the server refuses on a machine that stalls all the time.
    pub max_reserve: Ratio,
    /// Share of accepted jobs that may miss their deadlines under overload; the reserve settles there.
    pub miss_target: Ratio,
    /// What one miss adds to the reserve. Larger: reacts faster, swings more.
    pub reserve_step: Ratio,
    /// Share of the short budgets for which one job may block a worker. Larger: wider answers for long budgets. Smaller: the
    /// short budgets wait less.
    pub max_block: Ratio,
    /// Share of the short budgets that a batch of several jobs may take. Larger: a few percent more throughput. Smaller: less
    /// waiting behind a batch, and fewer jobs late when a batch is held up.
    pub max_batch_time: Ratio,
    /// How far ahead arrivals are expected at the current rate. Larger: narrows earlier in a burst.
    pub lookahead: Budgets,
    /// Backlog and expected arrivals must end within this, or the ceiling drops. Smaller: narrows earlier.
    pub narrow_within: Budgets,
    /// Backlog and expected arrivals must end within this for the ceiling to rise. It is below `narrow_within`: with one bound
    /// for both directions the width oscillates and gains no accuracy.
    pub widen_within: Budgets,
    /// How long a much wider ceiling must have been feasible before the ceiling rises to it. Smaller: full width returns sooner
    /// after a burst.
    pub hold: Budgets,
    /// How much wider, as a share of full width, counts as much wider.
    pub leap: Ratio,
    /// How long any other wider ceiling must have been feasible. Larger: the width is steadier under a steady load.
    pub patience: Budgets,
}

/// The unit of shares in plans: whole 1024ths, whose products are exact and fast.
pub(super) const WHOLE: u64 = 1024;

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            margin: Ratio(0.2),
            initial_margin: Ratio(0.25),
            initial_batches: 200,
            min_reserve: Ratio(0.2),
            max_reserve: Ratio(0.6),
            miss_target: Ratio(0.003),
            reserve_step: Ratio(0.005),
            max_block: Ratio(0.5),
            max_batch_time: Ratio(0.05),
            lookahead: Budgets(2.0),
            narrow_within: Budgets(3.0),
            widen_within: Budgets(2.0),
            hold: Budgets(0.25),
            leap: Ratio(0.1),
            patience: Budgets(3.0),
        }
    }
}

impl Tuning {
    /// The margin for this profile, in 1024ths.
    pub(super) fn margin_of(&self, profile: &Profile) -> u64 {
        let margin = if profile.batches() < self.initial_batches { self.initial_margin } else { self.margin };
        margin.in_whole()
    }
}

impl Ratio {
    /// In 1024ths.
    pub(super) fn in_whole(self) -> u64 {
        (self.0 * WHOLE as f64) as u64
    }
}
