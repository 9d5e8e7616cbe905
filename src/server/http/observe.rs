//! Wraps every request in its ID, its tracing span and one log line.

use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, Span, debug, info, info_span, warn};

use crate::server::answered::Answered;
use crate::server::error::ApiError;

const REQUEST_ID: &str = "x-request-id";
/// Maximum length of a caller's request ID.
const MAX_ID: usize = 128;
/// Paths that machines poll; logged at debug level.
const ROUTINE: [&str; 4] = ["/livez", "/readyz", "/metrics", "/events"];
/// The prefix of the page's assets, which a browser requests in bulk.
const PARTS: &str = "/page/";

/// Removes a caller's request ID that is unsuitable for a log, so that a new one is generated.
pub(super) async fn check_request_id(mut request: Request, next: Next) -> Response {
    let strange = |id: &[u8]| id.is_empty() || id.len() > MAX_ID || !id.iter().all(u8::is_ascii_graphic);
    if request.headers().get(REQUEST_ID).is_some_and(|id| strange(id.as_bytes())) {
        request.headers_mut().remove(REQUEST_ID);
    }
    next.run(request).await
}

/// Runs the request in its own span and logs its outcome.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let path: String = request.uri().path().chars().take(MAX_ID).collect();
    let routine = ROUTINE.contains(&path.as_str()) || path.starts_with(PARTS);
    let span = info_span!("request", id = id(request.headers()), method = %request.method(), path);
    let mut line = Line { span: span.clone(), started_at: Instant::now(), ended: false };
    let response = next.run(request).instrument(span).await;
    line.ended = true;
    line.write(&response, routine);
    response
}

fn id(headers: &HeaderMap) -> &str {
    headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default()
}

/// Writes a request's log line, even if its caller disconnects first.
struct Line {
    span: Span,
    started_at: Instant,
    ended: bool,
}

impl Line {
    fn write(&self, response: &Response, routine: bool) {
        let _entered = self.span.enter();
        let (status, duration_ms) = (response.status().as_u16(), self.duration_ms());
        if let Some(Answered { model, width, images, timing }) = response.extensions().get() {
            let (queue_ms, decode_ms, inference_ms) = (timing.queue, timing.decode, timing.inference);
            info!(status, model, %width, images, queue_ms, decode_ms, inference_ms, duration_ms, "answered");
        } else if let Some(error) = response.extensions().get::<ApiError>() {
            // A refusal is not a fault, and refusals are most frequent under overload.
            match response.status() == StatusCode::INTERNAL_SERVER_ERROR {
                true => warn!(status, duration_ms, %error, "failed"),
                false => info!(status, duration_ms, %error, "rejected"),
            }
        } else if routine {
            debug!(status, duration_ms, "answered");
        } else {
            info!(status, duration_ms, "answered");
        }
    }

    fn duration_ms(&self) -> f64 {
        self.started_at.elapsed().as_micros() as f64 / 1000.0
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.ended {
            let _entered = self.span.enter();
            info!(duration_ms = self.duration_ms(), "the caller disconnected");
        }
    }
}
