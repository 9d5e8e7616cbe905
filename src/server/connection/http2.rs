//! Serves one connection with HTTP/2, of a client that begins with it (prior knowledge).
//!
//! A connection without requests is closed after the keep-alive timeout. The number of concurrent requests, the size of headers,
//! and the requests that a client may cancel before they are handled ("rapid reset") have limits.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::watch::Receiver;
use tokio::time::sleep;
use tracing::debug;

/// The bytes by which HTTP/2 is told from HTTP/1, which has no method of this name.
const PREFACE: &[u8] = b"PRI";
/// Pause before the next look at a connection that sent only a part of [`PREFACE`].
const NEXT_LOOK: Duration = Duration::from_millis(5);
/// Requests in progress on one connection. Clients wait for room, so it limits memory and not throughput.
const MAX_STREAMS: u32 = 128;
/// Bytes of a request's headers.
const MAX_HEADER_BYTES: u32 = 16 << 10;
/// Requests that a client may have cancelled before the server closes the connection.
const MAX_RESETS: usize = 64;
/// How long a client may take to answer a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What a connection is doing.
#[derive(Debug)]
struct Activity {
    in_flight: AtomicUsize,
    /// When the last request ended.
    since: Mutex<Instant>,
}

/// The service of one connection; records its activity.
struct Tracked {
    service: TowerToHyperService<Router>,
    activity: Arc<Activity>,
}

/// A request in progress.
struct InFlight(Arc<Activity>);

/// Whether the client begins with HTTP/2; looks at its first bytes without taking them. `None` if it left, or sent nothing within
/// the timeout.
pub(super) async fn begins(stream: &TcpStream, idle_timeout: Duration) -> Option<bool> {
    let look = async {
        loop {
            let mut first = [0; PREFACE.len()];
            let length = stream.peek(&mut first).await.ok().filter(|&length| length > 0)?;
            if first[..length] != PREFACE[..length] || length == PREFACE.len() {
                return Some(length == PREFACE.len() && first == PREFACE);
            }
            sleep(NEXT_LOOK).await;
        }
    };
    tokio::time::timeout(idle_timeout, look).await.ok().flatten()
}

/// Serves a connection until it ends. A signal on `end` ends it after its current requests.
pub(super) async fn serve(
    stream: TcpStream,
    service: TowerToHyperService<Router>,
    idle_timeout: Duration,
    mut end: Receiver<()>,
) {
    let activity = Arc::new(Activity { in_flight: AtomicUsize::new(0), since: Mutex::new(Instant::now()) });
    let service = Tracked { service, activity: activity.clone() };
    let mut connection = pin!(builder(idle_timeout).serve_connection(TokioIo::new(stream), service));
    let mut idle = pin!(activity.idle(idle_timeout));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = &mut idle => None,
        _ = end.changed() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection ended early");
    }
}

fn builder(idle_timeout: Duration) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS)
        // Finds clients that vanished without a word.
        .keep_alive_interval(idle_timeout)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

impl Activity {
    /// Completes when there was no request for this time.
    async fn idle(&self, timeout: Duration) {
        loop {
            let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
            let rest = (since + timeout).saturating_duration_since(Instant::now());
            match self.in_flight.load(Ordering::Relaxed) {
                0 if rest.is_zero() => return,
                0 => sleep(rest).await,
                _ => sleep(timeout).await,
            }
        }
    }
}

impl InFlight {
    fn begin(activity: &Arc<Activity>) -> InFlight {
        activity.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(activity.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        *self.0.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Service<Request<Incoming>> for Tracked {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (answer, in_flight) = (self.service.call(request), InFlight::begin(&self.activity));
        Box::pin(async move {
            let answer = answer.await;
            drop(in_flight);
            answer
        })
    }
}
