//! Derives the rates of the last second from the totals since the start.
//!
//! Time is an argument.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::telemetry::{Metrics, Totals, WIDTH_BINS};

/// The totals recorded within the last [`SPAN`].
#[derive(Debug)]
pub(super) struct Recent {
    /// Oldest first; never empty.
    seen: VecDeque<(Instant, Totals)>,
}

/// The instantaneous values of an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Now {
    pub(super) at: Instant,
    pub(super) ready: bool,
    pub(super) queue_length: i64,
    /// The width ceiling of the latest batch.
    pub(super) width_ceiling: f64,
}

/// An event. Rates, widths and latencies cover the last second.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Event {
    ready: bool,
    /// Requests answered with 200.
    answered_per_s: f64,
    refused_per_s: f64,
    /// Accepted images that missed their deadline.
    late_per_s: f64,
    images_per_s: f64,
    /// The mean width of the images; null without images.
    width: Option<f64>,
    /// The share of images in each eighth of the widths, narrow to wide; null without images.
    widths: Option<[f64; WIDTH_BINS]>,
    /// The widest width that load allowed for the latest batch; null without images.
    width_ceiling: Option<f64>,
    /// Null if nothing was answered.
    latency_ms: Option<Latency>,
    queue_length: i64,
}

/// Milliseconds from a request's headers to its answer.
#[derive(Debug, PartialEq, Serialize)]
struct Latency {
    p50: f64,
    p99: f64,
}

/// The time span of an event.
const SPAN: Duration = Duration::from_secs(1);

impl Now {
    pub(super) fn read(metrics: &Metrics, at: Instant, ready: bool) -> Now {
        Now { at, ready, queue_length: metrics.queue_length.get(), width_ceiling: metrics.width_ceiling.get() }
    }
}

impl Recent {
    /// Starts with the totals at `at`.
    pub(super) fn new(totals: Totals, at: Instant) -> Recent {
        Recent { seen: VecDeque::from([(at, totals)]) }
    }

    /// The event for the last second, or for the time since the start if that is shorter.
    pub(super) fn event(&mut self, totals: Totals, now: Now) -> Event {
        self.seen.push_back((now.at, totals));
        while self.seen.get(1).is_some_and(|&(at, _)| now.at.saturating_duration_since(at) >= SPAN) {
            self.seen.pop_front();
        }
        let (from, before) = &self.seen[0];
        let (seconds, recent) = (now.at.saturating_duration_since(*from).as_secs_f64(), totals.since(before));
        let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let milliseconds = |share| recent.latencies.quantile(share).map(|time| time.as_secs_f64() * 1e3);
        Event {
            ready: now.ready,
            answered_per_s: rate(recent.answered),
            refused_per_s: rate(recent.refused),
            late_per_s: rate(recent.missed),
            images_per_s: rate(recent.images),
            width: recent.mean_width(),
            widths: recent.width_shares(),
            width_ceiling: (recent.images > 0).then_some(now.width_ceiling),
            latency_ms: milliseconds(0.5).zip(milliseconds(0.99)).map(|(p50, p99)| Latency { p50, p99 }),
            queue_length: now.queue_length,
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;
    use crate::engine::Width;

    const MS: Duration = Duration::from_millis(1);

    fn metrics() -> Metrics {
        Metrics::new(&Registry::new()).unwrap()
    }

    #[test]
    fn an_event_tells_the_last_second_and_nothing_before() {
        let (metrics, start) = (metrics(), Instant::now());
        let ran = |width: &str, images: usize| {
            let width: Width = width.parse().unwrap();
            metrics.width_ceiling.set(width.as_f64());
            for _ in 0..images {
                metrics.image_ran("m", width, "load", MS);
                metrics.request_ended(Some("m"), Some(width), "200", MS);
            }
            metrics.request_ended(Some("m"), None, "503", MS);
            metrics.request_refused("overloaded");
        };
        ran("1", 100);
        let mut recent = Recent::new(metrics.totals(), start);
        let mut event = |after: u32| recent.event(metrics.totals(), Now::read(&metrics, start + after * MS, true));
        ran("0.25", 30);
        ran("0.75", 10);
        let first = event(500);
        assert_eq!((first.answered_per_s, first.images_per_s, first.refused_per_s), (80.0, 80.0, 4.0));
        assert_eq!((first.width, first.width_ceiling), (Some((30.0 * 0.25 + 10.0 * 0.75) / 40.0), Some(0.75)));
        assert_eq!(first.widths, Some([0.0, 0.75, 0.0, 0.0, 0.0, 0.25, 0.0, 0.0]));
        ran("1", 5);
        let second = event(1500);
        assert_eq!((second.answered_per_s, second.width), (5.0, Some(1.0)));
        let third = event(2500);
        assert_eq!((third.answered_per_s, third.width, third.width_ceiling), (0.0, None, None));
    }

    #[test]
    fn latencies_are_those_of_the_last_second() {
        let (metrics, start) = (metrics(), Instant::now());
        let took = |time| metrics.request_ended(Some("m"), Some(Width::FULL), "200", time);
        took(9000 * MS);
        let mut recent = Recent::new(metrics.totals(), start);
        let mut event = |after: u32| recent.event(metrics.totals(), Now::read(&metrics, start + after * MS, true));
        assert_eq!(event(0).latency_ms, None);
        (0..99).for_each(|_| took(15 * MS));
        took(60 * MS);
        let Latency { p50, p99 } = event(1000).latency_ms.unwrap();
        assert!((10.0..=20.0).contains(&p50) && (p99 - 20.0).abs() < 1e-9, "{p50} {p99}");
    }
}
