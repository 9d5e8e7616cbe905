//! What the queue tells a free worker, and whoever submits a job.

use std::time::{Duration, Instant};

use thiserror::Error;

use super::{DecodeTask, Payload, QueuedJob, RunningJob};
use crate::engine::Width;
use crate::policy::{CeilingReason, ExitRule, Overload, Unsatisfiable};

/// What a free worker does next, and what became of other jobs. It owns its jobs.
#[derive(Debug)]
pub struct Decision<P: Payload> {
    /// The work; `None` if there is none.
    pub task: Option<Task<P>>,
    /// Jobs that left the queue unanswered, with the reasons.
    pub shed: Shed<P>,
    /// Jobs that were dropped since the last decision because nobody waits for them.
    pub abandoned: usize,
}

/// Jobs that left the queue unanswered, with the reasons.
pub type Shed<P> = Vec<(QueuedJob<P>, ShedReason)>;

/// The work of a free worker.
#[derive(Debug)]
pub enum Task<P: Payload> {
    /// Images to decode, the most urgent first.
    Decode(Vec<DecodeTask<P::Encoded>>),
    /// Jobs to run together.
    Run(Batch<P>),
}

/// Jobs of one model that run together. Their widths may differ.
#[derive(Debug)]
pub struct Batch<P> {
    /// Index of their model.
    pub model: usize,
    /// At least one, at most the largest batch; the earliest deadline first.
    pub jobs: Vec<RunningJob<P>>,
    /// When its images stop before their widths; `None` if they do not.
    pub exits: Option<ExitRule>,
    /// Why it was formed like this.
    pub trace: BatchTrace,
}

/// Why a batch was formed as it was: for logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchTrace {
    /// The widest width of a job that pins none; with an exit rule, the one width that takes as long.
    pub ceiling: Width,
    /// Why it is not wider.
    pub reason: CeilingReason,
    /// Jobs that were in the queue, those of the batch included.
    pub queue_length: usize,
    /// Submission of the job of the batch that has waited longest.
    pub oldest: Instant,
    /// Predicted time of the batch.
    pub predicted: Duration,
}

/// Why an accepted job was shed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShedReason {
    /// Its deadline passed, or is too near for its narrowest width.
    Late,
    /// It made room for others.
    Overload(Overload),
}

/// Why submitted jobs were refused.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No load would make it possible.
    #[error(transparent)]
    Unsatisfiable(#[from] Unsatisfiable),
    /// The answer would be late.
    #[error(transparent)]
    Overloaded(#[from] Overload),
    /// The budget was over before the image was there, or leaves too little for any width.
    #[error("of the budget of {} ms too little is left for the narrowest width, now that the image is here", .budget.as_secs_f64() * 1e3)]
    Late {
        /// The caller's budget.
        budget: Duration,
    },
    /// The queue has no room.
    #[error("the queue is full: {waiting} of at most {limit} images wait, {wanted} more do not fit")]
    QueueFull {
        /// Images in the queue.
        waiting: usize,
        /// The most that may be there.
        limit: usize,
        /// Images of this request.
        wanted: usize,
        /// The time in which those in the queue can be answered.
        wait: Duration,
    },
}
