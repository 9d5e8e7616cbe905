//! Sums and their rounding.

use anywidth::engine::Width;

use crate::results::{Spread, WIDTH_RANGES};

/// A sum with its number of terms.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    pub(super) count: u64,
    pub(super) total: f64,
}

/// Widths of answers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Widths {
    sum: Sum,
    /// Answers by width, as in [`Spread`].
    by_range: [u64; WIDTH_RANGES],
}

/// Rounding unit of shares in results: six decimal places.
const SHARE_PLACES: f64 = 1e6;

impl Sum {
    pub(super) fn add(&mut self, number: f64) {
        *self = Sum { count: self.count + 1, total: self.total + number };
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| round(self.total / self.count as f64))
    }
}

impl Widths {
    pub(super) fn add(&mut self, width: Width) {
        self.sum.add(width.as_f64());
        self.by_range[width.range(WIDTH_RANGES)] += 1;
    }

    pub(super) fn mean(&self) -> Option<f64> {
        self.sum.mean()
    }

    pub(super) fn spread(&self) -> Option<Spread> {
        let share = |count: u64| round(count as f64 / self.sum.count as f64);
        Some(Spread { mean: self.mean()?, shares: self.by_range.map(share) })
    }
}

pub(super) fn round(share: f64) -> f64 {
    (share * SHARE_PLACES).round() / SHARE_PLACES
}
