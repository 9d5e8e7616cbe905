//! Computes `Retry-After`, randomised so that refused callers do not retry at the same time.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A server's random numbers: SplitMix64 with a random seed.
#[derive(Debug)]
pub(in crate::server) struct Chances(AtomicU64);

/// Minimum interval over which retries are spread, however short the backlog is.
const LEAST_SPREAD: Duration = Duration::from_millis(100);
/// The increment of SplitMix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Chances {
    pub(in crate::server) fn new() -> Chances {
        Chances(AtomicU64::new(RandomState::new().hash_one(STEP)))
    }

    /// The next random number in 0..1.
    pub(in crate::server) fn next(&self) -> f64 {
        let mut bits = self.0.fetch_add(STEP, Ordering::Relaxed);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        (bits >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The time after which to retry: `wait`, plus `chance` (0..=1) times the spread, which is `wait` or at least [`LEAST_SPREAD`].
/// Whole milliseconds, at least one.
pub(in crate::server) fn retry_after(wait: Duration, chance: f64) -> Duration {
    let time = wait + wait.max(LEAST_SPREAD).mul_f64(chance);
    Duration::from_millis(time.as_nanos().div_ceil(1_000_000).max(1) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_start_after_the_backlog_and_are_spread() {
        for wait in [0, 1, 30, 700, 40_000].map(Duration::from_millis) {
            let spread = wait.max(LEAST_SPREAD);
            assert_eq!(retry_after(wait, 0.0), wait.max(Duration::from_millis(1)));
            assert_eq!(retry_after(wait, 0.5), wait + spread / 2);
            assert_eq!(retry_after(wait, 1.0), wait + spread);
        }
        assert_eq!(retry_after(Duration::from_micros(1500), 0.0), Duration::from_millis(2));
    }

    #[test]
    fn chances_are_even_and_those_of_two_servers_differ() {
        let (one, other) = (Chances::new(), Chances::new());
        let mut tenths = [0; 10];
        for _ in 0..10_000 {
            let chance = one.next();
            assert!((0.0..1.0).contains(&chance) && chance != other.next());
            tenths[(chance * 10.0) as usize] += 1;
        }
        // The standard deviation is 30.
        assert!(tenths.iter().all(|count| (800..1200).contains(count)), "{tenths:?}");
    }
}
