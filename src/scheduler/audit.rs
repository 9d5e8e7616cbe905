//! Audits: in idle time, images that stopped early run at full width after all, to see whether their answers hold.
//!
//! An audit happens after the answer was sent, on a worker that nobody needs, for a bounded share of the time that it is idle. What
//! comes of it corrects the gain table: see [`Agreement`](crate::policy::Agreement). A job that arrives meanwhile waits at most for
//! one image.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Input;
use crate::engine::Width;
use crate::repository::ServedModel;

/// An image that stopped early.
#[derive(Debug)]
pub(super) struct Sample {
    /// A retired model is not held for this.
    pub(super) model: Weak<ServedModel>,
    /// The decoded image.
    pub(super) input: Input,
    pub(super) stopped: Stopped,
}

/// Where an image stopped, and with what answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stopped {
    /// The width.
    pub width: Width,
    /// Calibrated probability of the most probable class.
    pub probability: f32,
    /// That class.
    pub class: usize,
}

/// What came of an audit.
#[derive(Debug, Clone)]
pub struct Audit {
    /// The model.
    pub model: Arc<ServedModel>,
    /// Where the image had stopped.
    pub stopped: Stopped,
    /// Whether its most probable class is the same at full width.
    pub agrees: bool,
}

/// The latest images of one worker that stopped early.
#[derive(Debug, Default)]
pub(super) struct Samples(VecDeque<Sample>);

/// Says when a worker that is idle may audit an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdleBudget {
    /// The share of idle time that audits may take, from 0 to 1.
    share: f64,
    /// What the latest audit took.
    cost: Duration,
    /// Idle time since that audit.
    idle: Duration,
    /// Whether there may be an image to audit.
    pending: bool,
}

/// The images that a worker keeps.
const MAX_SAMPLES: usize = 16;
/// What the first audit is assumed to take.
const FIRST_COST: Duration = Duration::from_millis(5);

impl Samples {
    /// Keeps an image instead of the oldest.
    pub(super) fn push(&mut self, sample: Sample) {
        if self.0.len() == MAX_SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    /// The next image to audit: the latest, as load changes.
    pub(super) fn pop(&mut self) -> Option<Sample> {
        self.0.pop_back()
    }
}

impl IdleBudget {
    pub(super) fn new(share: f64) -> IdleBudget {
        IdleBudget { share, cost: FIRST_COST, idle: Duration::ZERO, pending: false }
    }

    /// The idle time after which the worker may audit; `None` if it may not, or has no image.
    pub(super) fn patience(&self) -> Option<Duration> {
        (self.pending && self.share > 0.0).then(|| self.due().saturating_sub(self.idle))
    }

    /// The worker was idle for `time`.
    pub(super) fn was_idle(&mut self, time: Duration) {
        // Idle time is not saved for later: at most one audit is due.
        self.idle = self.idle.saturating_add(time).min(self.due());
    }

    /// The worker ran a batch, from which images may be left.
    pub(super) fn ran(&mut self) {
        self.pending = true;
    }

    /// An audit took `cost`; `None` if there was no image.
    pub(super) fn audited(&mut self, cost: Option<Duration>) {
        match cost {
            Some(cost) => (self.cost, self.idle) = (cost, Duration::ZERO),
            None => self.pending = false,
        }
    }

    /// The idle time that pays for an audit; for ever if they may take none.
    fn due(&self) -> Duration {
        Duration::try_from_secs_f64(self.cost.as_secs_f64() / self.share).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn audits_take_their_share_of_idle_time() {
        let mut budget = IdleBudget::new(0.01);
        assert_eq!(budget.patience(), None, "there is no image");
        budget.ran();
        assert_eq!(budget.patience(), Some(500 * MS));
        budget.was_idle(200 * MS);
        assert_eq!(budget.patience(), Some(300 * MS));
        budget.was_idle(10_000 * MS);
        assert_eq!(budget.patience(), Some(Duration::ZERO));
        budget.audited(Some(MS));
        assert_eq!(budget.patience(), Some(100 * MS));
        budget.audited(None);
        assert_eq!(budget.patience(), None);
        budget.ran();
        assert!(budget.patience().is_some());
        let mut never = IdleBudget { share: 0.0, ..budget };
        never.was_idle(Duration::MAX / 4);
        assert_eq!(never.patience(), None);
    }
}
