//! What a worker is given to do.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::QueuedJob;
use crate::engine::Width;
use crate::policy::WidthReason;
use crate::repository::ServedModel;

/// The work of a free worker.
#[derive(Debug)]
pub(super) enum Task {
    /// Images, the most urgent first.
    Decode(Vec<Encoded>),
    /// Jobs that run together.
    Run(Batch),
}

/// An image to decode. Its job stays in the queue meanwhile.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// Its job.
    pub(super) id: u64,
    /// Where in the queue that is.
    pub(super) deadline: Instant,
    /// The model that will read it.
    pub model: Arc<ServedModel>,
    /// As it came.
    pub image: Bytes,
}

/// Jobs of one model that run together; their widths may differ.
#[derive(Debug)]
pub struct Batch {
    /// The model of all of them.
    pub model: Arc<ServedModel>,
    /// At least one, at most the largest batch.
    pub jobs: Vec<PlannedJob>,
}

/// A job with its width.
#[derive(Debug)]
pub struct PlannedJob {
    /// The job, decoded.
    pub queued: QueuedJob,
    /// The narrowest width that it allows: where it begins, if it stops once it is confident.
    pub from: Width,
    /// The width to run it at.
    pub width: Width,
    /// Why it is this one.
    pub reason: WidthReason,
}
