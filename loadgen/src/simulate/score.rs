//! How well a run went.

use std::time::Duration;

use super::machine::Outcome;

/// The score of a run. Shares are of all requests, those that were refused included.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Score {
    /// Requests that came.
    pub requests: u64,
    /// Of them, refused on arrival.
    pub refused: u64,
    /// Of them, accepted and then shed.
    pub shed: u64,
    /// Of them, answered, but too late.
    pub late: u64,
    /// Of them, answered in time.
    pub on_time: u64,
    /// Of those answered in time, the number that is right, or expected to be.
    pub accuracy_sum: f64,
    /// Sum of the widths of those answered in time.
    pub width_sum: f64,
    /// How often a batch's widest width differed from the one before it.
    pub width_changes: u64,
    /// How long the run was.
    pub length: Duration,
    /// The 99th percentile of the time from arrival to answer.
    pub p99: Duration,
}

impl Score {
    /// The share of requests that were answered in time.
    pub fn attainment(&self) -> f64 {
        self.on_time as f64 / self.requests.max(1) as f64
    }

    /// The share of accepted requests that were answered in time.
    pub fn attainment_of_accepted(&self) -> f64 {
        self.on_time as f64 / (self.requests - self.refused).max(1) as f64
    }

    /// Mean expected accuracy of what was answered in time.
    pub fn accuracy(&self) -> f64 {
        self.accuracy_sum / self.on_time.max(1) as f64
    }

    /// Mean width of what was answered in time.
    pub fn width(&self) -> f64 {
        self.width_sum / self.on_time.max(1) as f64
    }

    /// Expected share of all requests that were answered in time and rightly.
    pub fn effective_accuracy(&self) -> f64 {
        self.accuracy_sum / self.requests.max(1) as f64
    }

    /// Width changes per second.
    pub fn changes_per_second(&self) -> f64 {
        self.width_changes as f64 / self.length.as_secs_f64()
    }

    /// Several runs as one; of the percentiles the largest.
    pub fn sum(scores: &[Score]) -> Score {
        scores.iter().fold(Score::default(), |a, b| Score {
            requests: a.requests + b.requests,
            refused: a.refused + b.refused,
            shed: a.shed + b.shed,
            late: a.late + b.late,
            on_time: a.on_time + b.on_time,
            accuracy_sum: a.accuracy_sum + b.accuracy_sum,
            width_sum: a.width_sum + b.width_sum,
            width_changes: a.width_changes + b.width_changes,
            length: a.length + b.length,
            p99: a.p99.max(b.p99),
        })
    }

    pub(super) fn count(&mut self, outcome: &Outcome) {
        self.requests += 1;
        match *outcome {
            Outcome::Refused => self.refused += 1,
            Outcome::Shed => self.shed += 1,
            Outcome::Answered { late: true, .. } => self.late += 1,
            Outcome::Answered { width, accuracy, .. } => {
                self.on_time += 1;
                self.accuracy_sum += accuracy;
                self.width_sum += width.as_f64();
            }
        }
    }
}
