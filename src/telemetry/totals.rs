//! Typed totals since the server's start. Everything other than the Prometheus text, such as `/events`, derives from them.
//!
//! The methods of [`Metrics`](super::Metrics) record them together with the metrics. They have no labels.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::metrics::DURATIONS_SECONDS;
use crate::engine::Width;

/// Number of latency buckets: one per bound, and one unbounded.
const BUCKETS: usize = DURATIONS_SECONDS.len() + 1;
/// Number of equal ranges of widths that images are counted in.
pub const WIDTH_BINS: usize = 8;

/// The totals at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Requests answered with 200.
    pub answered: u64,
    /// Valid requests that were refused.
    pub refused: u64,
    /// Accepted images that missed their deadlines.
    pub missed: u64,
    /// Images that ran.
    pub images: u64,
    /// Sum of the images' widths in millionths, each the grid step at or above the width that ran.
    pub width_millionths: u64,
    /// Images by width: those up to an eighth, up to two eighths, and so on.
    pub by_width: [u64; WIDTH_BINS],
    /// Latencies of the answered requests.
    pub latencies: Latencies,
}

/// A histogram of request latencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latencies([u64; BUCKETS]);

/// The running counters.
#[derive(Debug, Default)]
pub(super) struct Counters {
    answered: AtomicU64,
    refused: AtomicU64,
    missed: AtomicU64,
    images: AtomicU64,
    width_millionths: AtomicU64,
    by_width: [AtomicU64; WIDTH_BINS],
    latencies: [AtomicU64; BUCKETS],
}

impl Totals {
    /// The mean width of the images; `None` without images.
    pub fn mean_width(&self) -> Option<f64> {
        (self.images > 0).then(|| self.width_millionths as f64 / 1e6 / self.images as f64)
    }

    /// The share of images in each eighth of the widths, ascending; `None` without images.
    pub fn width_shares(&self) -> Option<[f64; WIDTH_BINS]> {
        (self.images > 0).then(|| self.by_width.map(|count| count as f64 / self.images as f64))
    }

    /// The difference from `before`.
    #[must_use]
    pub fn since(&self, before: &Totals) -> Totals {
        let mut latencies = self.latencies;
        latencies.0.iter_mut().zip(before.latencies.0).for_each(|(count, earlier)| *count -= earlier.min(*count));
        let by_width = std::array::from_fn(|bin| self.by_width[bin].saturating_sub(before.by_width[bin]));
        Totals {
            answered: self.answered.saturating_sub(before.answered),
            refused: self.refused.saturating_sub(before.refused),
            missed: self.missed.saturating_sub(before.missed),
            images: self.images.saturating_sub(before.images),
            width_millionths: self.width_millionths.saturating_sub(before.width_millionths),
            by_width,
            latencies,
        }
    }
}

impl Latencies {
    /// The quantile at `share`, interpolated linearly within its bucket. Returns the last bound for the unbounded bucket and `None`
    /// without requests.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let all: u64 = self.0.iter().sum();
        let (rank, mut below, mut lower) = (share * all as f64, 0, 0.0);
        for (index, &count) in self.0.iter().enumerate() {
            let bound = DURATIONS_SECONDS.get(index).copied();
            if count > 0 && (below + count) as f64 >= rank {
                let part = (rank - below as f64) / count as f64;
                return Some(Duration::from_secs_f64(bound.map_or(lower, |bound| lower + (bound - lower) * part)));
            }
            (lower, below) = (bound.unwrap_or(lower), below + count);
        }
        None
    }
}

impl Counters {
    pub(super) fn answered(&self, time: Duration) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        let bucket = DURATIONS_SECONDS.partition_point(|&bound| bound < time.as_secs_f64());
        self.latencies[bucket].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn missed(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ran(&self, step: Width) {
        self.images.fetch_add(1, Ordering::Relaxed);
        self.width_millionths.fetch_add(u64::from(step.millionths()), Ordering::Relaxed);
        self.by_width[step.range(WIDTH_BINS)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn totals(&self) -> Totals {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            answered: get(&self.answered),
            refused: get(&self.refused),
            missed: get(&self.missed),
            images: get(&self.images),
            width_millionths: get(&self.width_millionths),
            by_width: self.by_width.each_ref().map(get),
            latencies: Latencies(self.latencies.each_ref().map(get)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies(times_ms: &[u64]) -> Latencies {
        let counters = Counters::default();
        times_ms.iter().for_each(|&ms| counters.answered(Duration::from_millis(ms)));
        counters.totals().latencies
    }

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        assert_eq!(latencies(&[]).quantile(0.5), None);
        let mut times = vec![15; 99];
        times.push(60);
        let quantile = |share| latencies(&times).quantile(share).unwrap().as_secs_f64();
        assert!((0.010..=0.020).contains(&quantile(0.5)) && (quantile(0.99) - 0.020).abs() < 1e-9);
        assert!((0.050..=0.100).contains(&quantile(1.0)));
    }

    #[test]
    fn a_time_beyond_every_bucket_counts_as_the_last_bound() {
        assert_eq!(latencies(&[60_000]).quantile(0.5), Some(Duration::from_secs(10)));
    }
}
