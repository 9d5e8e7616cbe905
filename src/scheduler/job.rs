//! What is asked of the scheduler, and what it answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::engine::{Scores, Width};
use crate::image::{ImageError, InputSpec};
use crate::policy::{self, Overload, Payload, RequestOptions, SubmittedJob, WidthReason};
use crate::repository::ServedModel;

/// An image to classify.
#[derive(Debug, Clone)]
pub struct Job {
    /// The model to run.
    pub model: Arc<ServedModel>,
    /// The image.
    pub input: Input,
    /// The widths at which it may run, and its priority.
    pub options: RequestOptions,
    /// Stop at the first width at which the most probable class has at least this probability.
    pub confidence: Option<f32>,
    /// Arrival of its request.
    pub arrived: Instant,
    /// The time from then to the answer. Without one, the default budget from its submission is a target: the job is answered
    /// even if it is late.
    pub budget: Option<Duration>,
    /// Also answer for every narrower step of the model's grid.
    pub all_widths: bool,
}

/// An image, in one of the forms in which a request may bring it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A JPEG, PNG or WebP file.
    Encoded(Bytes),
    /// The pixels that the model reads, one byte each, `[C, H, W]`.
    Pixels(Bytes),
    /// The values that the network reads, little-endian float32, `[C, H, W]`.
    Tensor(Bytes),
}

/// What the model says of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The width that ran.
    pub width: Width,
    /// Why this width.
    pub reason: WidthReason,
    /// Whether the answer was ready only after the deadline.
    pub late: bool,
    /// The scores of all classes.
    pub scores: Scores,
    /// The scores at every step of the grid up to the width, ascending, if they were requested.
    pub all_widths: Option<Vec<(Width, Scores)>>,
    /// Where the time went.
    pub timing: Timing,
}

/// The parts of a job's time. A batch runs as one, so `inference` is the whole batch's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// Waiting for a worker, to be decoded and to run.
    pub queue: Duration,
    /// From the bytes to the pixels that the model reads.
    pub decode: Duration,
    /// Running the model.
    pub inference: Duration,
}

/// Why an accepted job has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JobError {
    /// The image is at fault.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The caller's deadline passed in the queue, or was too near for the narrowest width.
    #[error("the deadline passed while the image waited, or was too near for the narrowest width")]
    Late,
    /// It made room for others.
    #[error(transparent)]
    Shed(#[from] Overload),
    /// The network's scores are infinite or NaN: a fault of the model.
    #[error("the model produced scores for this image that are not finite numbers")]
    NonFinite,
    /// The worker failed: a fault of this program.
    #[error("the worker failed")]
    WorkerFailed,
}

/// Waits for the answer to a job; dropping it abandons the job.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Result<Answer, JobError>>);

/// What a job carries through the queue: the image, the form of the answer, and the way back to the caller.
#[derive(Debug)]
pub struct ImageRequest {
    /// The image; once it is decoded, its pixels.
    pub input: Input,
    /// As in [`Job`].
    pub confidence: Option<f32>,
    /// As in [`Job`].
    pub all_widths: bool,
    caller: oneshot::Sender<Result<Answer, JobError>>,
}

/// A job in the queue.
pub type QueuedJob = policy::QueuedJob<ImageRequest>;
/// A job of a batch.
pub type RunningJob = policy::RunningJob<ImageRequest>;

impl Job {
    /// The job as the queue takes it, with the ticket for its answer. `model` is the index of its model.
    pub(super) fn submit(self, model: usize) -> (SubmittedJob<ImageRequest>, Ticket) {
        let (caller, answer) = oneshot::channel();
        let Job { input, options, confidence, arrived, budget, all_widths, .. } = self;
        let encoded_bytes = input.encoded().map(Bytes::len);
        let payload = ImageRequest { input, confidence, all_widths, caller };
        (SubmittedJob { model, options, arrived, budget, encoded_bytes, payload }, Ticket(answer))
    }
}

impl Input {
    /// The file, if it is to be decoded.
    fn encoded(&self) -> Option<&Bytes> {
        match self {
            Input::Encoded(file) => Some(file),
            Input::Pixels(_) | Input::Tensor(_) => None,
        }
    }

    /// The values that the network reads, `[C, H, W]`.
    ///
    /// # Panics
    /// If it is not decoded.
    pub(super) fn values(&self, spec: &InputSpec) -> Vec<f32> {
        match self {
            Input::Encoded(_) => unreachable!("a batch has only decoded images"),
            Input::Pixels(pixels) => spec.values(pixels),
            Input::Tensor(bytes) => bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect(),
        }
    }

    /// The same input with other bytes of the same content.
    pub(crate) fn with_bytes(self, replace: impl FnOnce(Bytes) -> Bytes) -> Input {
        match self {
            Input::Encoded(file) => Input::Encoded(replace(file)),
            Input::Pixels(pixels) => Input::Pixels(replace(pixels)),
            Input::Tensor(values) => Input::Tensor(replace(values)),
        }
    }
}

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

impl ImageRequest {
    /// Sends the outcome to the caller.
    pub fn reply(self, outcome: Result<Answer, JobError>) {
        // The caller of an answered job can count on the image's memory.
        drop(self.input);
        // The caller may leave at any time; then nobody misses the answer.
        let _ = self.caller.send(outcome);
    }
}

impl Payload for ImageRequest {
    type Encoded = Bytes;

    fn encoded(&self) -> Bytes {
        self.input.encoded().cloned().unwrap_or_default()
    }

    fn is_abandoned(&self) -> bool {
        self.caller.is_closed()
    }
}

/// Sends answers to their callers, who wait in the runtime `callers`.
///
/// A caller that wakes up takes the core from the worker, before the next one is told. So several are told from within the
/// runtime: it wakes up once for all of them.
pub(super) fn answer_all(answered: Vec<(QueuedJob, Result<Answer, JobError>)>, callers: &Handle) {
    let reply = |(job, outcome): (QueuedJob, Result<Answer, JobError>)| job.payload.reply(outcome);
    if answered.len() > 1 {
        callers.spawn(async move { answered.into_iter().for_each(reply) });
    } else {
        answered.into_iter().for_each(reply);
    }
}
