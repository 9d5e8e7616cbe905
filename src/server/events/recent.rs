//! From the totals that the metrics hold to what happened of late.
//!
//! Time is an argument: the last second is whatever the caller says it is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use prometheus::core::Collector;
use prometheus::proto::{Histogram, Metric, MetricFamily};
use serde::Serialize;

use crate::telemetry::Metrics;

/// Totals since the server started, and what holds at this moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Counts {
    /// Requests that were answered with 200.
    answered: u64,
    refused: u64,
    /// Images that were accepted and not answered in time.
    late: u64,
    /// Images that ran, and the sum of their widths.
    images: u64,
    widths: f64,
    /// The time to the answer, in seconds.
    durations: Buckets,
    queue_length: i64,
    ceiling: f64,
}

/// How many took at most so long, ascending.
#[derive(Debug, Clone, PartialEq, Default)]
struct Buckets(Vec<(f64, u64)>);

/// The totals of the last [`SPAN`].
#[derive(Debug)]
pub(super) struct Recent {
    /// The oldest first; never empty.
    seen: VecDeque<(Instant, Counts)>,
}

/// What a subscriber is told. Rates, widths and latencies are those of the last second.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Event {
    ready: bool,
    /// Requests answered with 200.
    answered_per_s: f64,
    refused_per_s: f64,
    /// Images accepted and not answered in time.
    late_per_s: f64,
    images_per_s: f64,
    /// The mean width at which images ran; none when none did.
    width: Option<f64>,
    /// The widest width that load allowed to the last of them; none when none ran.
    width_ceiling: Option<f64>,
    /// None when nothing was answered.
    latency_ms: Option<Latency>,
    queue_length: i64,
}

/// Of a request, from its head to its answer.
#[derive(Debug, PartialEq, Serialize)]
struct Latency {
    p50: f64,
    p99: f64,
}

/// How far back an event looks.
const SPAN: Duration = Duration::from_secs(1);

impl Counts {
    pub(super) fn read(metrics: &Metrics) -> Counts {
        let requests = metrics.requests.collect();
        let ran = metrics.inference_duration.collect();
        let mut durations = Buckets::default();
        each(&metrics.request_duration.collect()).for_each(|metric| durations.add(metric.get_histogram()));
        let images = |metric: &Metric| metric.get_histogram().get_sample_count();
        let width = |metric: &Metric| label(metric, "width").and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
        Counts {
            answered: sum(each(&requests).filter(|metric| label(metric, "code") == Some("200"))),
            refused: sum(each(&metrics.refusals.collect())),
            late: sum(each(&metrics.deadline_misses.collect())),
            images: each(&ran).map(images).sum(),
            widths: each(&ran).map(|metric| width(metric) * images(metric) as f64).sum(),
            durations,
            queue_length: metrics.queue_length.get(),
            ceiling: metrics.width_ceiling.get(),
        }
    }
}

fn each(families: &[MetricFamily]) -> impl Iterator<Item = &Metric> {
    families.iter().flat_map(|family| family.get_metric())
}

fn label<'a>(metric: &'a Metric, name: &str) -> Option<&'a str> {
    metric.get_label().iter().find(|pair| pair.name() == name).map(|pair| pair.value())
}

fn sum<'a>(counters: impl Iterator<Item = &'a Metric>) -> u64 {
    counters.map(|metric| metric.get_counter().get_value() as u64).sum()
}

impl Buckets {
    fn add(&mut self, histogram: &Histogram) {
        let buckets = histogram.get_bucket().iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
        let all = buckets.chain([(f64::INFINITY, histogram.get_sample_count())]);
        if self.0.is_empty() {
            self.0 = all.collect();
        } else {
            self.0.iter_mut().zip(all).for_each(|((_, sum), (_, count))| *sum += count);
        }
    }

    /// What came in addition to `before`.
    fn since(&self, before: &Buckets) -> Buckets {
        let earlier = |index| before.0.get(index).map_or(0, |&(_, count)| count);
        let counts = self.0.iter().enumerate();
        Buckets(counts.map(|(index, &(bound, count))| (bound, count.saturating_sub(earlier(index)))).collect())
    }

    /// The time within which this share of all ended, a straight line within a bucket; none without any.
    fn quantile(&self, share: f64) -> Option<f64> {
        let all = self.0.last().map(|&(_, count)| count).filter(|&count| count > 0)?;
        let rank = share * all as f64;
        let (mut lower, mut below) = (0.0, 0);
        for &(bound, count) in &self.0 {
            if count as f64 >= rank && count > below {
                let part = (rank - below as f64) / (count - below) as f64;
                return Some(if bound.is_finite() { lower + (bound - lower) * part } else { lower });
            }
            (lower, below) = (bound, count);
        }
        None
    }
}

