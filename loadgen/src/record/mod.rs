//! What became of every request: on time or not, over time and in all.
//!
//! Knows neither clocks nor connections: it is told.

mod sum;
mod times;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::models::Accuracy;
use crate::results::{AtWidth, Counts, Interval, Tally, Totals};
use crate::width::Width;
use sum::{Sum, round};
use times::Times;
use words::Words;

/// A request, when all is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// When it was due, from the start.
    pub at: Duration,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// Too many others were without an answer.
    NotSent,
    /// It went out.
    Sent {
        /// From the time when it was due to its first byte.
        lateness: Duration,
        /// From the time when it was due to the end of what came back.
        latency: Duration,
        /// The longest latency that is on time; `None` if any is.
        deadline: Option<Duration>,
        /// What came back.
        outcome: Outcome,
    },
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// An answer.
    Answered {
        /// The width that ran, where it is known.
        width: Option<Width>,
        /// The server's word for why.
        reason: Option<String>,
    },
    /// A refusal: its status, and the server's word for it.
    Refused(String),
    /// Neither, and why.
    Failed(String),
}

/// Counts requests as they end.
#[derive(Debug)]
pub struct Recorder {
    interval: Duration,
    accuracy: Accuracy,
    bins: Vec<Bin>,
    all: Bin,
    refusals: Times,
    lateness: Times,
    widths: BTreeMap<Width, (u64, u64)>,
    reasons: Words,
    refused: Words,
    failed: Words,
}

/// Requests that are counted together.
#[derive(Debug)]
struct Bin {
    counts: Counts,
    latency: Times,
    widths: Sum,
    /// Of the answers on time, by their widths.
    accuracy: Sum,
}

/// What a recorder has counted, for [`Results`](crate::results::Results).
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
    /// Counts in intervals of this length; answers are worth what `accuracy` says of their widths.
    pub fn new(interval: Duration, accuracy: Accuracy) -> Recorder {
        Recorder {
            interval,
            accuracy,
            bins: Vec::new(),
            all: Bin::new(Times::fine()),
            refusals: Times::fine(),
            lateness: Times::fine(),
            widths: BTreeMap::new(),
            reasons: Words::default(),
            refused: Words::default(),
            failed: Words::default(),
        }
    }

    /// Counts a request that is over. They may come in any order.
    pub fn add(&mut self, record: Record) {
        let index = (record.at.as_nanos() / self.interval.as_nanos()) as usize;
        while self.bins.len() <= index {
            self.bins.push(Bin::new(Times::coarse()));
        }
        let bins = [&mut self.bins[index], &mut self.all];
        match record.fate {
            Fate::NotSent => bins.map(|bin| bin.count(|counts| &mut counts.not_sent)),
            Fate::Sent { lateness, latency, deadline, outcome } => {
                self.lateness.add(lateness);
                match outcome {
                    Outcome::Answered { width, reason } => {
                        let on_time = deadline.is_none_or(|deadline| latency <= deadline);
                        reason.into_iter().for_each(|word| self.reasons.count(word));
                        if let Some(width) = width {
                            let (answers, in_time) = self.widths.entry(width).or_default();
                            *answers += 1;
                            *in_time += u64::from(on_time);
                        }
                        let accuracy = width.and_then(|width| self.accuracy.at(width));
                        bins.map(|bin| bin.answered(latency, on_time, width, accuracy))
                    }
                    Outcome::Refused(why) => {
                        self.refusals.add(latency);
                        self.refused.count(why);
                        bins.map(|bin| bin.count(|counts| &mut counts.refused))
                    }
                    Outcome::Failed(why) => {
                        self.failed.count(why);
                        bins.map(|bin| bin.count(|counts| &mut counts.failed))
                    }
                }
            }
        };
    }

    /// Counts so far.
    pub fn counts(&self) -> Counts {
        self.all.counts
    }

    /// All that was counted, in a run that took so long.
    pub fn finish(self, duration: Duration) -> Recorded {
        let at_s = |index: usize| round(index as f64 * self.interval.as_secs_f64());
        let intervals = self.bins.iter().enumerate().map(|(index, bin)| Interval {
            at_s: at_s(index),
            counts: bin.counts,
            width: bin.widths.spread(),
            latency_ms: bin.latency.percentiles(),
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
        let Bin { counts, latency, widths, accuracy } = &self.all;
        let of_all = |sum: f64| (counts.offered > 0).then(|| round(sum / counts.offered as f64));
        // With a single answer whose worth is not known, neither is that of all.
        let is_known = accuracy.count == counts.on_time && !self.accuracy.is_empty();
        Totals {
            duration_s: round(duration.as_secs_f64()),
            counts: *counts,
            attainment: of_all(counts.on_time as f64),
            mean_width: widths.mean(),
            mean_accuracy: accuracy.mean().filter(|_| is_known),
            effective_accuracy: of_all(accuracy.total).filter(|_| is_known),
            latency_ms: latency.percentiles(),
            refusal_ms: self.refusals.percentiles(),
            lateness_ms: self.lateness.percentiles(),
        }
    }
}

impl Bin {
    fn new(latency: Times) -> Bin {
        Bin { counts: Counts::default(), latency, widths: Sum::default(), accuracy: Sum::default() }
    }

    fn count(&mut self, which: impl Fn(&mut Counts) -> &mut u64) {
        self.counts.offered += 1;
        *which(&mut self.counts) += 1;
    }

    fn answered(&mut self, latency: Duration, on_time: bool, width: Option<Width>, accuracy: Option<f64>) {
        self.count(|counts| if on_time { &mut counts.on_time } else { &mut counts.late });
        self.latency.add(latency);
        width.inspect(|width| self.widths.add(width.as_f64()));
        accuracy.filter(|_| on_time).inspect(|&accuracy| self.accuracy.add(accuracy));
    }
}

#[cfg(test)]
mod tests;
