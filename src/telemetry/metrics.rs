//! The one table of metrics.
//!
//! Base units, `_total` on counters, and labels of bounded sets only: models that are served, widths of their grids,
//! status codes, reasons. Knows nothing of how the numbers come about.

use std::cell::RefCell;
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::{
    Counter, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};

use super::totals::{Counters, Totals};
use crate::engine::Width;

/// The label of what a request did not get as far as having: a model, a width.
const NONE: &str = "none";

/// Every metric of the server. See the constructor for names and meanings.
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
    pub queue_length: IntGauge,
    pub queue_duration: HistogramVec,
    pub decode_duration: HistogramVec,
    pub inference_duration: HistogramVec,
    pub batch_size: HistogramVec,
    pub batches: IntCounterVec,
    pub width_ceiling: Gauge,
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

/// From 0.1 ms to 10 s: a narrow pass of a small network to a queue that is far too long.
pub(super) const DURATIONS_SECONDS: [f64; 16] =
    [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
const BATCH_SIZES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

impl Metrics {
    /// Creates every metric in `registry`.
    ///
    /// # Errors
    /// When the registry holds metrics of these names already.
    pub fn new(registry: &Registry) -> prometheus::Result<Metrics> {
        Metrics::in_table(&Table { registry, rows: RefCell::default() })
    }

    /// What each metric is, in the order of the table.
    ///
    /// # Errors
    /// None that a registry of its own could have.
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
            ready: table.gauge("ready", "1 while /readyz says 200, else 0.")?,
            requests: table.counters(
                "requests_total",
                "Requests to classify, by model, width (the grid step at or above the one that ran) and status code.",
                &["model", "width", "code"],
            )?,
            request_duration: table.histograms(
                "request_duration_seconds",
                "From a request's head to its answer, for requests that were answered with 200.",
                model_width,
                &DURATIONS_SECONDS,
            )?,
            requests_in_flight: table.gauge("requests_in_flight", "Requests to classify that are not answered yet.")?,
            refusals: table.counters(
                "refusals_total",
                "Requests refused although nothing is wrong with them, by reason.",
                &["reason"],
            )?,
            images: table.counters(
                "images_total",
                "Images that were handed to the scheduler, whether it accepted or refused them, by model.",
                &["model"],
            )?,
            capacity: table.shares(
                "capacity_images_per_second",
                "Images per second that all workers together can answer at full width, decoding included, by model.",
                &["model"],
            )?,
            queue_length: table.gauge("queue_length", "Images that wait for a worker, or are being decoded.")?,
            queue_duration: table.histograms(
                "queue_duration_seconds",
                "How long an image waited for a worker.",
                &["model"],
                &DURATIONS_SECONDS,
            )?,
            decode_duration: table.histograms(
                "decode_duration_seconds",
                "How long an image took to become the pixels that the model reads.",
                &["model"],
                &DURATIONS_SECONDS,
            )?,
            inference_duration: table.histograms(
                "inference_duration_seconds",
                "How long a batch took to run, counted once for each of its images.",
                model_width,
                &DURATIONS_SECONDS,
            )?,
            batch_size: table.histograms("batch_size", "Images that ran together.", &["model"], &BATCH_SIZES)?,
            batches: table.counters(
                "batches_total",
                "Batches that workers took, by model and by what kept the width from being wider.",
                &["model", "reason"],
            )?,
            width_ceiling: table.share(
                "width_ceiling",
                "The widest width that load allowed to the latest batch; it stays so while nothing runs.",
            )?,
            profile_correction: table.shares(
                "profile_correction_ratio",
                "How many times longer batches take than was measured at start-up.",
                &["model"],
            )?,
            admission_reserve: table.share(
                "admission_reserve_ratio",
                "The share of its budget that a request must have left to be accepted; it grows while accepted images miss their deadlines under overload.",
            )?,
            deadline_misses: table.counters(
                "deadline_misses_total",
                "Images that were accepted and missed their deadline, by how: shed (not answered) or late (answered). The deadline of a caller's budget is at 98 % of it; a request without a budget has the server's target.",
                &["model", "how"],
            )?,
            jobs_abandoned: table
                .counter("jobs_abandoned_total", "Images dropped from the queue because their caller had left.")?,
            worker_panics: table.counter(
                "worker_panics_total",
                "Failures of workers: at warming up, at taking work, or at a batch or image, which is answered with an error.",
            )?,
            worker_run_delay: table.seconds(
                "worker_run_delay_seconds_total",
                "Time that all workers together were ready to run but waited for a core, on Linux; 0 elsewhere.",
            )?,
            workers_ready: table.gauge("workers_ready", "Workers that are warmed up.")?,
            models_rejected: table.gauge("models_rejected", "Models of the folder that do not load.")?,
            log_lines_dropped: table.counter(
                "log_lines_dropped_total",
                "Lines that standard error or standard output did not take in time, or at all: it is full, slow or closed.",
            )?,
            counters: Counters::default(),
        })
    }
}

/// How an accepted image missed its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// It was not answered.
    Shed,
    /// It was answered late.
    Late,
}

impl Metrics {
    /// A request to classify ended with a status code. `step` is the grid step at or above the width that ran.
    pub fn request_ended(&self, model: Option<&str>, step: Option<Width>, code: &str, time: Duration) {
        let (model, width) = (model.unwrap_or(NONE), step.map_or(NONE.to_owned(), |step| step.to_string()));
        self.requests.with_label_values(&[model, &width, code]).inc();
        if code == "200" {
            observe(&self.request_duration.with_label_values(&[model, &width]), time);
            self.counters.answered(time);
        }
    }

    /// A request was refused although nothing is wrong with it.
    pub fn request_refused(&self, reason: &str) {
        self.refusals.with_label_values(&[reason]).inc();
        self.counters.refused();
    }

    /// An image ran in a batch that took `time`. `step` is the grid step at or above its width.
    pub fn image_ran(&self, model: &str, step: Width, time: Duration) {
        observe(&self.inference_duration.with_label_values(&[model, &step.to_string()]), time);
        self.counters.ran(step);
    }

    /// An accepted image missed its deadline.
    pub fn deadline_missed(&self, model: &str, miss: Miss) {
        self.deadline_misses.with_label_values(&[model, miss.word()]).inc();
        self.counters.missed();
    }

    /// What the server did since its start.
    pub fn totals(&self) -> Totals {
        self.counters.totals()
    }

    /// Creates a model's counters of rare events at zero: a rise from nothing is not seen as one.
    pub fn start_at_zero(&self, model: &str) {
        self.images.with_label_values(&[model]);
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

/// What a metric is, for people.
#[derive(Debug, Clone)]
pub struct Description {
    /// With the project's prefix, as scrapers see it.
    pub name: String,
    /// As in the metric's `# TYPE` line.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// What it says.
    pub help: String,
}

/// Creates metrics with the project's prefix, registered, each a row.
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

/// Observes a duration in seconds, the unit of every duration here.
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
