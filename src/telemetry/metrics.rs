//! The table of metrics.
//!
//! Metrics have base units, `_total` on counters, and labels with bounded values only: served models, widths of their grids,
//! status codes, reasons. This module must not know how the values are computed.

use std::cell::RefCell;
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::Metric;
use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use super::totals::{Counters, Totals};
use crate::engine::Width;

/// The label value for a request that failed before it had a model or a width.
const NONE: &str = "none";

/// Every metric of the server. [`Metrics::describe`] lists names and meanings.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is explained once, in the help text that scrapers see")]
pub struct Metrics {
    pub ready: IntGauge,
    pub requests: IntCounterVec,
    pub request_duration: HistogramVec,
    pub requests_in_flight: IntGauge,
    pub refusals: IntCounterVec,
    pub images: IntCounterVec,
    pub capacity: GaugeVec,
    pub model_info: IntGaugeVec,
    pub queue_length: IntGauge,
    pub queue_duration: HistogramVec,
    pub decode_duration: HistogramVec,
    pub inference_duration: HistogramVec,
    pub batch_size: HistogramVec,
    pub batches: IntCounterVec,
    pub width_reasons: IntCounterVec,
    pub widenings: IntCounterVec,
    pub expected_correct: CounterVec,
    pub audits: IntCounterVec,
    pub audits_expected_to_agree: CounterVec,
    pub width_ceiling: Gauge,
    pub time_price: Gauge,
    pub profile_correction: GaugeVec,
    pub admission_reserve: Gauge,
    pub deadline_misses: IntCounterVec,
    pub jobs_abandoned: IntCounter,
    pub worker_panics: IntCounter,
    pub worker_run_delay: Counter,
    pub workers_ready: IntGauge,
    pub models_rejected: IntGauge,
    pub log_lines_dropped: IntCounter,
    counters: Counters,
}

/// Bucket bounds from 0.1 ms, a narrow pass of a small network, to 10 s, an overlong queue.
pub(super) const DURATIONS_SECONDS: [f64; 16] =
    [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
const BATCH_SIZES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

impl Metrics {
    /// Creates every metric in `registry`.
    ///
    /// # Errors
    /// If the registry already holds metrics of these names.
    pub fn new(registry: &Registry) -> prometheus::Result<Metrics> {
        Metrics::in_table(&Table { registry, rows: RefCell::default() })
    }

    /// The description of each metric, in the order of the table.
    ///
    /// # Errors
    /// None in practice: the registry is new.
    pub fn describe() -> prometheus::Result<Vec<Description>> {
        let table = Table { registry: &Registry::new(), rows: RefCell::default() };
        Metrics::in_table(&table)?;
        Ok(table.rows.into_inner())
    }

    fn in_table(table: &Table<'_>) -> prometheus::Result<Metrics> {
        let model_width = &["model", "width"];
        let build = table.gauges("build_info", "Always 1; the version is in the label.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Metrics {
            ready: table.gauge("ready", "1 while /readyz answers 200, else 0.")?,
            requests: table.counters(
                "requests_total",
                "Classification requests by model, width (the grid step at or above the width that ran) and status code.",
                &["model", "width", "code"],
            )?,
            request_duration: table.histograms(
                "request_duration_seconds",
                "Time from the arrival of a request's headers to its answer, for requests answered with 200.",
                model_width,
                &DURATIONS_SECONDS,
            )?,
            requests_in_flight: table.gauge("requests_in_flight", "Classification requests that are not answered yet.")?,
            refusals: table.counters(
                "refusals_total",
                "Valid requests that were refused, by reason.",
                &["reason"],
            )?,
            images: table.counters(
                "images_total",
                "Images submitted to the scheduler, accepted or refused, by model.",
                &["model"],
            )?,
            model_info: table.gauges(
                "model_info",
                "Always 1; a served version of a model, and the numbers that it multiplies, are in the labels.",
                &["model", "version", "precision"],
            )?,
            capacity: table.shares(
                "capacity_images_per_second",
                "Images per second that all workers together can answer at full width, decoding included, by model.",
                &["model"],
            )?,
            queue_length: table.gauge("queue_length", "Images that wait for a worker or are being decoded.")?,
            queue_duration: table.histograms(
                "queue_duration_seconds",
                "Time that an image waited for a worker.",
                &["model"],
                &DURATIONS_SECONDS,
            )?,
            decode_duration: table.histograms(
                "decode_duration_seconds",
                "Time to decode and preprocess an image.",
                &["model"],
                &DURATIONS_SECONDS,
            )?,
            inference_duration: table.histograms(
                "inference_duration_seconds",
                "Time that a batch took to run, counted once for each of its images.",
                model_width,
                &DURATIONS_SECONDS,
            )?,
            batch_size: table.histograms("batch_size", "Images per batch.", &["model"], &BATCH_SIZES)?,
            batches: table.counters(
                "batches_total",
                "Batches by model and by what limited their width.",
                &["model", "reason"],
            )?,
            width_reasons: table.counters(
                "width_reasons_total",
                "Images that ran, by model and by what determined their width: a `reason` of the API.",
                &["model", "reason"],
            )?,
            widenings: table.counters(
                "widenings_total",
                "Runs that widened an image which had a narrower answer already, by model.",
                &["model"],
            )?,
            expected_correct: table.sums(
                "expected_correct_total",
                "Expected number of right answers, by model: for each image that ran, the accuracy at its width and certainty by the model's gain table, or else at its width. Divided by the images that ran, the expected accuracy.",
                &["model"],
            )?,
            audits: table.counters(
                "audits_total",
                "Images that stopped early and ran at full width afterwards, by model and by whether the most probable class is the same.",
                &["model", "agrees"],
            )?,
            audits_expected_to_agree: table.sums(
                "audits_expected_to_agree_total",
                "Audits that should agree at least, if the model's gain table holds, by model.",
                &["model"],
            )?,
            width_ceiling: table.share(
                "width_ceiling",
                "The widest width that load allowed for the latest batch, or the one width that takes as long as its images' different widths; unchanged while nothing runs.",
            )?,
            time_price: table.share(
                "time_price_per_second",
                "The accuracy that a second of computing had to gain in the latest batch, 1 for all images right; 0 if all images got the same width.",
            )?,
            profile_correction: table.shares(
                "profile_correction_ratio",
                "Ratio of the batches' current run time to the time measured at start-up.",
                &["model"],
            )?,
            admission_reserve: table.share(
                "admission_reserve_ratio",
                "The share of its budget that a request must have left to be accepted; it grows while accepted images miss their deadlines under overload.",
            )?,
            deadline_misses: table.counters(
                "deadline_misses_total",
                "Accepted images that missed their deadline, by how: shed (not answered) or late (answered). The deadline is at 98 % of the caller's budget, or the server's target for a request without a budget.",
                &["model", "how"],
            )?,
            jobs_abandoned: table
                .counter("jobs_abandoned_total", "Images dropped from the queue because their caller had disconnected.")?,
            worker_panics: table.counter(
                "worker_panics_total",
                "Worker panics during warm-up, scheduling, a batch or an image; the images concerned are answered with an error.",
            )?,
            worker_run_delay: table.seconds(
                "worker_run_delay_seconds_total",
                "Time that workers were ready to run but waited for a core, summed over workers; Linux only, 0 elsewhere.",
            )?,
            workers_ready: table.gauge("workers_ready", "Workers that have warmed up.")?,
            models_rejected: table.gauge("models_rejected", "Models in the folder that do not load.")?,
            log_lines_dropped: table.counter(
                "log_lines_dropped_total",
                "Lines dropped because standard error or standard output was full, slow or closed.",
            )?,
            counters: Counters::default(),
        })
    }
}

