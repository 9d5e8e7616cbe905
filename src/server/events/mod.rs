//! `GET /events`: the server's state as server-sent events, several times per second.
//!
//! Contract: [`Subscribers`] bounds the number of open streams. A subscriber that does not read takes no memory beyond its
//! connection's. Every other stream ends when the server stops.

mod recent;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Service;
use recent::{Now, Recent};

/// The permits for subscribers.
#[derive(Debug)]
pub(super) struct Subscribers {
    permits: Arc<Semaphore>,
    most: usize,
}

/// Why a subscription fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SubscribeError {
    /// The limit is reached.
    Full {
        /// The limit.
        most: usize,
    },
    /// The server is stopping.
    Stopping,
}

/// The stream of one subscriber.
struct Stream {
    service: Arc<Service>,
    ticks: Interval,
    recent: Recent,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

/// The time between two events.
const PERIOD: Duration = Duration::from_millis(250);
/// Maximum number of subscribers, if there are enough connections.
const MOST: usize = 32;
/// At most one in this many connections may be a subscriber's.
const SHARE: usize = 4;
/// The last event, sent when the server stops.
const STOPPING: &str = "event: stopping\ndata: {}\n\n";

impl Subscribers {
    /// The permits of a server with at most `max_connections` open connections.
    pub(super) fn new(max_connections: usize) -> Subscribers {
        let most = MOST.min(max_connections / SHARE);
        Subscribers { permits: Arc::new(Semaphore::new(most)), most }
    }
}

/// Subscribes to the events from now on. Returns the stream as a response body.
///
/// # Errors
/// [`SubscribeError`] if the limit is reached or the server is stopping.
pub(super) fn subscribe(service: Arc<Service>) -> Result<Body, SubscribeError> {
    if service.is_stopping() {
        return Err(SubscribeError::Stopping);
    }
    let Subscribers { permits, most } = &service.subscribers;
    let permit = permits.clone().try_acquire_owned().map_err(|_| SubscribeError::Full { most: *most })?;
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let recent = Recent::new(service.metrics.totals(), Instant::now());
    Ok(Body::new(Stream { service, ticks, recent, ended: false, _permit: permit }))
}

impl Stream {
    fn event(&mut self) -> String {
        let metrics = &self.service.metrics;
        let now = Now::read(metrics, Instant::now(), self.service.is_ready());
        let event = self.recent.event(metrics.totals(), now);
        // Numbers and booleans only, so serialisation cannot fail.
        format!("data: {}\n\n", serde_json::to_string(&event).unwrap_or_default())
    }
}

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        ready!(self.ticks.poll_tick(context));
        self.ended = self.service.is_stopping();
        let text = match self.ended {
            true => STOPPING.to_owned(),
            false => self.event(),
        };
        Poll::Ready(Some(Ok(Frame::data(text.into()))))
    }
}
