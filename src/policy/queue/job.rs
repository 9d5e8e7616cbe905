//! The three forms of a job: submitted, queued, running.

use std::fmt;
use std::time::{Duration, Instant};

use crate::engine::Width;
use crate::policy::{JobConstraints, RequestOptions, WidthReason};

/// What a job carries for its owner. The queue only asks whether anyone still wants the answer.
pub trait Payload {
    /// What a worker needs to decode the image, such as a shared reference to its bytes.
    type Encoded: fmt::Debug;

    /// What to decode. Never called for a job without anything to decode.
    fn encoded(&self) -> Self::Encoded;

    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool {
        false
    }
}

/// A job that is offered to the queue.
#[derive(Debug, Clone)]
pub struct SubmittedJob<P> {
    /// Index of its model.
    pub model: usize,
    /// What its request asks for.
    pub options: RequestOptions,
    /// Arrival of its request.
    pub arrived: Instant,
    /// The time from then to the answer. Without one, the default budget from its submission is a target.
    pub budget: Option<Duration>,
    /// Length of the encoded image in bytes, from which the decoding time is estimated; `None` if there is nothing to decode.
    pub encoded_bytes: Option<usize>,
    /// What its owner needs.
    pub payload: P,
}

/// A job that was accepted.
#[derive(Debug)]
pub struct QueuedJob<P> {
    /// Unique within its queue, ascending in the order of submission.
    pub id: u64,
    /// What policies know about it.
    pub constraints: JobConstraints,
    /// When it was accepted.
    pub queued_at: Instant,
    /// How long its decoding took; zero until then.
    pub decoding: Duration,
    /// What its owner needs.
    pub payload: P,
}

/// A job of a batch.
#[derive(Debug)]
pub struct RunningJob<P> {
    /// The job as it was queued.
    pub job: QueuedJob<P>,
    /// The narrowest width that it allows: where it starts if it may stop before `width`.
    pub from: Width,
    /// The width to run it at; if it may stop before, the widest.
    pub width: Width,
    /// Why this width.
    pub reason: WidthReason,
}

/// An image to decode. Its job stays in the queue and may be shed meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeTask<E> {
    /// Id of the job.
    pub id: u64,
    /// Index of the model that will read it.
    pub model: usize,
    /// Deadline of the job, by which the queue finds it.
    pub deadline: Instant,
    /// Length of the encoded image in bytes.
    pub bytes: usize,
    /// What to decode.
    pub encoded: E,
}
