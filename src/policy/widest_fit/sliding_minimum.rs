//! The narrowest width within a sliding window.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::engine::Width;

/// Widths with their times. Only those that can still become the minimum are kept, so they ascend.
#[derive(Debug, Clone, Default)]
pub(super) struct SlidingMinimum {
    kept: VecDeque<(Instant, Width)>,
}

impl SlidingMinimum {
    /// Adds `width` and returns the narrowest of the last `span`.
    pub(super) fn push(&mut self, now: Instant, span: Duration, width: Width) -> Width {
        while self.kept.back().is_some_and(|&(_, kept)| kept >= width) {
            self.kept.pop_back();
        }
        self.kept.push_back((now, width));
        while self.kept.front().is_some_and(|&(at, _)| now.saturating_duration_since(at) > span) {
            self.kept.pop_front();
        }
        self.kept.front().map_or(width, |&(_, narrowest)| narrowest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_narrowest_of_the_span(values in prop::collection::vec((0u64..5, 1u32..10), 1..50), span in 0u64..20) {
            let (start, mut now) = (Instant::now(), 0);
            let (mut window, mut all) = (SlidingMinimum::default(), Vec::new());
            for (gap, millionths) in values {
                let value = Width::from_millionths(millionths).unwrap();
                now += gap;
                all.push((now, value));
                let naive = all.iter().filter(|(at, _)| now - at <= span).map(|&(_, value)| value).min();
                let at = start + Duration::from_millis(now);
                prop_assert_eq!(Some(window.push(at, Duration::from_millis(span), value)), naive);
            }
        }
    }
}
