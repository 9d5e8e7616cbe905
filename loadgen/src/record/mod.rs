//! Counts the outcome of every request, over time and in total.
//!
//! Must not know clocks or connections: callers pass all times.

mod sum;
mod tallies;
mod times;

use std::collections::BTreeMap;
use std::time::Duration;

use anywidth::engine::Width;

use crate::models::Accuracy;
use crate::results::{AtWidth, Counts, Interval, Tally, Totals};
use sum::{Sum, Widths, round};
use tallies::Tallies;
use times::Times;

/// A finished request.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// When it was due, from the start of the run.
    pub at: Duration,
    /// The outcome.
    pub attempt: Attempt,
}

/// What happened to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Attempt {
    /// Not sent, because too many requests were outstanding.
    NotSent,
    /// Sent.
    Sent {
        /// From the scheduled time to the first byte sent.
        lateness: Duration,
        /// From the scheduled time to the end of the answer.
        latency: Duration,
        /// Maximum latency that counts as on time; `None` if any does.
        deadline: Option<Duration>,
        /// The server's response.
        outcome: Outcome,
    },
}

/// The server's response to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// An answer.
    Answered {
        /// The width that ran, if known.
        width: Option<Width>,
        /// The server's reason for the width.
        reason: Option<String>,
        /// Whether its most probable class is the image's, if that is known.
        correct: Option<bool>,
    },
    /// A refusal: its status and the server's error code.
    Refused(String),
    /// Any other failure, with its cause.
    Failed(String),
}

/// The class in which a request is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    OnTime,
    Late,
    Refused,
    Failed,
    NotSent,
}

/// Counts requests as they finish.
#[derive(Debug)]
pub struct Recorder {
    interval: Duration,
    accuracy: Accuracy,
    bins: Vec<Bin>,
    all: Bin,
    refusals: Times,
    widths: BTreeMap<Width, (u64, u64)>,
    reasons: Tallies,
    refused: Tallies,
    failed: Tallies,
}

/// Requests of one interval.
#[derive(Debug)]
struct Bin {
    counts: Counts,
    latency: Times,
    lateness: Times,
    widths: Widths,
    /// Accuracies of the answers on time, by their widths.
    accuracy: Sum,
    /// Of the answers on time to labelled images, 1 for those that are right.
    correct: Sum,
}

/// The totals of a recorder, for [`Results`](crate::results::Results).
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "as in the results")]
pub struct Recorded {
    pub totals: Totals,
    pub widths: Vec<AtWidth>,
    pub reasons: Vec<Tally>,
    pub refusals: Vec<Tally>,
    pub failures: Vec<Tally>,
    pub intervals: Vec<Interval>,
}

impl Recorder {
    /// Counts in intervals of this length; `accuracy` gives the accuracy of an answer by its width.
    pub fn new(interval: Duration, accuracy: Accuracy) -> Recorder {
        Recorder {
            interval,
            accuracy,
            bins: Vec::new(),
            all: Bin::new(Times::fine),
            refusals: Times::fine(),
            widths: BTreeMap::new(),
            reasons: Tallies::default(),
            refused: Tallies::default(),
            failed: Tallies::default(),
        }
    }

    /// Counts a finished request, in any order.
    pub fn add(&mut self, Record { at, attempt }: Record) {
        let index = (at.as_nanos() / self.interval.as_nanos()) as usize;
        while self.bins.len() <= index {
            self.bins.push(Bin::new(Times::coarse));
        }
        for bin in [&mut self.bins[index], &mut self.all] {
            bin.add(&attempt, &self.accuracy);
        }
        let on_time = attempt.verdict() == Verdict::OnTime;
        let Attempt::Sent { latency, outcome, .. } = attempt else { return };
        match outcome {
            Outcome::Answered { width, reason, .. } => {
                reason.into_iter().for_each(|word| self.reasons.count(word));
                if let Some(width) = width {
                    let (answers, in_time) = self.widths.entry(width).or_default();
                    (*answers, *in_time) = (*answers + 1, *in_time + u64::from(on_time));
                }
            }
            Outcome::Refused(reason) => {
                self.refusals.add(latency);
                self.refused.count(reason);
            }
            Outcome::Failed(reason) => self.failed.count(reason),
        }
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        self.all.counts
    }

