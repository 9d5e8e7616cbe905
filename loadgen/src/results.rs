//! What a run found, as it is written to a file and read back.
//!
//! Times are in the unit that ends their names, to the microsecond; shares are from 0 to 1.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::models::Accuracy;
use crate::width::Width;

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

/// Why a file is not a run.
#[derive(Debug, Error)]
pub enum ResultsError {
    /// It cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// It is larger than any run.
    #[error("{} has more than {MOST_BYTES} bytes: this is no run", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// It is something else.
    #[error("{} is not a run that --json has written: {reason}", path.display())]
    NotARun {
        /// Which.
        path: PathBuf,
        /// Where it stops being one.
        reason: serde_json::Error,
    },
    /// It is of another version.
    #[error("{} has format {found}: this program reads format {FORMAT}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// What it has.
        found: u32,
    },
}

/// The version of the file's layout.
pub const FORMAT: u32 = 1;
/// A file of a run is never larger.
const MOST_BYTES: u64 = 64 << 20;

/// What every format has.
#[derive(Deserialize)]
struct AnyFormat {
    format: u32,
}

impl Results {
    /// Reads a file that [`Results::to_json`] made.
    ///
    /// # Errors
    /// [`ResultsError`], naming the file.
    pub fn read(path: &Path) -> Result<Results, ResultsError> {
        let unreadable = |reason| ResultsError::Unreadable { path: path.to_owned(), reason };
        let not_a_run = |reason| ResultsError::NotARun { path: path.to_owned(), reason };
        let mut text = String::new();
        let file = fs::File::open(path).map_err(unreadable)?;
        file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > MOST_BYTES {
            return Err(ResultsError::TooLarge { path: path.to_owned() });
        }
        let AnyFormat { format } = serde_json::from_str(&text).map_err(not_a_run)?;
        if format != FORMAT {
            return Err(ResultsError::Format { path: path.to_owned(), found: format });
        }
        serde_json::from_str(&text).map_err(not_a_run)
    }

    /// The file's text.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("its keys are texts, and it is all in memory");
        text.push('\n');
        text
    }
}

impl Counts {
    /// Answers, on time or not.
    pub fn answered(&self) -> u64 {
        self.on_time + self.late
    }
}
