//! A distribution of times, in bounded memory.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::results::Percentiles;

/// A histogram of times from a microsecond to [`LONGEST`]; longer times are clamped.
#[derive(Debug)]
pub(super) struct Times(Histogram<u32>);

/// Longer than any timeout.
const LONGEST: Duration = Duration::from_secs(1000);

impl Times {
    /// With three significant digits.
    pub(super) fn fine() -> Times {
        Times::with_digits(3)
    }

    /// With two significant digits, for each of many intervals.
    pub(super) fn coarse() -> Times {
        Times::with_digits(2)
    }

    fn with_digits(digits: u8) -> Times {
        let histogram = Histogram::new_with_bounds(1, LONGEST.as_micros() as u64, digits);
        Times(histogram.expect("the bounds are twice apart, and there are at most five digits"))
    }

    pub(super) fn add(&mut self, time: Duration) {
        self.0.saturating_record(time.as_micros() as u64);
    }

    /// Percentiles in milliseconds; `None` if empty.
    pub(super) fn percentiles(&self) -> Option<Percentiles> {
        let milliseconds = |microseconds: f64| microseconds.round() / 1e3;
        // The histogram rounds up within its last digit, possibly past the longest time.
        let at = |quantile| milliseconds(self.0.value_at_quantile(quantile).min(self.0.max()) as f64);
        (!self.0.is_empty()).then(|| Percentiles {
            mean: milliseconds(self.0.mean()),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: at(1.0),
        })
    }
}