    /// All results of a run of this duration.
    pub fn finish(self, duration: Duration) -> Recorded {
        let at_s = |index: usize| round(index as f64 * self.interval.as_secs_f64());
        let intervals = self.bins.iter().enumerate().map(|(index, bin)| Interval {
            at_s: at_s(index),
            counts: bin.counts,
            width: bin.widths.spread(),
            latency_ms: bin.latency.percentiles(),
            lateness_ms: bin.lateness.percentiles(),
        });
        let at_width = |(&width, &(answers, on_time)): (&Width, &(u64, u64))| AtWidth { width, answers, on_time };
        Recorded {
            intervals: intervals.collect(),
            totals: self.totals(duration),
            widths: self.widths.iter().map(at_width).collect(),
            reasons: self.reasons.tallies(),
            refusals: self.refused.tallies(),
            failures: self.failed.tallies(),
        }
    }

    fn totals(&self, duration: Duration) -> Totals {
        let Bin { counts, latency, lateness, widths, accuracy, correct } = &self.all;
        let of_all = |sum: f64| (counts.offered > 0).then(|| round(sum / counts.offered as f64));
        // One answer of unknown accuracy makes the mean unknown.
        let is_known = accuracy.count == counts.on_time && !self.accuracy.is_empty();
        Totals {
            duration_s: round(duration.as_secs_f64()),
            counts: *counts,
            attainment: of_all(counts.on_time as f64),
            mean_width: widths.mean(),
            mean_accuracy: accuracy.mean().filter(|_| is_known),
            effective_accuracy: of_all(accuracy.total).filter(|_| is_known),
            labelled_accuracy: correct.mean(),
            labelled_effective_accuracy: of_all(correct.total).filter(|_| correct.count > 0),
            latency_ms: latency.percentiles(),
            refusal_ms: self.refusals.percentiles(),
            lateness_ms: lateness.percentiles(),
        }
    }
}

impl Bin {
    fn new(times: fn() -> Times) -> Bin {
        let ([accuracy, correct], widths) = ([Sum::default(); 2], Widths::default());
        Bin { counts: Counts::default(), latency: times(), lateness: times(), widths, accuracy, correct }
    }

    fn add(&mut self, attempt: &Attempt, accuracy: &Accuracy) {
        let verdict = attempt.verdict();
        self.counts.offered += 1;
        *verdict.of(&mut self.counts) += 1;
        let Attempt::Sent { lateness, latency, outcome, .. } = attempt else { return };
        self.lateness.add(*lateness);
        let Outcome::Answered { width, correct, .. } = outcome else { return };
        self.latency.add(*latency);
        width.inspect(|width| self.widths.add(*width));
        let worth = width.and_then(|width| accuracy.at(width)).filter(|_| verdict == Verdict::OnTime);
        worth.inspect(|&worth| self.accuracy.add(worth));
        let correct = correct.filter(|_| verdict == Verdict::OnTime);
        correct.inspect(|&correct| self.correct.add(f64::from(correct)));
    }
}

impl Attempt {
    fn verdict(&self) -> Verdict {
        match self {
            Attempt::NotSent => Verdict::NotSent,
            Attempt::Sent { latency, deadline, outcome: Outcome::Answered { .. }, .. } => {
                let on_time = deadline.is_none_or(|deadline| *latency <= deadline);
                if on_time { Verdict::OnTime } else { Verdict::Late }
            }
            Attempt::Sent { outcome: Outcome::Refused(_), .. } => Verdict::Refused,
            Attempt::Sent { outcome: Outcome::Failed(_), .. } => Verdict::Failed,
        }
    }
}

impl Verdict {
    fn of(self, counts: &mut Counts) -> &mut u64 {
        match self {
            Verdict::OnTime => &mut counts.on_time,
            Verdict::Late => &mut counts.late,
            Verdict::Refused => &mut counts.refused,
            Verdict::Failed => &mut counts.failed,
            Verdict::NotSent => &mut counts.not_sent,
        }
    }
}

#[cfg(test)]
mod tests;
