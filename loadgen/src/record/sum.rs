//! Sums and their rounding.

use crate::results::Spread;

/// A sum with its number of terms.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    pub(super) count: u64,
    pub(super) total: f64,
    range: Option<(f64, f64)>,
}

/// Rounding unit of shares in results: six decimal places.
const SHARE_PLACES: f64 = 1e6;

impl Sum {
    pub(super) fn add(&mut self, number: f64) {
        let (min, max) = self.range.unwrap_or((number, number));
        *self =
            Sum { count: self.count + 1, total: self.total + number, range: Some((min.min(number), max.max(number))) };
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| round(self.total / self.count as f64))
    }

    pub(super) fn spread(&self) -> Option<Spread> {
        let ((min, max), mean) = (self.range?, self.mean()?);
        Some(Spread { mean, min, max })
    }
}

pub(super) fn round(share: f64) -> f64 {
    (share * SHARE_PLACES).round() / SHARE_PLACES
}
