//! Every error that a caller can receive: its status, its stable code, its message.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use thiserror::Error;
use utoipa::openapi::schema::{Object, Type};
use utoipa::{IntoResponses, ToSchema};

use super::PATHS;
use super::inflate::MAX_ENCODINGS;
use super::retry::retry_after;
use crate::image::ImageError;
use crate::nearest::did_you_mean;
use crate::policy::{Overload, Refusal};
use crate::repository::NotFound;
use crate::scheduler::{JobError, Refused};

/// An error of a request. The message is for people, the code for programs.
#[derive(Debug, Clone, PartialEq, Error)]
pub(super) enum ApiError {
    #[error("bad value {value:?} of {parameter}: {reason}; allowed: {allowed}")]
    BadValue { value: String, parameter: String, reason: &'static str, allowed: String },
    #[error("unknown query parameter {name:?}{}; known: {known}", did_you_mean(.nearest))]
    UnknownParameter { name: String, nearest: Option<&'static str>, known: String },
    #[error("the query parameter {name:?} is repeated")]
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

/// A file of a form.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ErrorFile)]
pub(super) struct File {
    /// Index in the form, from 0.
    pub(super) index: usize,
    /// The file's name, cut to 100 characters.
    pub(super) name: String,
}

/// The hint for an image that looks as if it was sent with `curl -d`.
const STRIPPED: &str = "; it looks as if it was sent with curl -d, which removes line breaks and so damages the file: use \
                        --data-binary @FILE";

/// The body of every error.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct Body {
    /// What is wrong, where, and what is allowed. For people.
    error: String,
    /// A stable code, for programs. docs/api.md lists all codes.
    #[schema(schema_with = described_code)]
    code: &'static str,
    /// The file of a form that caused the error, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    file: Option<File>,
    /// With status 503: milliseconds after which to retry, computed from the backlog if that is the cause. Random per caller, so
    /// that retries are spread out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after_ms: Option<u64>,
}

fn described_code() -> Object {
    let code = Object::builder().schema_type(Type::String).enum_values(Some(CODES));
    code.description(Some("A stable code, for programs. docs/api.md lists all codes.")).build()
}

/// The errors of `/classify`, as described in `/openapi.json`.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "they are only described")]
pub(super) enum Described {
    /// An invalid parameter, header or form.
    #[response(status = 400)]
    BadRequest(Body),
    /// No such model or version.
    #[response(status = 404)]
    NotFound(Body),
    /// The request's headers or body did not arrive in time.
    #[response(status = 408)]
    RequestTimeout(Body),
    /// The body, an image or the number of files exceeds a limit.
    #[response(status = 413)]
    PayloadTooLarge(Body),
    /// The request's target is too long.
    #[response(status = 414)]
    UriTooLong(Body),
    /// Not a JPEG, PNG or WebP image, or an unknown Content-Encoding.
    #[response(status = 415)]
    UnsupportedMediaType(Body),
    /// A broken image, or a requirement that this server can never meet.
    #[response(status = 422)]
    UnprocessableEntity(Body),
    /// The request's headers are too large.
    #[response(status = 431)]
    RequestHeaderFieldsTooLarge(Body),
    /// An internal error of the server.
    #[response(status = 500)]
    InternalServerError(Body),
    /// Refused because of load, or because the server is stopping.
    #[response(status = 503, headers(("retry-after" = u64, description = "Seconds after which to retry.")))]
    ServiceUnavailable(Body),
    /// The deadline passed while the image waited.
    #[response(status = 504)]
    GatewayTimeout(Body),
}

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

    /// Status and code.
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
            ApiError::InflatedTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            ApiError::UnsupportedEncoding { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding"),
            ApiError::BadEncoding { .. } => (StatusCode::BAD_REQUEST, "bad_encoding"),
            ApiError::TooManyFiles { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_many_files"),
            ApiError::Image { error, .. } => image_kind(error),
            ApiError::Late { .. } => (StatusCode::GATEWAY_TIMEOUT, "deadline"),
            ApiError::Refused(refused) => refused_kind(refused),
            ApiError::MemoryFull { .. } => (StatusCode::SERVICE_UNAVAILABLE, "memory_full"),
            ApiError::TooManySubscribers { .. } => (StatusCode::SERVICE_UNAVAILABLE, "too_many_subscribers"),
            ApiError::NonFinite { .. } | ApiError::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            ApiError::BadHead => (StatusCode::BAD_REQUEST, "bad_head"),
            ApiError::TargetTooLong => (StatusCode::URI_TOO_LONG, "target_too_long"),
            ApiError::HeadTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large"),
            ApiError::SlowHead { .. } => (StatusCode::REQUEST_TIMEOUT, "slow_head"),
        }
    }

    /// The time after which a retry may succeed; `None` if it cannot.
    fn wait(&self) -> Option<Duration> {
        match *self {
            ApiError::Refused(Refused::Queue(
                Refusal::Overloaded(Overload { wait }) | Refusal::QueueFull { wait, .. },
            )) => Some(wait),
            _ => (self.kind().0 == StatusCode::SERVICE_UNAVAILABLE).then_some(USUAL_WAIT),
        }
    }

    fn file(&self) -> Option<&File> {
        match self {
            ApiError::Image { file, .. } | ApiError::Late { file } | ApiError::NonFinite { file } => file.as_ref(),
            _ => None,
        }
    }

    /// The response. `chance`, from 0 to 1, is the caller's position in the interval over which retries are spread.
    pub(super) fn answer(self, chance: f64) -> Response {
        let retry_after = self.wait().map(|wait| retry_after(wait, chance));
        let mut response = (self.kind().0, Json(self.body(retry_after))).into_response();
        let headers = response.headers_mut();
        if let Some(retry_after) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after.as_millis().div_ceil(1000) as u64));
        }
        if let ApiError::UnsupportedEncoding { .. } = self {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"));
        }
        // Read by the log line.
        response.extensions_mut().insert(self);
        response
    }

    fn body(&self, retry_after: Option<Duration>) -> Body {
        Body {
            error: self.to_string(),
            code: self.kind().1,
            file: self.file().cloned(),
            retry_after_ms: retry_after.map(|time| time.as_millis() as u64),
        }
    }

    /// The whole response as bytes, for a request that hyper could not parse. It closes the connection.
    pub(super) fn written(&self) -> Vec<u8> {
        // Text and numbers only, so serialisation cannot fail.
        let body = serde_json::to_string(&self.body(None)).unwrap_or_default();
        let (status, length) = (self.kind().0, body.len());
        let head = format!("content-type: application/json\r\ncontent-length: {length}\r\nconnection: close");
        format!("HTTP/1.1 {status}\r\n{head}\r\n\r\n{body}").into_bytes()
    }

    /// The reason if this is the refusal of a valid classification request.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        match (self, self.kind()) {
            // Not a classification request.
            (ApiError::TooManySubscribers { .. }, _) => None,
            (_, (StatusCode::SERVICE_UNAVAILABLE, code)) => Some(code),
            _ => None,
        }
    }
}

