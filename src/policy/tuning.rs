//! The numbers of the width rule.

use super::Profile;

/// The unit of shares that are whole numbers: their products are exact, and fast.
pub(super) const WHOLE: u64 = 1024;

/// The numbers of the rule. The defaults are what simulation found best: docs/benchmarks/simulation.md.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuning {
    /// Share of each slack that plans leave alone.
    pub margin: f64,
    /// The same, until `trial` batches have corrected the profile.
    pub early_margin: f64,
    /// Batches until the profile is trusted.
    pub trial: u64,
    /// Share of the slack of a job that asks for admission that must be left, at the narrowest width: hold-ups are made
    /// good from it. This is the least of it.
    pub reserve: f64,
    /// The most of it, however many promises are broken.
    pub most_reserve: f64,
    /// The share of promises that may be broken before it grows.
    pub broken: f64,
    /// By how much each that is broken makes it grow.
    pub caution: f64,
    /// Share of the short budgets for which one job may block a worker.
    pub blocking: f64,
    /// Share of the short budgets that a batch of several may take.
    pub batch: f64,
    /// For how many mean budgets arrivals are expected.
    pub ahead: f64,
    /// In how many mean budgets they and the backlog must end, or the ceiling falls.
    pub within: f64,
    /// The same for the ceiling to rise.
    pub sustained: f64,
    /// For how many mean budgets a much wider ceiling must have been good.
    pub hold: f64,
    /// How much wider that is than what could be kept up over `patience`.
    pub leap: f64,
    /// For how many mean budgets any wider ceiling must have been good.
    pub patience: f64,
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            margin: 0.15,
            early_margin: 0.25,
            trial: 200,
            reserve: 0.2,
            most_reserve: 0.6,
            broken: 0.003,
            caution: 0.005,
            blocking: 0.5,
            batch: 0.05,
            ahead: 2.0,
            within: 3.0,
            sustained: 2.0,
            hold: 0.25,
            leap: 0.1,
            patience: 3.0,
        }
    }
}

impl Tuning {
    /// In 1024ths.
    pub(super) fn margin_of(&self, profile: &Profile) -> u64 {
        let margin = if profile.batches() < self.trial { self.early_margin } else { self.margin };
        (margin * WHOLE as f64) as u64
    }
}
