//! Bounds the memory and the time of messages while they arrive, which tonic does only for each message by itself.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;

use crate::server::Service;
use crate::server::error::ApiError;
use crate::server::memory::{Growing, Reserved};

/// The memory that a request's messages took while they arrived. The handler takes it over.
#[derive(Debug, Clone, Default)]
pub(super) struct Reservation(Arc<Mutex<Option<Growing>>>);

/// A request's body that reserves what it delivers.
struct Limited {
    body: Body,
    reservation: Reservation,
    bytes: usize,
    max_bytes: usize,
    max_bytes_in_flight: usize,
    read_timeout_ms: u128,
    deadline: Pin<Box<Sleep>>,
}

/// Limits the body of a request.
pub(super) async fn limit(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let limits = service.limits;
    let (mut parts, body) = request.into_parts();
    let reservation = Reservation(Arc::new(Mutex::new(Some(service.memory.begin()))));
    parts.extensions.insert(reservation.clone());
    let limited = Limited {
        body,
        reservation,
        bytes: 0,
        max_bytes: limits.max_body_bytes,
        max_bytes_in_flight: limits.max_bytes_in_flight,
        read_timeout_ms: limits.read_timeout.as_millis(),
        deadline: Box::pin(sleep(limits.read_timeout)),
    };
    next.run(Request::from_parts(parts, Body::new(limited))).await
}

impl Reservation {
    /// The memory, of a size that no longer changes.
    pub(super) fn reserved(self) -> Reserved {
        let growing = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        growing.map_or_else(Reserved::default, Growing::reserved)
    }

    fn resize(&self, bytes: usize) -> Option<()> {
        let mut growing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        growing.as_mut().map_or(Some(()), |growing| growing.resize(bytes))
    }
}

impl Limited {
    fn received(&mut self, bytes: usize) -> Result<(), ApiError> {
        self.bytes += bytes;
        if self.bytes > self.max_bytes {
            return Err(ApiError::BodyTooLarge { max_bytes: self.max_bytes });
        }
        let max_bytes = self.max_bytes_in_flight;
        self.reservation.resize(self.bytes).ok_or(ApiError::MemoryFull { max_bytes })
    }
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            let timeout_ms = self.read_timeout_ms;
            return Poll::Ready(Some(Err(status(&ApiError::SlowBody { timeout_ms }))));
        }
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else { return Poll::Ready(None) };
        let frame = frame.map_err(|_| status(&ApiError::BrokenBody))?;
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        Poll::Ready(Some(self.received(bytes).map(|()| frame).map_err(|error| status(&error))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn status(error: &ApiError) -> Status {
    Status::new(error.kind().0.grpc(), error.to_string())
}
