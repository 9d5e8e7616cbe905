//! What became of every request: on time or not, over time and in all.
//!
//! Knows neither clocks nor connections: it is told.

mod sum;
mod times;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use anywidth::engine::Width;

use crate::models::Accuracy;
use crate::results::{AtWidth, Counts, Interval, Tally, Totals};
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

/// What a request's fate counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    OnTime,
    Late,
    Refused,
    Failed,
    NotSent,
}

/// Counts requests as they end.
#[derive(Debug)]
pub struct Recorder {
    interval: Duration,
    accuracy: Accuracy,
    bins: Vec<Bin>,
    all: Bin,
    refusals: Times,
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
    lateness: Times,
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
            all: Bin::new(Times::fine),
            refusals: Times::fine(),
            widths: BTreeMap::new(),
            reasons: Words::default(),
            refused: Words::default(),
            failed: Words::default(),
        }
    }

    /// Counts a request that is over. They may come in any order.
    pub fn add(&mut self, Record { at, fate }: Record) {
        let index = (at.as_nanos() / self.interval.as_nanos()) as usize;
        while self.bins.len() <= index {
            self.bins.push(Bin::new(Times::coarse));
        }
        for bin in [&mut self.bins[index], &mut self.all] {
            bin.add(&fate, &self.accuracy);
        }
        let on_time = fate.verdict() == Verdict::OnTime;
        let Fate::Sent { latency, outcome, .. } = fate else { return };
        match outcome {
            Outcome::Answered { width, reason } => {
                reason.into_iter().for_each(|word| self.reasons.count(word));
                if let Some(width) = width {
                    let (answers, in_time) = self.widths.entry(width).or_default();
                    (*answers, *in_time) = (*answers + 1, *in_time + u64::from(on_time));
                }
            }
            Outcome::Refused(why) => {
                self.refusals.add(latency);
                self.refused.count(why);
            }
            Outcome::Failed(why) => self.failed.count(why),
        }
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
        let Bin { counts, latency, lateness, widths, accuracy } = &self.all;
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
            lateness_ms: lateness.percentiles(),
        }
    }
}

impl Bin {
    fn new(times: fn() -> Times) -> Bin {
        let (widths, accuracy) = (Sum::default(), Sum::default());
        Bin { counts: Counts::default(), latency: times(), lateness: times(), widths, accuracy }
    }

    fn add(&mut self, fate: &Fate, accuracy: &Accuracy) {
        let verdict = fate.verdict();
        self.counts.offered += 1;
        *verdict.of(&mut self.counts) += 1;
        let Fate::Sent { lateness, latency, outcome, .. } = fate else { return };
        self.lateness.add(*lateness);
        let Outcome::Answered { width, .. } = outcome else { return };
        self.latency.add(*latency);
        width.inspect(|width| self.widths.add(width.as_f64()));
        let worth = width.and_then(|width| accuracy.at(width)).filter(|_| verdict == Verdict::OnTime);
        worth.inspect(|&worth| self.accuracy.add(worth));
    }
}

impl Fate {
    fn verdict(&self) -> Verdict {
        match self {
            Fate::NotSent => Verdict::NotSent,
            Fate::Sent { latency, deadline, outcome: Outcome::Answered { .. }, .. } => {
                let on_time = deadline.is_none_or(|deadline| *latency <= deadline);
                if on_time { Verdict::OnTime } else { Verdict::Late }
            }
            Fate::Sent { outcome: Outcome::Refused(_), .. } => Verdict::Refused,
            Fate::Sent { outcome: Outcome::Failed(_), .. } => Verdict::Failed,
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
