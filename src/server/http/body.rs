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
use crate::server::memory::{Memory, Reserved};

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
    memory: &'a Memory,
    /// Was its caller asked for it? hyper does that when it is read.
    asked: bool,
}

/// Bytes of a body that are believed before they have come.
const LIKELY: usize = 64 << 10;
/// How long an answer is held back while the rest of an unwanted body arrives.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

impl<'a> Incoming<'a> {
    pub(super) fn new(body: Body, limits: &'a RequestLimits, memory: &'a Memory) -> Incoming<'a> {
        Incoming { body, limits, memory, asked: false }
    }

    /// Reads the whole body and finds its images, and the memory that is theirs. Content-Type tells a form apart; all else is
    /// one image.
    pub(super) async fn images(&mut self, parts: Parts) -> Result<(Images, Reserved), ApiError> {
        if self.body.size_hint().lower() > self.limits.max_body_bytes as u64 {
            return Err(ApiError::BodyTooLarge { max_bytes: self.limits.max_body_bytes });
        }
        let is_form = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| is_form(kind.as_bytes()));
        let (bytes, reserved) = self.read().await?;
        let images = match bytes {
            bytes if bytes.is_empty() => return Err(ApiError::EmptyBody),
            bytes if is_form => files(Request::from_parts(parts, bytes.into()), self.limits.max_files).await?,
            bytes => Images::One(bytes),
        };
        Ok((images, reserved))
    }

    async fn read(&mut self) -> Result<(Bytes, Reserved), ApiError> {
        let limit = self.limits.read_timeout;
        timeout(limit, self.read_all()).await.map_err(|_| ApiError::SlowBody { timeout_ms: limit.as_millis() })?
    }

    /// Memory is reserved for what has come, not for what was announced: who announces much and sends nothing takes none.
    async fn read_all(&mut self) -> Result<(Bytes, Reserved), ApiError> {
        self.asked = true;
        let RequestLimits { max_body_bytes, max_bytes_in_flight, .. } = *self.limits;
        let full = || ApiError::MemoryFull { max_bytes: max_bytes_in_flight };
        let mut reserved = self.memory.begin();
        let mut bytes = Vec::new();
        while let Some(frame) = self.body.frame().await {
            let data = frame.map_err(|_| ApiError::BrokenBody)?.into_data().unwrap_or_default();
            let length = bytes.len() + data.len();
            if length > max_body_bytes {
                return Err(ApiError::BodyTooLarge { max_bytes: max_body_bytes });
            }
            reserved.grow_to(length).ok_or_else(full)?;
            if bytes.is_empty() {
                bytes.reserve_exact((self.body.size_hint().lower() as usize + length).min(LIKELY));
            }
            bytes.extend_from_slice(&data);
        }
        Ok((bytes.into(), reserved.reserved()))
    }

    /// Reads on for a while and throws away what comes: a caller that is still sending would otherwise find its
    /// connection reset, and never see the error. One that waits to be asked for its body is not asked.
    pub(super) async fn discard(mut self, parts: &Parts) {
        if !self.asked && parts.headers.contains_key(EXPECT) {
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
