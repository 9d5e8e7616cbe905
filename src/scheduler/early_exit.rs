//! A running job that may stop at a narrower width, once it is confident.
//!
//! Checking on the way costs next to nothing: widening computes nothing twice.

use super::RunningJob;
use crate::engine::{Metadata, Width, predict};
use crate::policy::WidthReason;

/// A job, and the widths at which it may exit.
#[derive(Debug)]
pub(super) struct EarlyExit {
    pub(super) running: RunningJob,
    /// Ascending; the last is the job's planned width.
    exit_widths: Vec<Width>,
    /// How many of them were asked for.
    taken: usize,
    confident: bool,
}

/// The most widths at which a job with a confidence checks it.
const EXITS: usize = 4;

impl EarlyExit {
    pub(super) fn new(running: RunningJob, grid: &[Width]) -> EarlyExit {
        let exit_widths = match running.job.payload.confidence {
            Some(_) => exit_widths(running.from, running.width, grid),
            None => vec![running.width],
        };
        EarlyExit { running, exit_widths, taken: 0, confident: false }
    }

    /// The next width to compute.
    pub(super) fn next_width(&mut self) -> Width {
        self.taken += 1;
        self.width()
    }

    /// The width that was asked for last.
    pub(super) fn width(&self) -> Width {
        self.exit_widths.get(self.taken.saturating_sub(1)).copied().unwrap_or(self.running.width)
    }

    /// Whether the job exits with these logits, which are those at [`EarlyExit::width`].
    pub(super) fn exits(&mut self, logits: &[f32], metadata: &Metadata) -> bool {
        let top = |width| predict(logits, width, metadata, 1).first().map_or(0.0, |first| first.probability);
        let below = self.taken < self.exit_widths.len();
        let bound = self.running.job.payload.confidence;
        self.confident = below && bound.is_some_and(|bound| top(self.width()) >= bound);
        self.confident || !below
    }

    /// Why it has its width.
    pub(super) fn reason(&self) -> WidthReason {
        if self.confident { WidthReason::Confident } else { self.running.reason }
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