/// The wait without a backlog to compute it from; at most one second once spread over the callers.
const USUAL_WAIT: Duration = Duration::from_millis(500);

/// Every code.
const CODES: [&str; 34] = [
    "bad_encoding",
    "bad_head",
    "bad_multipart",
    "bad_value",
    "body_too_large",
    "broken_body",
    "broken_image",
    "cannot_be_met",
    "contradiction",
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
    "overloaded",
    "queue_full",
    "repeated_parameter",
    "slow_body",
    "slow_head",
    "stopping",
    "target_too_long",
    "too_many_files",
    "too_many_subscribers",
    "too_many_pixels",
    "unknown_parameter",
    "unsupported_encoding",
    "unsupported_feature",
    "unsupported_type",
];

/// The codes of refusals, all with status 503: see [`ApiError::refusal`].
pub(super) const REFUSALS: [&str; 4] = ["memory_full", "overloaded", "queue_full", "stopping"];

fn refused_kind(refused: &Refused) -> (StatusCode, &'static str) {
    match refused {
        Refused::Queue(Refusal::Unsatisfiable(_)) => (StatusCode::UNPROCESSABLE_ENTITY, "cannot_be_met"),
        Refused::Queue(Refusal::Overloaded(_)) => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        Refused::Queue(Refusal::Late { .. }) => (StatusCode::GATEWAY_TIMEOUT, "deadline"),
        Refused::Queue(Refusal::QueueFull { .. }) => (StatusCode::SERVICE_UNAVAILABLE, "queue_full"),
        Refused::Closed => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        Refused::UnknownModel => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

fn image_kind(error: &ImageError) -> (StatusCode, &'static str) {
    match error {
        ImageError::Empty => (StatusCode::BAD_REQUEST, "empty_image"),
        ImageError::TooManyBytes { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "image_too_large"),
        ImageError::TooManyPixels { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_many_pixels"),
        ImageError::Unsupported { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_type"),
        ImageError::UnsupportedFeature { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_feature"),
        ImageError::Broken { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "broken_image"),
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

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.answer(0.0)
    }
}

/// [`IntoResponse::into_response`] as a function.
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
            ApiError::Refused(Refusal::Overloaded(Overload { wait }).into()),
            ApiError::Refused(Refusal::QueueFull { waiting: 1, limit: 1, wanted: 1, wait }.into()),
            ApiError::Refused(Refused::Closed),
        ];
        assert_eq!(errors.map(|error| error.refusal()), REFUSALS.map(Some));
        let subscribers = ApiError::TooManySubscribers { most: 1 };
        assert_eq!((subscribers.refusal(), subscribers.wait()), (None, Some(USUAL_WAIT)));
    }
}
