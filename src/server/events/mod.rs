//! `GET /events`: what the server is doing, a few times per second, as server-sent events.
//!
//! Promises that no more than [`Listeners`] allow listen at once, that a listener who does not read takes no memory beyond
//! its connection's, and that every stream whose listener reads ends by itself when the server is asked to stop.

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
use recent::{Counts, Recent};

/// The places for those who listen.
#[derive(Debug)]
pub(super) struct Listeners {
    places: Arc<Semaphore>,
    most: usize,
}

/// Why nobody may listen now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deaf {
    /// All places are taken.
    Full {
        /// How many there are.
        most: usize,
    },
    /// The server is about to end.
    Stopping,
}

/// One listener's stream.
struct Stream {
    service: Arc<Service>,
    ticks: Interval,
    recent: Recent,
    ended: bool,
    _place: OwnedSemaphorePermit,
}

/// The time between two events.
const PERIOD: Duration = Duration::from_millis(250);
/// The most that listen at once, where there are connections enough.
const MOST: usize = 32;
/// Of all connections, one in so many may be a listener's.
const SHARE: usize = 4;
/// The last event of a server that is asked to stop.
const STOPPING: &str = "event: stopping\ndata: {}\n\n";

impl Listeners {
    /// The places on a server that keeps at most `max_connections` connections open.
    pub(super) fn new(max_connections: usize) -> Listeners {
        let most = MOST.min(max_connections / SHARE);
        Listeners { places: Arc::new(Semaphore::new(most)), most }
    }
}

/// The events from now on, as the body of an answer.
///
/// # Errors
/// [`Deaf`] when there is no place, or nothing more to tell.
pub(super) fn listen(service: Arc<Service>) -> Result<Body, Deaf> {
    if service.is_stopping() {
        return Err(Deaf::Stopping);
    }
    let Listeners { places, most } = &service.listeners;
    let place = places.clone().try_acquire_owned().map_err(|_| Deaf::Full { most: *most })?;
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let recent = Recent::new(Counts::read(&service.metrics), Instant::now());
    Ok(Body::new(Stream { service, ticks, recent, ended: false, _place: place }))
}

impl Stream {
    fn event(&mut self) -> String {
        let metrics = &self.service.metrics;
        let event = self.recent.event(Counts::read(metrics), Instant::now(), self.service.is_ready());
        // Numbers and booleans only: they always can be written.
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
