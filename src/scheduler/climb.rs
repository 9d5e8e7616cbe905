//! A job on its way to its width: at once, or in steps until it is confident.
//!
//! Stopping on the way costs next to nothing: widening does no work twice.

use super::{PlannedJob, predict};
use crate::engine::{Metadata, Width};
use crate::policy::WidthReason;

/// A job, and the widths at which it may stop.
#[derive(Debug)]
pub(super) struct Climb {
    pub(super) job: PlannedJob,
    /// Ascending; the last is the width that the job was given.
    rungs: Vec<Width>,
    /// How many of them have been asked for.
    taken: usize,
    confident: bool,
}

/// Widths at which a job that asks for a confidence looks whether it has it.
const RUNGS: usize = 4;

impl Climb {
    pub(super) fn new(job: PlannedJob, grid: &[Width]) -> Climb {
        let rungs = match job.queued.job.confidence {
            Some(_) => rungs(job.from, job.width, grid),
            None => vec![job.width],
        };
        Climb { job, rungs, taken: 0, confident: false }
    }

    /// The next width to compute.
    pub(super) fn step(&mut self) -> Width {
        self.taken += 1;
        self.width()
    }

    /// The width that was asked for last.
    pub(super) fn width(&self) -> Width {
        self.rungs.get(self.taken.saturating_sub(1)).copied().unwrap_or(self.job.width)
    }

    /// Is this the answer? `logits` are those at [`Climb::width`].
    pub(super) fn is_over(&mut self, logits: &[f32], metadata: &Metadata) -> bool {
        let likeliest = |width| predict(logits, width, metadata, 1).first().map_or(0.0, |first| first.probability);
        let below = self.taken < self.rungs.len();
        self.confident = below && self.job.queued.job.confidence.is_some_and(|bound| likeliest(self.width()) >= bound);
        self.confident || !below
    }

    /// Why it is at its width.
    pub(super) fn reason(&self) -> WidthReason {
        if self.confident { WidthReason::Confident } else { self.job.reason }
    }
}

/// Some steps of the grid, evenly from the one to the other.
fn rungs(from: Width, to: Width, grid: &[Width]) -> Vec<Width> {
    let between: Vec<Width> = grid.iter().copied().filter(|&width| from <= width && width < to).collect();
    let pick = |rung: usize| between.get(rung * between.len() / (RUNGS - 1)).copied();
    let mut rungs: Vec<Width> = (0..RUNGS - 1).filter_map(pick).chain([to]).collect();
    rungs.dedup();
    rungs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn width(text: &str) -> Width {
        text.parse().unwrap()
    }

    #[test]
    fn rungs_are_steps_from_the_narrowest_to_the_widest() {
        let grid: Vec<Width> = (1..=32).map(|channels| Width::of_channels(channels, 32)).collect();
        let rungs = |from: &str, to: &str| rungs(width(from), width(to), &grid);
        assert_eq!(rungs("0.25", "1"), ["0.25", "0.5", "0.75", "1"].map(width));
        assert_eq!(rungs("0.25", "0.3"), ["0.25", "0.28125", "0.3"].map(width));
        assert_eq!(rungs("0.5", "0.5"), [width("0.5")]);
        assert_eq!(rungs("0.4", "0.35"), [width("0.35")]);
    }
}