/// How often something was observed for a model, and how long it took in all; of all its widths.
pub fn total_of(histograms: &HistogramVec, model: &str) -> (u64, Duration) {
    let (mut count, mut seconds) = (0, 0.0);
    for family in histograms.collect() {
        for metric in family.get_metric().iter().filter(|metric| label(metric, "model") == Some(model)) {
            count += metric.get_histogram().get_sample_count();
            seconds += metric.get_histogram().get_sample_sum();
        }
    }
    (count, Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

fn label<'a>(metric: &'a Metric, name: &str) -> Option<&'a str> {
    metric.get_label().iter().find(|pair| pair.name() == name).map(|pair| pair.value())
}

/// The way in which an accepted image missed its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// Not answered.
    Shed,
    /// Answered late.
    Late,
}

impl Metrics {
    /// Records the end of a classification request. `step` is the grid step at or above the width that ran.
    pub fn request_ended(&self, model: Option<&str>, step: Option<Width>, code: &str, time: Duration) {
        let (model, width) = (model.unwrap_or(NONE), step.map_or(NONE.to_owned(), |step| step.to_string()));
        self.requests.with_label_values(&[model, &width, code]).inc();
        if code == "200" {
            observe(&self.request_duration.with_label_values(&[model, &width]), time);
            self.counters.answered(time);
        }
    }

    /// Records the refusal of a valid request.
    pub fn request_refused(&self, reason: &str) {
        self.refusals.with_label_values(&[reason]).inc();
        self.counters.refused();
    }

    /// Records an image that ran in a batch of duration `time`. `step` is the grid step at or above its width, `reason` what
    /// determined the width.
    pub fn image_ran(&self, model: &str, step: Width, reason: &str, time: Duration) {
        self.width_reasons.with_label_values(&[model, reason]).inc();
        observe(&self.inference_duration.with_label_values(&[model, &step.to_string()]), time);
        self.counters.ran(step);
    }

    /// Records an audit. `expected` is the probability that it agrees, if the gain table holds.
    pub fn audited(&self, model: &str, agrees: bool, expected: f64) {
        self.audits.with_label_values(&[model, if agrees { "true" } else { "false" }]).inc();
        self.audits_expected_to_agree.with_label_values(&[model]).inc_by(expected);
    }

