//! Every error that a caller can receive: its kind, its stable code, its message.
//!
//! One closed list for all protocols. A [`Kind`] says what a caller can do about an error, and has a status in each protocol.

mod kind;

use std::time::Duration;

use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use super::http::{MAX_ENCODINGS, PATHS};
use crate::image::ImageError;
use crate::nearest::did_you_mean;
use crate::policy::{Overload, Refusal};
use crate::repository::NotFound;
use crate::scheduler::{JobError, Refused};
pub(super) use kind::Kind;

/// An error of a request. The message is for people, the code for programs.
#[derive(Debug, Clone, PartialEq, Error)]
pub(super) enum ApiError {
    #[error("bad value {value:?} of {parameter}: {reason}; allowed: {allowed}")]
    BadValue { value: String, parameter: String, reason: &'static str, allowed: String },
    #[error("unknown parameter {name:?}{}; known: {known}", did_you_mean(.nearest))]
    UnknownParameter { name: String, nearest: Option<&'static str>, known: String },
    #[error("the parameter {name:?} is repeated")]
    RepeatedParameter { name: &'static str },
    #[error("{one} and {other} exclude each other: use only one of them")]
    Contradiction { one: &'static str, other: &'static str },
    #[error("the body is empty; send an image (JPEG, PNG or WebP) as body, or as files of a multipart form")]
    EmptyBody,
    #[error("the body did not arrive in full")]
    BrokenBody,
    #[error("the multipart form cannot be read: {reason}")]
    BadMultipart { reason: &'static str },
    #[error("the form field {name:?} is not a file; pass parameters in the query, as in /classify?width=0.5")]
    FieldWithoutFile { name: String },
    #[error("the inference request cannot be read: {reason}")]
    BadInferRequest { reason: String },
    #[error("input {name:?}: {reason}")]
    BadTensor { name: String, reason: String },
    #[error("the model has no {kind} {name:?}; available: {known}")]
    NoSuchTensor { kind: &'static str, name: String, known: String },
    #[error("the request exceeds the limit of {max_images} images")]
    TooManyImages { max_images: usize },
    #[error("the model is not loaded: {reason}")]
    NotLoaded { reason: String },
    #[error("callers may not load or unload models here; start the server with --model-control explicit to allow it")]
    ControlForbidden,
    #[error(transparent)]
    NoSuchModel(#[from] NotFound),
    #[error("there is nothing at {path:?}; available: {PATHS}")]
    NoSuchPath { path: String },
    #[error("{path} does not accept {method}; the Allow header lists the methods that it accepts")]
    NoSuchMethod { method: String, path: String },
    #[error("the body did not arrive within {timeout_ms} ms")]
    SlowBody { timeout_ms: u128 },
    #[error("the body exceeds the limit of {max_bytes} bytes")]
    BodyTooLarge { max_bytes: usize },
    #[error("the decompressed body exceeds the limit of {max_bytes} bytes")]
    InflatedTooLarge { max_bytes: usize },
    #[error(
        "the Content-Encoding is {encoding:?}; allowed: gzip, deflate or identity, at most {MAX_ENCODINGS} of them"
    )]
    UnsupportedEncoding { encoding: String },
    #[error("the body does not match its Content-Encoding: {reason}")]
    BadEncoding { reason: String },
    #[error("the form exceeds the limit of {max_files} files")]
    TooManyFiles { max_files: usize },
    #[error("{}{error}{}", of_file(.file), if *.stripped { STRIPPED } else { "" })]
    Image { file: Option<File>, error: ImageError, stripped: bool },
    #[error("{}{}", of_file(.file), JobError::Late)]
    Late { file: Option<File> },
    #[error("{}{}", of_file(.file), JobError::NonFinite)]
    NonFinite { file: Option<File> },
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error("too many request bodies in progress (limit {max_bytes} bytes together)")]
    MemoryFull { max_bytes: usize },
    #[error("too many event subscribers (limit {most})")]
    TooManySubscribers { most: usize },
    #[error("internal error; see the server's log")]
    Internal,
    #[error("the request's headers are not valid HTTP/1.1")]
    BadHead,
    #[error("the request's target (path and query) is too long")]
    TargetTooLong,
    #[error("the request's headers are too large, more than 100, or have an invalid Content-Length")]
    HeadTooLarge,
    #[error("the request's headers did not arrive within {timeout_ms} ms")]
    SlowHead { timeout_ms: u128 },
}

/// A file of a form, or an image of a tensor.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ErrorFile)]
pub(super) struct File {
    /// Index in the request, from 0.
    pub(super) index: usize,
    /// The file's name, cut to 100 characters.
    pub(super) name: String,
}

/// The hint for an image that looks as if it was sent with `curl -d`.
const STRIPPED: &str = "; it looks as if it was sent with curl -d, which removes line breaks and so damages the file: use \
                        --data-binary @FILE";

impl ApiError {
    /// The error of a job. `file` identifies the file of a form. `stripped` is set if the image looks as if its line breaks were
    /// stripped.
    pub(super) fn of_job(error: JobError, file: Option<File>, stripped: bool) -> ApiError {
        match error {
            JobError::Image(error) => ApiError::Image { file, stripped: stripped && is_content(&error), error },
            JobError::Late => ApiError::Late { file },
            JobError::Shed(overload) => ApiError::Refused(Refusal::from(overload).into()),
            JobError::NonFinite => ApiError::NonFinite { file },
            JobError::WorkerFailed => ApiError::Internal,
        }
    }

    /// The kind, and the stable code.
    pub(super) fn kind(&self) -> (Kind, &'static str) {
        match self {
            ApiError::BadValue { .. } => (Kind::BadRequest, "bad_value"),
            ApiError::UnknownParameter { .. } => (Kind::BadRequest, "unknown_parameter"),
            ApiError::RepeatedParameter { .. } => (Kind::BadRequest, "repeated_parameter"),
            ApiError::Contradiction { .. } => (Kind::BadRequest, "contradiction"),
            ApiError::EmptyBody => (Kind::BadRequest, "empty_body"),
            ApiError::BrokenBody => (Kind::BadRequest, "broken_body"),
            ApiError::BadMultipart { .. } => (Kind::BadRequest, "bad_multipart"),
            ApiError::FieldWithoutFile { .. } => (Kind::BadRequest, "field_without_file"),
            ApiError::BadInferRequest { .. } => (Kind::BadRequest, "bad_infer_request"),
            ApiError::BadTensor { .. } => (Kind::BadRequest, "bad_tensor"),
            ApiError::NoSuchTensor { .. } => (Kind::NotFound, "no_such_tensor"),
            ApiError::TooManyImages { .. } => (Kind::TooLarge, "too_many_images"),
            ApiError::NotLoaded { .. } => (Kind::CannotBeMet, "not_loaded"),
            ApiError::ControlForbidden => (Kind::Forbidden, "control_forbidden"),
            ApiError::NoSuchModel(_) => (Kind::NotFound, "no_such_model"),
            ApiError::NoSuchPath { .. } => (Kind::NotFound, "no_such_path"),
            ApiError::NoSuchMethod { .. } => (Kind::NoSuchMethod, "no_such_method"),
            ApiError::SlowBody { .. } => (Kind::SlowRequest, "slow_body"),
            ApiError::BodyTooLarge { .. } => (Kind::TooLarge, "body_too_large"),
            ApiError::InflatedTooLarge { .. } => (Kind::TooLarge, "body_too_large"),
            ApiError::UnsupportedEncoding { .. } => (Kind::UnsupportedType, "unsupported_encoding"),
            ApiError::BadEncoding { .. } => (Kind::BadRequest, "bad_encoding"),
            ApiError::TooManyFiles { .. } => (Kind::TooLarge, "too_many_files"),
            ApiError::Image { error, .. } => image_kind(error),
            ApiError::Late { .. } => (Kind::DeadlinePassed, "deadline"),
            ApiError::Refused(refused) => refused_kind(refused),
            ApiError::MemoryFull { .. } => (Kind::Overloaded, "memory_full"),
            ApiError::TooManySubscribers { .. } => (Kind::Overloaded, "too_many_subscribers"),
            ApiError::NonFinite { .. } | ApiError::Internal => (Kind::Internal, "internal"),
            ApiError::BadHead => (Kind::BadRequest, "bad_head"),
            ApiError::TargetTooLong => (Kind::TargetTooLong, "target_too_long"),
            ApiError::HeadTooLarge => (Kind::HeadTooLarge, "head_too_large"),
            ApiError::SlowHead { .. } => (Kind::SlowRequest, "slow_head"),
        }
    }

    /// The time after which a retry may succeed; `None` if it cannot.
    pub(super) fn wait(&self) -> Option<Duration> {
        match *self {
            ApiError::Refused(Refused::Queue(
                Refusal::Overloaded(Overload { wait }) | Refusal::QueueFull { wait, .. },
            )) => Some(wait),
            _ => self.kind().0.is_temporary().then_some(USUAL_WAIT),
        }
    }

    pub(super) fn file(&self) -> Option<&File> {
        match self {
            ApiError::Image { file, .. } | ApiError::Late { file } | ApiError::NonFinite { file } => file.as_ref(),
            _ => None,
        }
    }

    /// The reason if this is the refusal of a valid classification request.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        match (self, self.kind()) {
            // Not a classification request.
            (ApiError::TooManySubscribers { .. }, _) => None,
            (_, (kind, code)) => kind.is_temporary().then_some(code),
        }
    }
}

/// The wait without a backlog to compute it from; at most one second once spread over the callers.
const USUAL_WAIT: Duration = Duration::from_millis(500);

/// Every code.
pub(super) const CODES: [&str; 40] = [
    "bad_encoding",
    "bad_head",
    "bad_infer_request",
    "bad_multipart",
    "bad_tensor",
    "bad_value",
    "body_too_large",
    "broken_body",
    "broken_image",
    "cannot_be_met",
    "contradiction",
    "control_forbidden",
    "deadline",
    "empty_body",
    "empty_image",
    "field_without_file",
    "head_too_large",
    "image_too_large",
    "internal",
    "memory_full",
    "no_such_method",
    "no_such_model",
    "no_such_path",
    "no_such_tensor",
    "not_loaded",
    "overloaded",
    "queue_full",
    "repeated_parameter",
    "slow_body",
    "slow_head",
    "stopping",
    "target_too_long",
    "too_many_files",
    "too_many_images",
    "too_many_subscribers",
    "too_many_pixels",
    "unknown_parameter",
    "unsupported_encoding",
    "unsupported_feature",
    "unsupported_type",
];

/// The codes of refusals, all of a temporary kind: see [`ApiError::refusal`].
pub(super) const REFUSALS: [&str; 4] = ["memory_full", "overloaded", "queue_full", "stopping"];

fn refused_kind(refused: &Refused) -> (Kind, &'static str) {
    match refused {
        Refused::Queue(Refusal::Unsatisfiable(_)) => (Kind::CannotBeMet, "cannot_be_met"),
        Refused::Queue(Refusal::Overloaded(_)) => (Kind::Overloaded, "overloaded"),
        Refused::Queue(Refusal::Late { .. }) => (Kind::DeadlinePassed, "deadline"),
        Refused::Queue(Refusal::QueueFull { .. }) => (Kind::Overloaded, "queue_full"),
        Refused::Closed => (Kind::Stopping, "stopping"),
        Refused::UnknownModel => (Kind::Internal, "internal"),
    }
}

fn image_kind(error: &ImageError) -> (Kind, &'static str) {
    match error {
        ImageError::Empty => (Kind::BadRequest, "empty_image"),
        ImageError::TooManyBytes { .. } => (Kind::TooLarge, "image_too_large"),
        ImageError::TooManyPixels { .. } => (Kind::TooLarge, "too_many_pixels"),
        ImageError::Unsupported { .. } => (Kind::UnsupportedType, "unsupported_type"),
        ImageError::UnsupportedFeature { .. } => (Kind::UnsupportedType, "unsupported_feature"),
        ImageError::Broken { .. } => (Kind::CannotBeMet, "broken_image"),
    }
}

/// Whether stripped line breaks may explain the error: not if the file is of a known other type.
fn is_content(error: &ImageError) -> bool {
    match error {
        ImageError::Unsupported { looks_like } => !looks_like.starts_with("it looks like"),
        ImageError::Broken { .. } => true,
        _ => false,
    }
}

fn of_file(file: &Option<File>) -> String {
    file.as_ref().map(|File { name, .. }| format!("file {name:?}: ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_refusal_is_listed() {
        let wait = Duration::from_secs(1);
        let errors = [
            ApiError::MemoryFull { max_bytes: 1 },
            ApiError::Refused(Refusal::Overloaded(Overload { wait }).into()),
            ApiError::Refused(Refusal::QueueFull { waiting: 1, limit: 1, wanted: 1, wait }.into()),
            ApiError::Refused(Refused::Closed),
        ];
        assert_eq!(errors.map(|error| error.refusal()), REFUSALS.map(Some));
        let subscribers = ApiError::TooManySubscribers { most: 1 };
        assert_eq!((subscribers.refusal(), subscribers.wait()), (None, Some(USUAL_WAIT)));
    }
}
