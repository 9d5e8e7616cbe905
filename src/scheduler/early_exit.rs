//! A running job that may stop at a narrower width: once it is confident, or where more width is not worth its time.
//!
//! Checking on the way costs little: widening computes the new channels, and again at most one block of those before.

use super::RunningJob;
use crate::engine::{Metadata, Width, top_probability};
use crate::policy::{ExitRule, WidthReason};

/// A job, the width that it has or is about to have, and why it stops there.
#[derive(Debug)]
pub(super) struct EarlyExit {
    pub(super) running: RunningJob,
    /// The widths at which it may stop without a rule, descending: the last is the next.
    exit_widths: Vec<Width>,
    width: Width,
    reason: WidthReason,
}

/// The most widths at which a job with a confidence checks it without a rule.
const EXITS: usize = 4;

impl EarlyExit {
    /// A job whose first width is to be computed. `rule` is that of its batch.
    pub(super) fn new(running: RunningJob, grid: &[Width], rule: Option<&ExitRule>) -> EarlyExit {
        let (from, to) = (running.from, running.width);
        let mut exit_widths = match (rule, running.job.payload.confidence) {
            (None, Some(_)) => exit_widths(from, to, grid),
            (None, None) => vec![to],
            (Some(rule), _) => vec![rule.start(from).min(to)],
        };
        exit_widths.reverse();
        let (width, reason) = (exit_widths.pop().unwrap_or(to), running.reason);
        EarlyExit { running, exit_widths, width, reason }
    }

    /// The width that it has, or is about to have.
    pub(super) fn width(&self) -> Width {
        self.width
    }

    /// Whether it stops there whatever the answer.
    pub(super) fn is_last(&self) -> bool {
        self.width >= self.running.width
    }

    /// Why it stops.
    pub(super) fn reason(&self) -> WidthReason {
        self.reason
    }

    /// The width to run next, or `None` if the job stops with these logits, which are those at [`EarlyExit::width`].
    pub(super) fn next(&mut self, logits: &[f32], metadata: &Metadata, rule: Option<&ExitRule>) -> Option<Width> {
        let (to, confidence) = (self.running.width, self.running.job.payload.confidence);
        if self.is_last() {
            return None;
        }
        let top = top_probability(logits, metadata.temperature_at(self.width));
        if confidence.is_some_and(|bound| top >= bound) {
            self.reason = WidthReason::Confident;
            return None;
        }
        let next = match rule {
            Some(rule) => rule.next(self.width, top).map(|next| next.min(to)),
            None => self.exit_widths.pop(),
        };
        if next.is_none() {
            self.reason = WidthReason::Gain;
        }
        next
    }

    /// Widens the job.
    pub(super) fn widen(&mut self, width: Width) {
        self.width = width;
    }

    /// Stops the job where it is, for there is no time for more.
    pub(super) fn stop_in_time(&mut self) {
        self.reason = WidthReason::Budget;
    }
}

/// Steps of the grid, evenly spaced between the two widths, and the second width.
fn exit_widths(from: Width, to: Width, grid: &[Width]) -> Vec<Width> {
    let between: Vec<Width> = grid.iter().copied().filter(|&width| from <= width && width < to).collect();
    let pick = |exit: usize| between.get(exit * between.len() / (EXITS - 1)).copied();
    let mut widths: Vec<Width> = (0..EXITS - 1).filter_map(pick).chain([to]).collect();
    widths.dedup();
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn width(text: &str) -> Width {
        text.parse().unwrap()
    }

    #[test]
    fn exit_widths_are_steps_from_the_narrowest_to_the_widest() {
        let grid: Vec<Width> = (1..=32).map(|channels| Width::of_channels(channels, 32)).collect();
        let exits = |from: &str, to: &str| exit_widths(width(from), width(to), &grid);
        assert_eq!(exits("0.25", "1"), ["0.25", "0.5", "0.75", "1"].map(width));
        assert_eq!(exits("0.25", "0.3"), ["0.25", "0.28125", "0.3"].map(width));
        assert_eq!(exits("0.5", "0.5"), [width("0.5")]);
        assert_eq!(exits("0.4", "0.35"), [width("0.35")]);
    }
}
