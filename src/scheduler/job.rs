//! What is asked of a worker, and what comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::oneshot;

use super::Prediction;
use crate::engine::Width;
use crate::picture::PictureError;
use crate::repository::ServedModel;

/// One image to classify.
#[derive(Debug, Clone)]
pub struct Job {
    /// The model to run.
    pub model: Arc<ServedModel>,
    /// The image as it came: a JPEG, PNG or WebP file.
    pub image: Bytes,
    /// The width to run at.
    pub width: Width,
    /// How many classes the answer names.
    pub top_k: usize,
    /// Also answer for every narrower step of the model's grid.
    pub profile: bool,
}

/// The classes that an image most likely shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The width that ran.
    pub width: Width,
    /// Most likely first.
    pub predictions: Vec<Prediction>,
    /// Predictions at every step of the grid up to the width, ascending, where they were asked for.
    pub profile: Option<Vec<(Width, Vec<Prediction>)>>,
    /// Where the time went.
    pub timing: Timing,
}

/// The parts of a job's time. Its batch decodes and runs as one, so those two are the whole batch's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// Waiting for a worker.
    pub queue: Duration,
    /// From the batch's bytes to the model's input.
    pub decode: Duration,
    /// Running the model.
    pub inference: Duration,
}

/// Why a job that was accepted has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JobError {
    /// The image is at fault.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// The worker failed; a fault of this program.
    #[error("the worker failed")]
    WorkerFailed,
}

/// Waits for one job's answer; dropping it abandons the job.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Result<Answer, JobError>>);

impl Ticket {
    /// The answer, once there is one.
    ///
    /// # Errors
    /// [`JobError`] says whose fault it is.
    pub async fn answer(self) -> Result<Answer, JobError> {
        // A worker that fails drops its batch, and the senders with it.
        self.0.await.unwrap_or(Err(JobError::WorkerFailed))
    }
}

/// A job in the queue, with the way back to its caller.
#[derive(Debug)]
pub struct QueuedJob {
    /// What to do.
    pub job: Job,
    /// Since when it waits.
    pub queued_at: Instant,
    caller: oneshot::Sender<Result<Answer, JobError>>,
}

impl QueuedJob {
    pub(super) fn new(job: Job, queued_at: Instant) -> (QueuedJob, Ticket) {
        let (caller, answer) = oneshot::channel();
        (QueuedJob { job, queued_at, caller }, Ticket(answer))
    }

    /// Has the caller left?
    pub fn is_abandoned(&self) -> bool {
        self.caller.is_closed()
    }

    /// Hands the outcome to the caller.
    pub fn reply(self, outcome: Result<Answer, JobError>) {
        // Whoever has the answer can count on the image's memory.
        drop(self.job);
        // The caller may leave at any moment; then nobody misses the answer.
        let _ = self.caller.send(outcome);
    }
}

/// Jobs of one model that run together; their widths may differ.
#[derive(Debug)]
pub struct Batch {
    /// The model of all of them.
    pub model: Arc<ServedModel>,
    /// At least one, at most the largest batch.
    pub jobs: Vec<QueuedJob>,
}
