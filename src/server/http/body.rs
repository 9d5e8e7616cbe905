//! A request's body, read within limits, and the images in it.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header::{CONTENT_TYPE, EXPECT};
use axum::http::request::Parts;
use http_body_util::BodyExt;
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, Object, Type};

use super::error::ApiError;
use crate::config::RequestLimits;

/// What there is to classify.
#[derive(Debug)]
pub(super) enum Images {
    /// One image: its answer stands at the top level.
    One(Bytes),
    /// Several files with their names, in the order of the form.
    Several(Vec<(String, Bytes)>),
}

/// A form with images, as /openapi.json describes it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described")]
pub(super) struct Form {
    #[schema(schema_with = described_files)]
    image: Vec<Vec<u8>>,
}

fn described_files() -> Array {
    let file = Object::builder().schema_type(Type::String).content_media_type("application/octet-stream");
    Array::builder().items(file).description(Some("Files, whatever their fields are called.")).build()
}

/// A body that is still arriving.
#[derive(Debug)]
pub(super) struct Incoming<'a> {
    body: Body,
    limits: &'a RequestLimits,
}

/// How long an answer is held back while the rest of an unwanted body arrives.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

impl<'a> Incoming<'a> {
    pub(super) fn new(body: Body, limits: &'a RequestLimits) -> Incoming<'a> {
        Incoming { body, limits }
    }

    /// As many bytes as may still come: what the head announces, else the limit.
    pub(super) fn most_bytes(&self) -> Result<usize, ApiError> {
        let (announced, max_bytes) = (self.body.size_hint(), self.limits.max_body_bytes);
        if announced.lower() > max_bytes as u64 {
            return Err(ApiError::BodyTooLarge { max_bytes });
        }
        Ok(announced.upper().map_or(max_bytes, |upper| max_bytes.min(upper as usize)))
    }

    /// Reads the whole body and finds its images. Content-Type tells a form apart; all else is one image.
    pub(super) async fn images(&mut self, parts: Parts) -> Result<Images, ApiError> {
        let is_form = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| is_form(kind.as_bytes()));
        let bytes = self.read().await?;
        match bytes {
            bytes if bytes.is_empty() => Err(ApiError::EmptyBody),
            bytes if is_form => files(Request::from_parts(parts, bytes.into()), self.limits.max_files).await,
            bytes => Ok(Images::One(bytes)),
        }
    }

    async fn read(&mut self) -> Result<Bytes, ApiError> {
        let limit = self.limits.read_timeout;
        let read = self.read_up_to(self.limits.max_body_bytes);
        timeout(limit, read).await.map_err(|_| ApiError::SlowBody { timeout_ms: limit.as_millis() })?
    }

    async fn read_up_to(&mut self, max_bytes: usize) -> Result<Bytes, ApiError> {
        let mut bytes = Vec::with_capacity((self.body.size_hint().lower() as usize).min(max_bytes));
        while let Some(frame) = self.body.frame().await {
            let data = frame.map_err(|_| ApiError::BrokenBody)?.into_data().unwrap_or_default();
            if bytes.len() + data.len() > max_bytes {
                return Err(ApiError::BodyTooLarge { max_bytes });
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.into())
    }

    /// Reads on for a while and throws away what comes: a caller that is still sending would otherwise find its
    /// connection reset, and never see the error. One that waits to be asked for its body is not asked.
    pub(super) async fn discard(mut self, parts: &Parts) {
        if parts.headers.contains_key(EXPECT) {
            return;
        }
        let mut left = self.limits.max_body_bytes;
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

/// Does a Content-Type say so, whatever parameters it has?
fn is_form(kind: &[u8]) -> bool {
    let media_type = kind.split(|&byte| byte == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(b"multipart/form-data")
}

/// The files of a form, all in one copy of its body: the body itself is dropped when that is made.
async fn files(request: Request, max_files: usize) -> Result<Images, ApiError> {
    let bad = |reason: &dyn ToString| ApiError::BadMultipart { reason: reason.to_string() };
    let mut form = Multipart::from_request(request, &()).await.map_err(|error| bad(&error.body_text()))?;
    let mut files = Vec::new();
    while let Some(mut field) = form.next_field().await.map_err(|error| bad(&error.body_text()))? {
        let Some(name) = field.file_name() else {
            let name = field.name().unwrap_or_default().chars().take(MAX_NAME).collect();
            return Err(ApiError::FieldWithoutFile { name });
        };
        if files.len() == max_files {
            return Err(ApiError::TooManyFiles { max_files });
        }
        let name = name.chars().take(MAX_NAME).collect();
        // As the whole body is there, a file comes in one piece: a slice, where `bytes` would copy it.
        let mut file = Bytes::new();
        while let Some(piece) = field.chunk().await.map_err(|error| bad(&error.body_text()))? {
            file = if file.is_empty() { piece } else { [file, piece].concat().into() };
        }
        files.push((name, file));
    }
    match files.len() {
        0 => Err(ApiError::EmptyBody),
        1 => Ok(Images::One(files.remove(0).1)),
        _ => Ok(Images::Several(files)),
    }
}

/// Of a file's name, as many characters come back in answers and errors.
const MAX_NAME: usize = 100;
