//! The results of a run, as written to a file and read back.
//!
//! Times have their unit as a suffix and microsecond resolution; shares are from 0 to 1.

mod file;

use anywidth::engine::Width;
use serde::{Deserialize, Serialize};

pub use file::ResultsError;

use crate::models::{self, Accuracy};
use crate::units::Units;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`FORMAT`]
    pub format: u32,
    /// Version of the program.
    pub version: String,
    /// The command line, for repeating the run.
    pub command: Vec<String>,
    /// Start time in seconds since 1970.
    pub started_at_unix_s: u64,
    /// The planned load.
    pub setup: Setup,
    /// Whether the run stopped before the end of its plan.
    pub interrupted: bool,
    /// Totals over all requests.
    pub totals: Totals,
    /// Answers by width, narrowest first.
    pub widths: Vec<AtWidth>,
    /// The server's reasons for the widths of answers.
    pub reasons: Vec<Tally>,
    /// Refusals by status and error code.
    pub refusals: Vec<Tally>,
    /// Failures by cause.
    pub failures: Vec<Tally>,
    /// Length of an interval in seconds.
    pub interval_s: f64,
    /// The run over time. A request belongs to the interval in which it was due, regardless of when its answer came.
    pub intervals: Vec<Interval>,
    /// Periodic samples of the server and the generator.
    pub samples: Vec<Sample>,
    /// Reasons to doubt the figures.
    pub warnings: Vec<String>,
}

/// The planned load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// URL of the server.
    pub url: String,
    /// The model that answered, if known.
    pub model: Option<String>,
    /// Its accuracy by width.
    pub accuracy: Accuracy,
    /// Description of the arrivals.
    pub arrivals: String,
    /// Seed of the arrivals.
    pub seed: u64,
    /// Units of the server, if rates or budgets were given in them.
    pub units: Option<Units>,
    /// All deadlines that requests may have, shortest first; empty if no answer can be late.
    pub deadlines_ms: Vec<f64>,
    /// Maximum number of outstanding requests.
    pub max_outstanding: usize,
}

/// Requests by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Requests due; the sum of all below.
    pub offered: u64,
    /// Answered within their deadline.
    pub on_time: u64,
    /// Answered after it.
    pub late: u64,
    /// Refused by the server: status 429, 503 or 504.
    pub refused: u64,
    /// Not answered, or answered with another status.
    pub failed: u64,
    /// Not sent, because too many requests were outstanding.
    pub not_sent: u64,
}

/// All requests of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// From the start to the last answer, in seconds.
    pub duration_s: f64,
    /// Counts by outcome.
    #[serde(flatten)]
    pub counts: Counts,
    /// The share of all requests that was answered on time.
    pub attainment: Option<f64>,
    /// Mean width of answers.
    pub mean_width: Option<f64>,
    /// Mean accuracy of the answers on time, by their widths.
    pub mean_accuracy: Option<f64>,
    /// Mean accuracy over all requests; one not answered on time counts as wrong.
    pub effective_accuracy: Option<f64>,
    /// The share of the answers on time that is right, if the images are labelled.
    #[serde(default)]
    pub labelled_accuracy: Option<f64>,
    /// The share of all requests that is answered on time and right, if the images are labelled.
    #[serde(default)]
    pub labelled_effective_accuracy: Option<f64>,
    /// From the scheduled time to the end of the answer.
    pub latency_ms: Option<Percentiles>,
    /// From the scheduled time to the end of the refusal.
    pub refusal_ms: Option<Percentiles>,
    /// From the scheduled time to the first byte sent; caused by the generator, not by the server.
    pub lateness_ms: Option<Percentiles>,
}

/// A distribution of times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are what they are")]
pub struct Percentiles {
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// The answers of one width.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AtWidth {
    /// The width.
    #[serde(deserialize_with = "models::width")]
    pub width: Width,
    /// Answers at it.
    pub answers: u64,
    /// The number of them on time.
    pub on_time: u64,
}

/// A count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// What is counted.
    pub what: String,
    /// The count.
    pub count: u64,
}

/// The requests due in one interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Start of the interval.
    pub at_s: f64,
    /// Counts by outcome.
    #[serde(flatten)]
    pub counts: Counts,
    /// The widths of their answers.
    pub width: Option<Spread>,
    /// See [`Totals`].
    pub latency_ms: Option<Percentiles>,
    /// See [`Totals`].
    pub lateness_ms: Option<Percentiles>,
}

/// Widths of several answers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The share of answers in each eighth of the widths: above 0 and up to 1/8, and so on.
    pub shares: [f64; WIDTH_RANGES],
}

/// A sample of the server's and the generator's state.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Time of the sample.
    pub at_s: f64,
    /// Images waiting for a worker, from the server's metrics.
    pub queue_length: Option<f64>,
    /// Outstanding requests.
    pub outstanding: usize,
}

/// Number of equal ranges of widths that answers are counted in.
pub const WIDTH_RANGES: usize = 8;
/// Version of the file format.
pub const FORMAT: u32 = 1;
impl Counts {
    /// Answers, on time or not.
    pub fn answered(&self) -> u64 {
        self.on_time + self.late
    }
}
