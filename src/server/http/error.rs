//! The errors as HTTP responses, and as `/openapi.json` describes them.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::openapi::schema::{Object, Type};
use utoipa::{IntoResponses, ToSchema};

use super::retry::retry_after;
use crate::server::error::{ApiError, CODES, File};

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
    /// The response. `chance`, from 0 to 1, is the caller's position in the interval over which retries are spread.
    pub(in crate::server) fn answer(self, chance: f64) -> Response {
        let retry_after = self.wait().map(|wait| retry_after(wait, chance));
        let mut response = (self.kind().0.status(), Json(self.body(retry_after))).into_response();
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
        let (status, length) = (self.kind().0.status(), body.len());
        let head = format!("content-type: application/json\r\ncontent-length: {length}\r\nconnection: close");
        format!("HTTP/1.1 {status}\r\n{head}\r\n\r\n{body}").into_bytes()
    }
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
