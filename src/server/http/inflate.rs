//! Decompresses bodies with a `Content-Encoding`.
//!
//! Decompression is computation, so it runs on blocking threads, never in async code, and on at most as many at once as may decode
//! large images. Every stage of a body stays within the body limit and the shared memory limit.

use std::io::{self, ErrorKind, Read};
use std::sync::{Arc, Weak};

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use flate2::bufread::GzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;

use crate::server::RequestLimits;
use crate::server::error::ApiError;
use crate::server::memory::Growing;

/// A content encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    /// The zlib format, as specified for this name, or raw deflate, as some clients send it.
    Deflate,
}

/// The permits for inflating.
#[derive(Debug)]
pub(in crate::server) struct Inflaters(Semaphore);

/// A body with its limits and its memory reservation.
struct Body {
    bytes: Bytes,
    limits: RequestLimits,
    growing: Growing,
    /// Dead once the caller has disconnected.
    wanted: Weak<()>,
}

/// Maximum number of nested encodings.
pub(in crate::server) const MAX_ENCODINGS: usize = 3;
/// Number of bytes decompressed between checks of the limits and the caller.
const STEP: usize = 64 << 10;

/// The body's encodings, in the order in which they were applied.
///
/// # Errors
/// [`ApiError::UnsupportedEncoding`] names an unknown encoding, or the header if there are too many.
pub(super) fn encodings(headers: &HeaderMap) -> Result<Vec<Encoding>, ApiError> {
    let mut encodings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            let is = |known: &[&[u8]]| known.iter().any(|known| name.eq_ignore_ascii_case(known));
            match () {
                () if is(&[b"", b"identity"]) => {}
                () if is(&[b"gzip", b"x-gzip"]) => encodings.push(Encoding::Gzip),
                () if is(&[b"deflate"]) => encodings.push(Encoding::Deflate),
                () => return Err(unsupported(name)),
            }
            if encodings.len() > MAX_ENCODINGS {
                return Err(unsupported(value.as_bytes()));
            }
        }
    }
    Ok(encodings)
}

fn unsupported(name: &[u8]) -> ApiError {
    const LONGEST: usize = 40;
    ApiError::UnsupportedEncoding { encoding: String::from_utf8_lossy(name).chars().take(LONGEST).collect() }
}

impl Inflaters {
    pub(in crate::server) fn new(at_once: usize) -> Inflaters {
        Inflaters(Semaphore::new(at_once))
    }

    /// A permit for computation of another kind: on a blocking thread, for a body that is too long to be read where it arrives.
    pub(in crate::server) async fn permit(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        self.0.acquire().await.map_err(|_| ApiError::Internal)
    }

    /// Decompresses the body. The returned reservation has the size of the result.
    pub(super) async fn inflate(
        &self,
        bytes: Bytes,
        encodings: Vec<Encoding>,
        limits: &RequestLimits,
        growing: Growing,
    ) -> Result<(Bytes, Growing), ApiError> {
        let _permit = self.permit().await?;
        let here = Arc::new(());
        let mut body = Body { bytes, limits: *limits, growing, wanted: Arc::downgrade(&here) };
        let inflated = spawn_blocking(move || {
            encodings.iter().rev().try_for_each(|&encoding| body.inflate(encoding)).map(|()| (body.bytes, body.growing))
        });
        let inflated = inflated.await.map_err(|_| ApiError::Internal)?;
        drop(here);
        inflated
    }
}

impl Body {
    fn inflate(&mut self, encoding: Encoding) -> Result<(), ApiError> {
        let RequestLimits { max_body_bytes, max_bytes_in_flight, .. } = self.limits;
        let mut reader = encoding.reader(&self.bytes);
        let mut inflated = Vec::new();
        loop {
            let length = inflated.len();
            inflated.resize(length + STEP, 0);
            let more = reader.read(&mut inflated[length..]).map_err(|error| encoding.broken(&error))?;
            inflated.truncate(length + more);
            if inflated.len() > max_body_bytes {
                return Err(ApiError::InflatedTooLarge { max_bytes: max_body_bytes });
            }
            let full = ApiError::MemoryFull { max_bytes: max_bytes_in_flight };
            self.growing.resize(self.bytes.len() + inflated.len()).ok_or(full)?;
            if self.wanted.strong_count() == 0 {
                // The caller has disconnected and never sees this error.
                return Err(ApiError::BrokenBody);
            }
            if more == 0 {
                break;
            }
        }
        drop(reader);
        self.bytes = inflated.into();
        // Shrinking cannot fail.
        let _ = self.growing.resize(self.bytes.len());
        Ok(())
    }
}

impl Encoding {
    fn reader(self, bytes: &[u8]) -> Box<dyn Read + '_> {
        match self {
            Encoding::Gzip => Box::new(Gunzipped(Some(GzDecoder::new(bytes)))),
            Encoding::Deflate => {
                Box::new(Deflated { bytes, state: Decompress::new(has_zlib_header(bytes)), ended: false })
            }
        }
    }

    fn broken(self, error: &io::Error) -> ApiError {
        let name = match self {
            Encoding::Gzip => "gzip",
            Encoding::Deflate => "deflate",
        };
        let reason = match error.kind() {
            ErrorKind::UnexpectedEof => format!("the {name} data ends early"),
            _ => format!("the {name} data is damaged or in another format ({error})"),
        };
        ApiError::BadEncoding { reason }
    }
}

/// Whether the data begins with a zlib header (RFC 1950). Raw deflate practically never does.
fn has_zlib_header(bytes: &[u8]) -> bool {
    matches!(bytes, &[method, flags, ..] if method & 0x8f == 8 && u16::from_be_bytes([method, flags]).is_multiple_of(31))
}

/// A gzip stream: concatenated members, and optional zero padding after the last. `None` at the end.
struct Gunzipped<'a>(Option<GzDecoder<&'a [u8]>>);

impl Read for Gunzipped<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(mut member) = self.0.take() {
            match member.read(buffer)? {
                0 => {
                    let rest = member.into_inner();
                    self.0 = match rest {
                        [0x1f, 0x8b, ..] => Some(GzDecoder::new(rest)),
                        _ if rest.iter().all(|&byte| byte == 0) => None,
                        _ => return Err(io::Error::new(ErrorKind::InvalidData, BEHIND)),
                    };
                }
                more => {
                    self.0 = Some(member);
                    return Ok(more);
                }
            }
        }
        Ok(0)
    }
}

const BEHIND: &str = "there is trailing data";

/// A deflate stream, which must be complete and without trailing data.
struct Deflated<'a> {
    bytes: &'a [u8],
    state: Decompress,
    ended: bool,
}

impl Read for Deflated<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return match self.bytes {
                [] => Ok(0),
                _ => Err(io::Error::new(ErrorKind::InvalidData, BEHIND)),
            };
        }
        let (read, written) = (self.state.total_in(), self.state.total_out());
        let status = self.state.decompress(self.bytes, buffer, FlushDecompress::None)?;
        self.bytes = &self.bytes[(self.state.total_in() - read) as usize..];
        let written = (self.state.total_out() - written) as usize;
        match status {
            Status::StreamEnd => {
                self.ended = true;
                if written == 0 { self.read(buffer) } else { Ok(written) }
            }
            _ if written == 0 && !buffer.is_empty() => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(written),
        }
    }
}