impl Recent {
    /// Begins with the totals at this moment.
    pub(super) fn new(counts: Counts, now: Instant) -> Recent {
        Recent { seen: VecDeque::from([(now, counts)]) }
    }

    /// What happened since a second ago, or since the beginning where that is later.
    pub(super) fn event(&mut self, now_counts: Counts, now: Instant, ready: bool) -> Event {
        self.seen.push_back((now, now_counts));
        while self.seen.get(1).is_some_and(|&(at, _)| now.saturating_duration_since(at) >= SPAN) {
            self.seen.pop_front();
        }
        let ((from, before), (_, counts)) = (&self.seen[0], &self.seen[self.seen.len() - 1]);
        let seconds = now.saturating_duration_since(*from).as_secs_f64();
        let rate = |of: fn(&Counts) -> u64| {
            if seconds > 0.0 { of(counts).saturating_sub(of(before)) as f64 / seconds } else { 0.0 }
        };
        let images = counts.images.saturating_sub(before.images);
        let durations = counts.durations.since(&before.durations);
        let milliseconds = |share| durations.quantile(share).map(|seconds| seconds * 1e3);
        Event {
            ready,
            answered_per_s: rate(|counts| counts.answered),
            refused_per_s: rate(|counts| counts.refused),
            late_per_s: rate(|counts| counts.late),
            images_per_s: rate(|counts| counts.images),
            width: (images > 0).then(|| (counts.widths - before.widths) / images as f64),
            width_ceiling: (images > 0).then_some(counts.ceiling),
            latency_ms: milliseconds(0.5).zip(milliseconds(0.99)).map(|(p50, p99)| Latency { p50, p99 }),
            queue_length: counts.queue_length,
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;
    use crate::telemetry::observe;

    const MS: Duration = Duration::from_millis(1);

    fn metrics() -> Metrics {
        Metrics::new(&Registry::new()).unwrap()
    }

    #[test]
    fn an_event_tells_the_last_second_and_nothing_before() {
        let (metrics, start) = (metrics(), Instant::now());
        let ran = |width: &str, images: usize| {
            metrics.width_ceiling.set(width.parse().unwrap());
            (0..images).for_each(|_| observe(&metrics.inference_duration.with_label_values(&["m", width]), MS));
            metrics.requests.with_label_values(&["m", width, "200"]).inc_by(images as u64);
            metrics.requests.with_label_values(&["m", "none", "503"]).inc();
            metrics.refusals.with_label_values(&["overloaded"]).inc();
        };
        ran("1", 100);
        let mut recent = Recent::new(Counts::read(&metrics), start);
        ran("0.25", 30);
        ran("0.75", 10);
        let event = recent.event(Counts::read(&metrics), start + 500 * MS, true);
        assert_eq!((event.answered_per_s, event.images_per_s, event.refused_per_s), (80.0, 80.0, 4.0));
        assert_eq!((event.width, event.width_ceiling), (Some((30.0 * 0.25 + 10.0 * 0.75) / 40.0), Some(0.75)));
        ran("1", 5);
        let event = recent.event(Counts::read(&metrics), start + 1500 * MS, true);
        assert_eq!((event.answered_per_s, event.width), (5.0, Some(1.0)));
        let event = recent.event(Counts::read(&metrics), start + 2500 * MS, true);
        assert_eq!((event.answered_per_s, event.width, event.width_ceiling), (0.0, None, None));
    }

    #[test]
    fn latencies_are_those_of_the_last_second_within_their_bucket() {
        let (metrics, start) = (metrics(), Instant::now());
        let took = |width: &str, time| observe(&metrics.request_duration.with_label_values(&["m", width]), time);
        took("1", 9000 * MS);
        let mut recent = Recent::new(Counts::read(&metrics), start);
        assert_eq!(recent.event(Counts::read(&metrics), start, true).latency_ms, None);
        (0..99).for_each(|_| took("0.5", 15 * MS));
        took("1", 60 * MS);
        let Latency { p50, p99 } = recent.event(Counts::read(&metrics), start + 1000 * MS, true).latency_ms.unwrap();
        assert!((10.0..=20.0).contains(&p50) && (p99 - 20.0).abs() < 1e-9, "{p50} {p99}");
    }

    #[test]
    fn what_takes_longer_than_every_bucket_takes_at_least_the_last_bound() {
        let (metrics, start) = (metrics(), Instant::now());
        let mut recent = Recent::new(Counts::read(&metrics), start);
        observe(&metrics.request_duration.with_label_values(&["m", "1"]), 60_000 * MS);
        let latency = recent.event(Counts::read(&metrics), start + 10 * MS, true).latency_ms;
        assert_eq!(latency, Some(Latency { p50: 10_000.0, p99: 10_000.0 }));
    }
}
