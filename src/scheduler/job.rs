//! What is asked of the scheduler, and what comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::Prediction;
use crate::engine::Width;
use crate::image::ImageError;
use crate::policy::{Demand, Overload, WidthReason, Wish};
use crate::repository::ServedModel;

/// One image to classify.
#[derive(Debug, Clone)]
pub struct Job {
    /// The model to run.
    pub model: Arc<ServedModel>,
    /// The image as it came: a JPEG, PNG or WebP file.
    pub image: Bytes,
    /// At which widths it may run, and how much it matters.
    pub wish: Wish,
    /// Stop at the first width at which the likeliest class is at least this likely.
    pub confidence: Option<f32>,
    /// When its request came.
    pub arrived: Instant,
    /// The time from then to its answer. Without one, the scheduler's usual budget from when it is submitted is a target:
    /// the job is answered even if it is late.
    pub budget: Option<Duration>,
    /// How many classes the answer names.
    pub top_k: usize,
    /// Also answer for every narrower step of the model's grid.
    pub all_widths: bool,
}

/// The classes that an image most likely shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The width that ran.
    pub width: Width,
    /// Why it was this one.
    pub reason: WidthReason,
    /// Whether the answer was ready only after the deadline.
    pub late: bool,
    /// Most likely first.
    pub predictions: Vec<Prediction>,
    /// Predictions at every step of the grid up to the width, ascending, where they were asked for.
    pub all_widths: Option<Vec<(Width, Vec<Prediction>)>>,
    /// Where the time went.
    pub timing: Timing,
}

/// The parts of a job's time. Its batch runs as one, so the last is the whole batch's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// Waiting for a worker, to decode it and to run it.
    pub queue: Duration,
    /// From its bytes to the pixels that the model reads.
    pub decode: Duration,
    /// Running the model.
    pub inference: Duration,
}

/// Why a job that was accepted has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JobError {
    /// The image is at fault.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The deadline that its caller set came while it waited.
    #[error("the deadline passed while the image waited, or was too near for the narrowest width")]
    Late,
    /// It had to make room for others.
    #[error(transparent)]
    Shed(#[from] Overload),
    /// The network's scores are infinite or NaN: a fault of the model.
    #[error("the model produced scores for this image that are not finite numbers")]
    NonFinite,
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

/// A job that was accepted, with the way back to its caller.
#[derive(Debug)]
pub struct QueuedJob {
    /// What to do. Its image is empty once it is decoded.
    pub job: Job,
    /// What the policy knows of it.
    pub demand: Demand,
    /// Its name among all jobs of the scheduler.
    pub(super) id: u64,
    /// Since when it waits.
    pub queued_at: Instant,
    /// The pixels that the model reads, `[C, H, W]`; empty until it is decoded.
    pub pixels: Vec<u8>,
    /// How long that took.
    pub decoding: Duration,
    caller: oneshot::Sender<Result<Answer, JobError>>,
}

impl QueuedJob {
    pub(super) fn new(job: Job, demand: Demand, id: u64, queued_at: Instant) -> (QueuedJob, Ticket) {
        let (caller, answer) = oneshot::channel();
        let (pixels, decoding) = (Vec::new(), Duration::ZERO);
        (QueuedJob { job, demand, id, queued_at, pixels, decoding, caller }, Ticket(answer))
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

/// Hands answers to their callers, who wait in the runtime `callers`, all at once.
///
/// A caller that wakes takes the processor from the worker, which has stepped back, before the next can be told. So several
/// are told from within the runtime: it wakes once for all of them, and has them to do when it does.
pub(super) fn answer_all(answered: Vec<(QueuedJob, Result<Answer, JobError>)>, callers: &Handle) {
    let reply = |(queued, outcome): (QueuedJob, Result<Answer, JobError>)| queued.reply(outcome);
    if answered.len() > 1 {
        callers.spawn(async move { answered.into_iter().for_each(reply) });
    } else {
        answered.into_iter().for_each(reply);
    }
}
