//! What a worker is given to do.

use std::fmt;
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
    /// Pictures, the most urgent first.
    Decode(Vec<Encoded>),
    /// Jobs that run together.
    Run(Batch),
}

/// A picture to decode. Its job stays in the queue meanwhile.
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
    /// Of a batch that takes long: the way to ask whether it may go on.
    pub look: Option<Look>,
}

/// Tells a batch under way the widest width that those who came meanwhile leave it.
pub struct Look(pub Box<dyn Fn() -> Width + Send>);

impl Look {
    /// The widest width now.
    pub fn ceiling(&self) -> Width {
        (self.0)()
    }
}

impl fmt::Debug for Look {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Look")
    }
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
