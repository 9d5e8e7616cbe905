//! Reads a request's body within limits and extracts its images.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, EXPECT};
use axum::http::request::Parts;
use http_body_util::BodyExt;
use memchr::memchr2;
use tokio::time::timeout;

use super::form::{self, Part};
use super::inflate::{Encoding, encodings};
use crate::server::RequestLimits;
use crate::server::Service;
use crate::server::error::ApiError;
use crate::server::memory::{Growing, Reserved};

/// The images of a request.
#[derive(Debug)]
pub(super) enum Images {
    /// One image as the body, whose answer is at the top level.
    One {
        image: Bytes,
        /// Whether the image looks as if its line breaks were stripped.
        stripped: bool,
    },
    /// The names and contents of a form's files, in order.
    Files(Vec<(String, Bytes)>),
}

/// A body that is still arriving.
#[derive(Debug)]
pub(in crate::server) struct Incoming<'a> {
    body: Body,
    service: &'a Service,
    /// Whether reading has started; hyper then answers `Expect: 100-continue`.
    asked: bool,
}

/// Maximum allocation for an announced body before it arrives.
const LIKELY: usize = 64 << 10;
/// Longest time for which an error waits for the rest of the body.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

impl<'a> Incoming<'a> {
    pub(in crate::server) fn new(body: Body, service: &'a Service) -> Incoming<'a> {
        Incoming { body, service, asked: false }
    }

    fn limits(&self) -> &'a RequestLimits {
        &self.service.limits
    }

    /// Reads the whole body and extracts its images and their memory reservation. Content-Type only identifies a form; any other
    /// body is one image.
    pub(super) async fn images(&mut self, headers: &HeaderMap) -> Result<(Images, Reserved), ApiError> {
        let (bytes, growing) = self.bytes(headers).await?;
        let kind = headers.get(CONTENT_TYPE).map_or(&[][..], |kind| kind.as_bytes());
        let images = match is(kind, "multipart/form-data") {
            true => Images::Files(files(kind, &bytes, self.limits().max_files)?),
            false => Images::One { stripped: is_stripped(kind, &bytes), image: bytes },
        };
        Ok((images, growing.reserved()))
    }

    /// Reads the whole body, with its memory reservation. Content-Encoding determines the compression.
    pub(in crate::server) async fn bytes(&mut self, headers: &HeaderMap) -> Result<(Bytes, Growing), ApiError> {
        let limits = self.limits();
        if self.body.size_hint().lower() > limits.max_body_bytes as u64 {
            return Err(ApiError::BodyTooLarge { max_bytes: limits.max_body_bytes });
        }
        let encodings = encodings(headers)?;
        let (bytes, growing) = self.read().await?;
        let (bytes, growing) = plain(self.service, bytes, growing, encodings).await?;
        if bytes.is_empty() {
            return Err(ApiError::EmptyBody);
        }
        Ok((bytes, growing))
    }

    async fn read(&mut self) -> Result<(Bytes, Growing), ApiError> {
        let limit = self.limits().read_timeout;
        timeout(limit, self.read_all()).await.map_err(|_| ApiError::SlowBody { timeout_ms: limit.as_millis() })?
    }

    /// Reserves memory for bytes that have arrived, not for the announced length, so that a large Content-Length alone takes none.
    async fn read_all(&mut self) -> Result<(Bytes, Growing), ApiError> {
        self.asked = true;
        let RequestLimits { max_body_bytes, max_bytes_in_flight, .. } = *self.limits();
        let full = || ApiError::MemoryFull { max_bytes: max_bytes_in_flight };
        let mut growing = self.service.memory.begin();
        let mut bytes = Vec::new();
        while let Some(frame) = self.body.frame().await {
            let data = frame.map_err(|_| ApiError::BrokenBody)?.into_data().unwrap_or_default();
            let length = bytes.len() + data.len();
            if length > max_body_bytes {
                return Err(ApiError::BodyTooLarge { max_bytes: max_body_bytes });
            }
            growing.resize(length).ok_or_else(full)?;
            if bytes.is_empty() {
                bytes.reserve_exact((self.body.size_hint().lower() as usize + length).min(LIKELY));
            }
            bytes.extend_from_slice(&data);
        }
        Ok((bytes.into(), growing))
    }

    /// Reads and discards the rest of the body for a while. Without this, a caller that is still sending gets a reset connection
    /// instead of the error. A caller that waits for `100 Continue` does not get it.
    pub(in crate::server) async fn discard(mut self, parts: &Parts) {
        if !self.asked && parts.headers.contains_key(EXPECT) {
            return;
        }
        let mut left = self.limits().max_body_bytes;
        let rest = async {
            while let Some(Ok(frame)) = self.body.frame().await {
                let Some(after) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { break };
                left = after;
            }
        };
        // The answer is sent even if the body is incomplete.
        let _ = timeout(DISCARD_TIMEOUT, rest).await;
    }
}

/// Decompresses the body if it has encodings.
async fn plain(
    service: &Service,
    bytes: Bytes,
    growing: Growing,
    encodings: Vec<Encoding>,
) -> Result<(Bytes, Growing), ApiError> {
    match bytes.is_empty() || encodings.is_empty() {
        true => Ok((bytes, growing)),
        false => service.inflaters.inflate(bytes, encodings, &service.limits, growing).await,
    }
}

/// Whether a Content-Type is this media type, with any parameters.
fn is(kind: &[u8], media_type: &str) -> bool {
    let found = kind.split(|&byte| byte == b';').next().unwrap_or_default();
    found.trim_ascii().eq_ignore_ascii_case(media_type.as_bytes())
}

/// Whether the body looks as if it was sent with `curl -d`, which declares a URL-encoded form and strips line breaks.
fn is_stripped(kind: &[u8], bytes: &[u8]) -> bool {
    let has_no_break = || memchr2(b'\n', b'\r', bytes).is_none();
    is(kind, "application/x-www-form-urlencoded")
        || bytes.starts_with(b"\x89PNG\x1a")
        || bytes.len() >= UNLIKELY_WITHOUT_BREAK && has_no_break()
}

/// Length at which a compressed image has no line break with a probability of only 1 %.
const UNLIKELY_WITHOUT_BREAK: usize = 600;

/// The files of a form, as slices of its body.
pub(super) fn files(kind: &[u8], body: &Bytes, max_files: usize) -> Result<Vec<(String, Bytes)>, ApiError> {
    let bad = |reason| ApiError::BadMultipart { reason };
    let mut form = form::Form::new(kind, body).map_err(bad)?;
    let mut files = Vec::new();
    while let Some(Part { field, file_name, content }) = form.next().map_err(bad)? {
        let cut = |name: String| name.chars().take(MAX_NAME).collect();
        let Some(name) = file_name else { return Err(ApiError::FieldWithoutFile { name: cut(field) }) };
        if files.len() == max_files {
            return Err(ApiError::TooManyFiles { max_files });
        }
        files.push((cut(name), content));
    }
    if files.is_empty() { Err(ApiError::EmptyBody) } else { Ok(files) }
}

/// Maximum number of characters of a file's name in answers and errors.
const MAX_NAME: usize = 100;
