//! The arrival estimator: rate, budgets and decoding times of recent requests.
//!
//! It remembers the last 1024 arrivals of at most a minute. The rate is their number within a window over its length; the
//! mean budget is the unit of the width controller's horizons; the short budget is the fifth percentile.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Recent arrivals and running sums over them.
#[derive(Debug, Clone, Default)]
pub(super) struct ArrivalEstimator {
    /// Oldest first.
    latest: VecDeque<Arrival>,
    budgets: Duration,
    decoding: Duration,
    short: Option<Duration>,
    since_short: usize,
}

#[derive(Debug, Clone, Copy)]
struct Arrival {
    at: Instant,
    budget: Duration,
    decoding: Duration,
}

/// The most arrivals that are remembered.
const REMEMBERED: usize = 1024;
/// Older arrivals are forgotten.
const MAX_AGE: Duration = Duration::from_secs(60);
/// Changes after which the short budget is computed again.
const SHORT_EVERY: usize = 32;
/// The percentile that the short budget is.
const SHORT_SHARE: f64 = 0.05;
/// Fewer arrivals than this have no short budget: one of them alone would be it.
const SHORT_LEAST: usize = 20;

impl ArrivalEstimator {
    /// A job was accepted; `decoding` is the estimated time to decode it.
    pub(super) fn arrived(&mut self, at: Instant, budget: Duration, decoding: Duration) {
        let old = |arrival: &Arrival| at.saturating_duration_since(arrival.at) > MAX_AGE;
        while self.latest.len() == REMEMBERED || self.latest.front().is_some_and(old) {
            if let Some(arrival) = self.latest.pop_front() {
                self.budgets -= arrival.budget;
                self.decoding -= arrival.decoding;
            }
            self.since_short += 1;
        }
        self.latest.push_back(Arrival { at, budget, decoding });
        self.budgets += budget;
        self.decoding += decoding;
        self.since_short += 1;
        if self.since_short >= SHORT_EVERY || self.latest.len() < SHORT_EVERY {
            self.since_short = 0;
            self.short = self.find_short();
        }
    }

    /// The mean budget; `None` before the first arrival.
    pub(super) fn mean_budget(&self) -> Option<Duration> {
        (!self.latest.is_empty()).then(|| self.budgets / self.latest.len() as u32)
    }

    /// The mean decoding time.
    pub(super) fn mean_decoding(&self) -> Duration {
        self.decoding / (self.latest.len() as u32).max(1)
    }

    /// The fifth percentile of the budgets; `None` while there are few.
    pub(super) fn short_budget(&self) -> Option<Duration> {
        self.short
    }

    /// The time in which the latest `count` jobs arrived, at most those remembered; `None` if there were fewer.
    pub(super) fn time_of(&self, count: usize, now: Instant) -> Option<Duration> {
        let first = self.latest.len().checked_sub(count.min(REMEMBERED))?;
        self.latest.get(first).map(|arrival| now.saturating_duration_since(arrival.at))
    }

    /// Arrivals per second within the last `window`.
    pub(super) fn rate(&self, now: Instant, window: Duration) -> f64 {
        let first = self.latest.partition_point(|arrival| now.saturating_duration_since(arrival.at) > window);
        let count = self.latest.len() - first;
        // The memory may be shorter than the window.
        let seen = match self.latest.front() {
            Some(oldest) if first == 0 && count == REMEMBERED => now.saturating_duration_since(oldest.at).min(window),
            _ => window,
        };
        if seen.is_zero() { 0.0 } else { count as f64 / seen.as_secs_f64() }
    }

    fn find_short(&self) -> Option<Duration> {
        let mut budgets: Vec<Duration> = self.latest.iter().map(|arrival| arrival.budget).collect();
        let rank = (budgets.len() as f64 * SHORT_SHARE) as usize;
        (budgets.len() >= SHORT_LEAST).then(|| *budgets.select_nth_unstable(rank).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_window() {
        let (start, mut arrivals) = (Instant::now(), ArrivalEstimator::default());
        let at = |ms: u64| start + Duration::from_millis(ms);
        assert_eq!(arrivals.rate(at(0), Duration::from_millis(100)), 0.0);
        for ms in 0..500 {
            arrivals.arrived(at(ms), Duration::from_millis(50), Duration::ZERO);
        }
        for ms in 500..600 {
            arrivals.arrived(at(ms), Duration::from_millis(50), Duration::ZERO);
            arrivals.arrived(at(ms), Duration::from_millis(50), Duration::ZERO);
        }
        assert!((arrivals.rate(at(600), Duration::from_millis(100)) - 2000.0).abs() < 30.0);
        assert!((arrivals.rate(at(600), Duration::from_millis(200)) - 1500.0).abs() < 30.0);
        assert_eq!(arrivals.rate(at(800), Duration::from_millis(100)), 0.0);
    }

    #[test]
    fn a_window_longer_than_the_memory_has_the_rate_of_what_is_remembered() {
        let (start, mut arrivals) = (Instant::now(), ArrivalEstimator::default());
        for us in 0..20_000 {
            arrivals.arrived(start + Duration::from_micros(us * 10), Duration::from_secs(60), Duration::ZERO);
        }
        let rate = arrivals.rate(start + Duration::from_micros(200_000), Duration::from_secs(120));
        assert!((rate - 1e5).abs() < 1e3, "{rate}");
    }

    #[test]
    fn the_latest_arrivals_took_their_time() {
        let (start, mut arrivals) = (Instant::now(), ArrivalEstimator::default());
        let at = |ms: u64| start + Duration::from_millis(ms);
        for ms in 0..100 {
            arrivals.arrived(at(ms), Duration::from_millis(50), Duration::ZERO);
        }
        let time_of = |count: usize| arrivals.time_of(count, at(109));
        assert_eq!(time_of(1), Some(Duration::from_millis(10)));
        assert_eq!(time_of(50), Some(Duration::from_millis(59)));
        assert_eq!((time_of(100), time_of(101)), (Some(Duration::from_millis(109)), None));
        assert_eq!(ArrivalEstimator::default().time_of(1, at(0)), None);
    }

    #[test]
    fn budgets_in_use_have_a_mean_and_a_short_end() {
        let (start, mut arrivals) = (Instant::now(), ArrivalEstimator::default());
        assert_eq!((arrivals.mean_budget(), arrivals.short_budget()), (None, None));
        assert_eq!(arrivals.mean_decoding(), Duration::ZERO);
        for index in 0..2000 {
            arrivals.arrived(start, Duration::from_millis(if index % 10 == 0 { 10 } else { 100 }), Duration::ZERO);
        }
        assert!(arrivals.mean_budget().unwrap().abs_diff(Duration::from_millis(91)) < Duration::from_millis(1));
        assert_eq!(arrivals.short_budget(), Some(Duration::from_millis(10)));
        for _ in 0..2000 {
            arrivals.arrived(start, Duration::from_millis(100), Duration::ZERO);
        }
        assert_eq!(arrivals.short_budget(), Some(Duration::from_millis(100)));
        // Old arrivals are forgotten.
        arrivals.arrived(start + Duration::from_secs(61), Duration::from_millis(500), Duration::ZERO);
        assert_eq!(arrivals.short_budget(), None);
        assert_eq!(arrivals.mean_budget(), Some(Duration::from_millis(500)));
    }
}
