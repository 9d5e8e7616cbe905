//! Every error that a caller can see: its status, its stable code word, its message.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use thiserror::Error;
use utoipa::{IntoResponses, ToSchema};

use super::PATHS;
use crate::nearest::did_you_mean;
use crate::picture::PictureError;
use crate::policy::Overload;
use crate::repository::NotFound;
use crate::scheduler::{JobError, Refused};

/// What went wrong with a request. The message is for people, the code for programs.
#[derive(Debug, Clone, PartialEq, Error)]
pub(super) enum ApiError {
    #[error("bad value {value:?} of {place}: {reason}; allowed: {allowed}")]
    BadValue { value: String, place: String, reason: &'static str, allowed: String },
    #[error("unknown query parameter {name:?}{}; known: {known}", did_you_mean(.nearest))]
    UnknownParameter { name: String, nearest: Option<&'static str>, known: String },
    #[error("the query parameter {name:?} stands there more than once")]
    RepeatedParameter { name: &'static str },
    #[error("{one} and {other} exclude each other: say one of them")]
    Contradiction { one: &'static str, other: &'static str },
    #[error("the body is empty; send an image (JPEG, PNG or WebP) as body, or as files of a multipart form")]
    EmptyBody,
    #[error("the body did not arrive in full")]
    BrokenBody,
    #[error("the multipart form cannot be read: {reason}")]
    BadMultipart { reason: String },
    #[error("the form field {name:?} is not a file; parameters stand in the query, as in /classify?width=0.5")]
    FieldWithoutFile { name: String },
    #[error(transparent)]
    NoSuchModel(#[from] NotFound),
    #[error("there is nothing at {path:?}; there are: {PATHS}")]
    NoSuchPath { path: String },
    #[error("{path} does not take {method}; the Allow header says what it takes")]
    NoSuchMethod { method: String, path: String },
    #[error("the body did not arrive within {timeout_ms} ms")]
    SlowBody { timeout_ms: u128 },
    #[error("the body has more than {max_bytes} bytes, the most that is allowed")]
    BodyTooLarge { max_bytes: usize },
    #[error("the form has more than {max_files} files, the most that is allowed")]
    TooManyFiles { max_files: usize },
    #[error("{}{error}", of_file(.file))]
    Picture { file: Option<String>, error: PictureError },
    #[error("{}{}", of_file(.file), JobError::Late)]
    Late { file: Option<String> },
    #[error("{}{}", of_file(.file), JobError::NonFinite)]
    NonFinite { file: Option<String> },
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error("too much at once: all bodies under way may have {max_bytes} bytes together")]
    MemoryFull { max_bytes: usize },
    #[error("{most} listen already, the most that may at once")]
    TooManyListeners { most: usize },
    #[error("a fault of this server; its log says more")]
    Internal,
}

/// What every error looks like on the wire.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct Body {
    /// What is wrong, where, and what is allowed; for people.
    error: String,
    /// One word that stays the same, for programs: docs/api.md has all.
    code: &'static str,
}

/// The errors of a request to classify, as /openapi.json describes them.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "they are only described")]
pub(super) enum Described {
    /// A parameter, a header or the body's form is wrong.
    #[response(status = 400)]
    BadRequest(Body),
    /// There is no such model, or version.
    #[response(status = 404)]
    NotFound(Body),
    /// The body did not arrive in time.
    #[response(status = 408)]
    RequestTimeout(Body),
    /// The body, an image or the number of files is above a limit.
    #[response(status = 413)]
    PayloadTooLarge(Body),
    /// Neither JPEG, nor PNG, nor WebP.
    #[response(status = 415)]
    UnsupportedMediaType(Body),
    /// A broken image, or a wish that cannot be met here at any time.
    #[response(status = 422)]
    UnprocessableEntity(Body),
    /// A fault of the server.
    #[response(status = 500)]
    InternalServerError(Body),
    /// What load forbids now, or the server is stopping.
    #[response(status = 503, headers(("retry-after" = u64, description = "Seconds after which to try again.")))]
    ServiceUnavailable(Body),
    /// The deadline passed while the image waited.
    #[response(status = 504)]
    GatewayTimeout(Body),
}

impl ApiError {
    /// The error of the job of a file; `file` is its name where there are several.
    pub(super) fn of_job(error: JobError, file: Option<String>) -> ApiError {
        match error {
            JobError::Picture(error) => ApiError::Picture { file, error },
            JobError::Late => ApiError::Late { file },
            JobError::Shed(overload) => ApiError::Refused(overload.into()),
            JobError::NonFinite => ApiError::NonFinite { file },
            JobError::WorkerFailed => ApiError::Internal,
        }
    }

    /// Status and code word, side by side.
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            ApiError::BadValue { .. } => (StatusCode::BAD_REQUEST, "bad_value"),
            ApiError::UnknownParameter { .. } => (StatusCode::BAD_REQUEST, "unknown_parameter"),
            ApiError::RepeatedParameter { .. } => (StatusCode::BAD_REQUEST, "repeated_parameter"),
            ApiError::Contradiction { .. } => (StatusCode::BAD_REQUEST, "contradiction"),
            ApiError::EmptyBody => (StatusCode::BAD_REQUEST, "empty_body"),
            ApiError::BrokenBody => (StatusCode::BAD_REQUEST, "broken_body"),
            ApiError::BadMultipart { .. } => (StatusCode::BAD_REQUEST, "bad_multipart"),
            ApiError::FieldWithoutFile { .. } => (StatusCode::BAD_REQUEST, "field_without_file"),
            ApiError::NoSuchModel(_) => (StatusCode::NOT_FOUND, "no_such_model"),
            ApiError::NoSuchPath { .. } => (StatusCode::NOT_FOUND, "no_such_path"),
            ApiError::NoSuchMethod { .. } => (StatusCode::METHOD_NOT_ALLOWED, "no_such_method"),
            ApiError::SlowBody { .. } => (StatusCode::REQUEST_TIMEOUT, "slow_body"),
            ApiError::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            ApiError::TooManyFiles { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_many_files"),
            ApiError::Picture { error, .. } => picture_kind(error),
            ApiError::Late { .. } => (StatusCode::GATEWAY_TIMEOUT, "deadline"),
            ApiError::Refused(refused) => refused_kind(refused),
            ApiError::MemoryFull { .. } => (StatusCode::SERVICE_UNAVAILABLE, "memory_full"),
            ApiError::TooManyListeners { .. } => (StatusCode::SERVICE_UNAVAILABLE, "too_many_listeners"),
            ApiError::NonFinite { .. } | ApiError::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    /// The whole seconds after which it may be worth another try.
    fn retry_after(&self) -> Option<u64> {
        match self {
            ApiError::Refused(Refused::Overloaded(overload)) => Some(overload.retry_after()),
            &ApiError::Refused(Refused::QueueFull { wait, .. }) => Some(Overload { wait }.retry_after()),
            _ => (self.kind().0 == StatusCode::SERVICE_UNAVAILABLE).then_some(1),
        }
    }

    /// The reason of a refusal: a request to classify with which nothing is wrong.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        match (self, self.kind()) {
            // It asked for events.
            (ApiError::TooManyListeners { .. }, _) => None,
            (_, (StatusCode::SERVICE_UNAVAILABLE, code)) => Some(code),
            _ => None,
        }
    }
}

/// The code words of refusals, each a status of 503: see [`ApiError::refusal`].
pub(super) const REFUSALS: [&str; 4] = ["memory_full", "overloaded", "queue_full", "stopping"];

fn refused_kind(refused: &Refused) -> (StatusCode, &'static str) {
    match refused {
        Refused::Unsatisfiable(_) => (StatusCode::UNPROCESSABLE_ENTITY, "cannot_be_met"),
        Refused::Overloaded(_) => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        Refused::Late { .. } => (StatusCode::GATEWAY_TIMEOUT, "deadline"),
        Refused::QueueFull { .. } => (StatusCode::SERVICE_UNAVAILABLE, "queue_full"),
        Refused::Closed => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        Refused::UnknownModel => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

fn picture_kind(error: &PictureError) -> (StatusCode, &'static str) {
    match error {
        PictureError::Empty => (StatusCode::BAD_REQUEST, "empty_image"),
        PictureError::TooManyBytes { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "image_too_large"),
        PictureError::TooManyPixels { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_many_pixels"),
        PictureError::Unsupported { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_type"),
        PictureError::Broken { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "broken_image"),
    }
}

fn of_file(file: &Option<String>) -> String {
    file.as_ref().map(|name| format!("file {name:?}: ")).unwrap_or_default()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code) = self.kind();
        let retry_after = self.retry_after();
        let mut response = (status, Json(Body { error: self.to_string(), code })).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        // For the log line.
        response.extensions_mut().insert(self);
        response
    }
}

/// For callers that need a function.
pub(super) fn into_response(error: ApiError) -> Response {
    error.into_response()
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
            ApiError::Refused(Refused::Overloaded(Overload { wait })),
            ApiError::Refused(Refused::QueueFull { waiting: 1, limit: 1, wanted: 1, wait }),
            ApiError::Refused(Refused::Closed),
        ];
        assert_eq!(errors.map(|error| error.refusal()), REFUSALS.map(Some));
        let listeners = ApiError::TooManyListeners { most: 1 };
        assert_eq!((listeners.refusal(), listeners.retry_after()), (None, Some(1)));
    }
}
