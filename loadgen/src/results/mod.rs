//! What a run found, as it is written to a file and read back.
//!
//! Times are in the unit that ends their names, to the microsecond; shares are from 0 to 1.

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
    /// The version of the program that made it.
    pub version: String,
    /// What was typed, to do it again.
    pub command: Vec<String>,
    /// When it began, in seconds since 1970.
    pub started_at_unix_s: u64,
    /// What was planned.
    pub setup: Setup,
    /// Was it stopped before its plan was through?
    pub interrupted: bool,
    /// All requests together.
    pub totals: Totals,
    /// What was answered at which width, narrowest first.
    pub widths: Vec<AtWidth>,
    /// Why answers had the width they had, in the server's words.
    pub reasons: Vec<Tally>,
    /// Refusals by status and the server's word for them.
    pub refusals: Vec<Tally>,
    /// What failed, and how.
    pub failures: Vec<Tally>,
    /// Length of an interval.
    pub interval_s: f64,
    /// The run over time. A request belongs to the interval in which it was due, whenever its answer came.
    pub intervals: Vec<Interval>,
    /// What was seen from time to time.
    pub samples: Vec<Sample>,
    /// Why the figures should not be believed as they stand.
    pub warnings: Vec<String>,
}

/// What was planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The server.
    pub url: String,
    /// The model that answered, where the server says so.
    pub model: Option<String>,
    /// Its accuracy by width.
    pub accuracy: Accuracy,
    /// The arrivals, in words.
    pub arrivals: String,
    /// What made them.
    pub seed: u64,
    /// What one unit was, where rates or budgets were written in units of the server.
    pub units: Option<Units>,
    /// What answers are judged by: every deadline that a request may have, shortest first; empty if none is ever late.
    pub deadlines_ms: Vec<f64>,
    /// As many requests could be without an answer at once.
    pub max_outstanding: usize,
}

/// What became of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Requests that were due; the sum of all below.
    pub offered: u64,
    /// Answered by their deadline.
    pub on_time: u64,
    /// Answered after it.
    pub late: u64,
    /// Refused by the server: status 429, 503 or 504.
    pub refused: u64,
    /// Not answered, or with another status.
    pub failed: u64,
    /// Not sent, because too many were without an answer.
    pub not_sent: u64,
}

/// All requests of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// From the start to the last answer.
    pub duration_s: f64,
    /// What became of them.
    #[serde(flatten)]
    pub counts: Counts,
    /// The share of all requests that was answered on time.
    pub attainment: Option<f64>,
    /// The mean width of answers.
    pub mean_width: Option<f64>,
    /// The mean accuracy of the answers that were on time, by their widths.
    pub mean_accuracy: Option<f64>,
    /// The same over all requests: one that was not answered on time counts as wrong.
    pub effective_accuracy: Option<f64>,
    /// From the scheduled time to the end of the answer.
    pub latency_ms: Option<Percentiles>,
    /// From the scheduled time to the end of the refusal.
    pub refusal_ms: Option<Percentiles>,
    /// From the scheduled time to the first byte sent: the fault of the generator, never of the server.
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
    /// How many of them were on time.
    pub on_time: u64,
}

/// How often something happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// What.
    pub what: String,
    /// How often.
    pub count: u64,
}

/// The requests that were due in one stretch of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Where it begins.
    pub at_s: f64,
    /// What became of them.
    #[serde(flatten)]
    pub counts: Counts,
    /// The widths of their answers.
    pub width: Option<Spread>,
    /// As in the totals.
    pub latency_ms: Option<Percentiles>,
    /// As in the totals.
    pub lateness_ms: Option<Percentiles>,
}

/// Widths of several answers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are what they are")]
pub struct Spread {
    pub mean: f64,
    pub min: f64,
    pub max: f64,
}

/// A look at the server and at the generator.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When.
    pub at_s: f64,
    /// Images that waited for a worker, as the server's metrics say.
    pub queue_length: Option<f64>,
    /// Requests without an answer.
    pub outstanding: usize,
}

/// The version of the file's layout.
pub const FORMAT: u32 = 1;
impl Counts {
    /// Answers, on time or not.
    pub fn answered(&self) -> u64 {
        self.on_time + self.late
    }
}