    /// Records an accepted image that missed its deadline.
    pub fn deadline_missed(&self, model: &str, miss: Miss) {
        self.deadline_misses.with_label_values(&[model, miss.word()]).inc();
        self.counters.missed();
    }

    /// The requests for a model that were answered with 200, and those that were not.
    pub fn requests_of(&self, model: &str) -> [u64; 2] {
        let mut counts = [0; 2];
        for family in self.requests.collect() {
            for metric in family.get_metric().iter().filter(|metric| label(metric, "model") == Some(model)) {
                let failed = label(metric, "code") != Some("200");
                counts[usize::from(failed)] += metric.get_counter().get_value() as u64;
            }
        }
        counts
    }

    /// The totals since the server's start.
    pub fn totals(&self) -> Totals {
        self.counters.totals()
    }

    /// Removes what describes a version of a model that is served no longer: its labels after the name. Counts stay.
    pub fn model_removed(&self, model: &str, [version, precision]: &[String; 2]) {
        // An error only means that there is no such series.
        let _ = self.model_info.remove_label_values(&[model, version, precision]);
        let _ = self.capacity.remove_label_values(&[model]);
        let _ = self.profile_correction.remove_label_values(&[model]);
    }

    /// Creates a model's counters of rare events at zero: Prometheus does not see the first increment of a missing series.
    /// `audited` says whether images of it may be audited.
    pub fn start_at_zero(&self, model: &str, audited: bool) {
        self.images.with_label_values(&[model]);
        if audited {
            ["true", "false"].iter().for_each(|agrees| drop(self.audits.with_label_values(&[model, agrees])));
            self.audits_expected_to_agree.with_label_values(&[model]);
        }
        for miss in [Miss::Shed, Miss::Late] {
            self.deadline_misses.with_label_values(&[model, miss.word()]);
        }
    }
}

impl Miss {
    fn word(self) -> &'static str {
        match self {
            Miss::Shed => "shed",
            Miss::Late => "late",
        }
    }
}

/// The description of a metric for the documentation.
#[derive(Debug, Clone)]
pub struct Description {
    /// The full name, with the project's prefix.
    pub name: String,
    /// The type, as in the metric's `# TYPE` line.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// The help text.
    pub help: String,
}

/// Creates and registers metrics with the project's prefix, and records their descriptions.
struct Table<'a> {
    registry: &'a Registry,
    rows: RefCell<Vec<Description>>,
}

impl Table<'_> {
    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.register("counter", IntCounter::with_opts(options(name, help))?)
    }

    fn seconds(&self, name: &str, help: &str) -> prometheus::Result<Counter> {
        self.register("counter", Counter::with_opts(options(name, help))?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.register("counter", IntCounterVec::new(options(name, help), labels)?)
    }

    fn sums(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<CounterVec> {
        self.register("counter", CounterVec::new(options(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.register("gauge", IntGauge::with_opts(options(name, help))?)
    }

    fn share(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.register("gauge", Gauge::with_opts(options(name, help))?)
    }

    fn shares(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        self.register("gauge", GaugeVec::new(options(name, help), labels)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.register("gauge", IntGaugeVec::new(options(name, help), labels)?)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> prometheus::Result<HistogramVec> {
        let options = HistogramOpts { common_opts: options(name, help), buckets: buckets.to_vec() };
        self.register("histogram", HistogramVec::new(options, labels)?)
    }

    fn register<M: Collector + Clone + 'static>(&self, kind: &'static str, metric: M) -> prometheus::Result<M> {
        self.registry.register(Box::new(metric.clone()))?;
        let describe = |desc: &Desc| Description {
            name: desc.fq_name.clone(),
            kind,
            labels: desc.variable_labels.clone(),
            help: desc.help.clone(),
        };
        self.rows.borrow_mut().extend(metric.desc().into_iter().map(describe));
        Ok(metric)
    }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("anywidth")
}

/// Observes a duration in seconds.
pub(crate) fn observe(histogram: &Histogram, duration: Duration) {
    histogram.observe(duration.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_servers_can_live_in_one_process() {
        let (one, two) = (Registry::new(), Registry::new());
        Metrics::new(&one).unwrap().worker_panics.inc();
        assert_eq!(Metrics::new(&two).unwrap().worker_panics.get(), 0);
        assert!(Metrics::new(&one).is_err(), "the same names twice in one registry");
    }

    #[test]
    fn every_name_has_the_prefix_and_every_metric_a_help_text() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        metrics.requests.with_label_values(&["m", "0.5", "200"]).inc();
        metrics.batch_size.with_label_values(&["m"]).observe(3.0);
        for family in registry.gather() {
            assert!(family.name().starts_with("anywidth_"), "{}", family.name());
            assert!(family.help().ends_with('.'), "{}", family.name());
            let counts = family.get_field_type() == prometheus::proto::MetricType::COUNTER;
            assert_eq!(family.name().ends_with("_total"), counts, "{}", family.name());
        }
    }
}
