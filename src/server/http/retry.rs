//! When callers who are refused come back: not all at once.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where a server gets its chances from: SplitMix64, begun at random.
#[derive(Debug)]
pub(in crate::server) struct Chances(AtomicU64);

/// However short the backlog is, those who are refused are spread over so much time: they would meet again otherwise.
const LEAST_SPREAD: Duration = Duration::from_millis(100);
/// The step of SplitMix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Chances {
    pub(in crate::server) fn new() -> Chances {
        Chances(AtomicU64::new(RandomState::new().hash_one(STEP)))
    }

    /// A number from 0 up to 1, another one each time.
    pub(super) fn next(&self) -> f64 {
        let mut bits = self.0.fetch_add(STEP, Ordering::Relaxed);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        (bits >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The time after which to try again: the backlog's, and as much again at most, as chance (from 0 to 1) has it. In whole
/// milliseconds, at least one.
pub(super) fn retry_after(wait: Duration, chance: f64) -> Duration {
    let time = wait + wait.max(LEAST_SPREAD).mul_f64(chance);
    Duration::from_millis(time.as_nanos().div_ceil(1_000_000).max(1) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_comes_back_before_the_backlog_is_gone_and_all_are_spread() {
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
        // A standard deviation is 30.
        assert!(tenths.iter().all(|count| (800..1200).contains(count)), "{tenths:?}");
    }
}
