//! The queue in numbers, from which metrics, events and the page derive.

use std::time::Duration;

use super::{JobQueue, Payload};
use crate::engine::Width;

/// The queue at this moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QueueStatistics {
    /// Jobs that wait for a worker or are being decoded.
    pub length: usize,
    /// The share of its slack that a job must have left to be accepted.
    pub reserve: f64,
    /// Mean time of recent decodings; zero before the first.
    pub decoding: Duration,
}

/// A model at this moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelStatistics {
    /// How many times longer batches take now than they did at start-up.
    pub correction: f64,
    /// Images per second that all workers answer together at full width, decoding included.
    pub capacity: f64,
}

/// What came of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BatchReport {
    /// The widths that ran; empty if the worker did anything else besides, so that its time says nothing about them.
    pub widths: Vec<Width>,
    /// Jobs that were answered by their deadlines.
    pub on_time: usize,
    /// Jobs that were answered after them.
    pub late: usize,
}

impl<P: Payload> JobQueue<P> {
    /// The queue at this moment.
    pub fn statistics(&self) -> QueueStatistics {
        QueueStatistics { length: self.len(), reserve: self.policy.reserve(), decoding: self.decode_times.mean() }
    }

    /// A model at this moment.
    ///
    /// # Panics
    /// If there is no model with this index.
    pub fn model_statistics(&self, model: usize) -> ModelStatistics {
        let (profile, decoding) = (&self.profiles[model], self.decode_times.mean());
        let each = profile.images_per_second(Width::FULL, self.settings.max_batch, decoding);
        ModelStatistics { correction: profile.correction(), capacity: self.settings.workers as f64 * each }
    }
}
