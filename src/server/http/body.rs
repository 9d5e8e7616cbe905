//! A request's body, read within limits, and the images in it.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, EXPECT};
use axum::http::request::Parts;
use http_body_util::BodyExt;
use memchr::memchr2;
use tokio::time::timeout;

use super::error::ApiError;
use super::form::{self, Part};
use super::inflate::{Encoding, encodings};
use crate::server::RequestLimits;
use crate::server::Service;
use crate::server::memory::{Growing, Reserved};

/// What there is to classify.
#[derive(Debug)]
pub(super) enum Images {
    /// One image: its answer stands at the top level.
    One {
        image: Bytes,
        /// Does it look as if line breaks were taken from it on its way?
        stripped: bool,
    },
    /// The files of a form with their names, in its order.
    Files(Vec<(String, Bytes)>),
}

/// A body that is still arriving.
#[derive(Debug)]
pub(super) struct Incoming<'a> {
    body: Body,
    service: &'a Service,
    /// Was its caller asked for it? hyper does that when it is read.
    asked: bool,
}

/// Bytes of a body that are believed before they have come.
const LIKELY: usize = 64 << 10;
/// How long an answer is held back while the rest of an unwanted body arrives.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

impl<'a> Incoming<'a> {
    pub(super) fn new(body: Body, service: &'a Service) -> Incoming<'a> {
        Incoming { body, service, asked: false }
    }

    fn limits(&self) -> &'a RequestLimits {
        &self.service.limits
    }

    /// Reads the whole body and finds its images, and the memory that is theirs. Content-Encoding says whether it is compressed,
    /// Content-Type tells a form apart; all else is one image.
    pub(super) async fn images(&mut self, headers: &HeaderMap) -> Result<(Images, Reserved), ApiError> {
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
        let kind = headers.get(CONTENT_TYPE).map_or(&[][..], |kind| kind.as_bytes());
        let images = match is(kind, "multipart/form-data") {
            true => Images::Files(files(kind, &bytes, limits.max_files)?),
            false => Images::One { stripped: is_stripped(kind, &bytes), image: bytes },
        };
        Ok((images, growing.reserved()))
    }

    async fn read(&mut self) -> Result<(Bytes, Growing), ApiError> {
        let limit = self.limits().read_timeout;
        timeout(limit, self.read_all()).await.map_err(|_| ApiError::SlowBody { timeout_ms: limit.as_millis() })?
    }

    /// Memory is reserved for what has come, not for what was announced: who announces much and sends nothing takes none.
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

    /// Reads on for a while and throws away what comes: a caller that is still sending would otherwise find its
    /// connection reset, and never see the error. One that waits to be asked for its body is not asked.
    pub(super) async fn discard(mut self, parts: &Parts) {
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
        // Whether it came to its end or not: the answer goes out now.
        let _ = timeout(DISCARD_TIMEOUT, rest).await;
    }
}

/// The body as it was before it was compressed.
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

/// Does a Content-Type say so, whatever parameters it has?
fn is(kind: &[u8], media_type: &str) -> bool {
    let found = kind.split(|&byte| byte == b';').next().unwrap_or_default();
    found.trim_ascii().eq_ignore_ascii_case(media_type.as_bytes())
}

/// Does it look as if it came through `curl -d`, which says that it is a form of text, and takes the line breaks from a file?
fn is_stripped(kind: &[u8], bytes: &[u8]) -> bool {
    let has_no_break = || memchr2(b'\n', b'\r', bytes).is_none();
    is(kind, "application/x-www-form-urlencoded")
        || bytes.starts_with(b"\x89PNG\x1a")
        || bytes.len() >= UNLIKELY_WITHOUT_BREAK && has_no_break()
}

/// Of so many bytes of a compressed image, one in a hundred times none is a line break.
const UNLIKELY_WITHOUT_BREAK: usize = 600;

/// The files of a form: slices of its body.
fn files(kind: &[u8], body: &Bytes, max_files: usize) -> Result<Vec<(String, Bytes)>, ApiError> {
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

/// Of a file's name, as many characters come back in answers and errors.
const MAX_NAME: usize = 100;
