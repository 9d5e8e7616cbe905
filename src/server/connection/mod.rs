//! Serves one connection: HTTP/2 if its client begins with that, which gRPC needs, else HTTP/1. Both by hyper; HTTP/1 with three
//! additions.
//!
//! - A caller that half-closes its connection after a request is answered. A caller that has disconnected is detected, and its
//!   request is dropped: [`watch`].
//! - An idle connection is closed after the keep-alive timeout, one with incomplete headers after the read timeout: [`watch`].
//! - hyper's own answers to invalid headers get a body like all other errors: [`socket`].

mod http2;
mod progress;
mod socket;
mod watch;

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::watch::Receiver;
use tokio::time::timeout;
use tracing::debug;

use crate::server::RequestLimits;
use progress::{Progress, Shared};
use socket::Socket;
use watch::{Left, watch};

/// At shutdown, how long an idle connection may still begin a request: enough for one already on the network.
const LINGER: Duration = Duration::from_millis(100);
/// How long the rest of an invalid request is discarded. Without this, a caller that is still sending gets a reset connection
/// instead of the error.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum number of bytes discarded.
const DISCARD_BYTES: usize = 1 << 20;

/// The configuration shared by all connections.
#[derive(Clone)]
pub(super) struct Connections {
    http: http1::Builder,
    service: TowerToHyperService<Router>,
    limits: RequestLimits,
}

/// The service of one connection; records the progress of its request.
struct Tracked {
    service: TowerToHyperService<Router>,
    progress: Shared,
}

type Connection = http1::Connection<TokioIo<Socket>, Tracked>;

/// How a connection ended.
enum Ended {
    /// As reported by hyper.
    ByHttp(hyper::Result<()>),
    /// Because of the caller.
    Left(Left),
}

impl Connections {
    pub(super) fn new(app: Router, limits: RequestLimits) -> Connections {
        let mut http = http1::Builder::new();
        // hyper's own timeout would count the idle time between two requests as well.
        http.half_close(true).header_read_timeout(None);
        Connections { http, service: TowerToHyperService::new(app), limits }
    }

    /// Serves a connection until it ends. A signal on `end` ends it after its current request.
    pub(super) async fn serve(self, stream: TcpStream, mut end: Receiver<()>) {
        let idle_timeout = self.limits.keep_alive_timeout;
        let begins_with_http2 = tokio::select! {
            begins = http2::begins(&stream, idle_timeout) => begins,
            // A request that is already on the network is answered.
            _ = end.changed() => {
                end.mark_changed();
                Some(false)
            }
        };
        match begins_with_http2 {
            Some(true) => http2::serve(stream, self.service, idle_timeout, end).await,
            Some(false) => self.serve_http1(stream, end).await,
            None => debug!("closing a connection without a request"),
        }
    }

    async fn serve_http1(self, stream: TcpStream, mut end: Receiver<()>) {
        let progress = Progress::shared(self.limits.keep_alive_timeout, self.limits.read_timeout);
        let (read, write) = stream.into_split();
        let socket = TokioIo::new(Socket::new(write, progress.clone()));
        {
            let service = Tracked { service: self.service, progress: progress.clone() };
            let mut connection = pin!(self.http.serve_connection(socket, service));
            let mut left = pin!(watch(&read, &progress));
            let ended = tokio::select! {
                biased;
                ended = next(connection.as_mut(), left.as_mut()) => Some(ended),
                _ = end.changed() => None,
            };
            let ended = match ended {
                Some(ended) => ended,
                None => finish(connection, left).await,
            };
            ended.log();
        }
        // The answer is sent and the write half closed.
        if progress::lock(&progress).is_rejected() {
            let _ = timeout(DISCARD_TIMEOUT, discard(&read)).await;
        }
    }
}

/// Runs the connection until it ends. hyper is polled first, so the watch sees its latest progress.
async fn next(connection: Pin<&mut Connection>, left: Pin<&mut impl Future<Output = Left>>) -> Ended {
    tokio::select! {
        biased;
        ended = connection => Ended::ByHttp(ended),
        left = left => Ended::Left(left),
    }
}

/// Ends a connection gracefully: a request already on the network is still read and answered.
async fn finish(mut connection: Pin<&mut Connection>, mut left: Pin<&mut impl Future<Output = Left>>) -> Ended {
    if let Ok(ended) = timeout(LINGER, next(connection.as_mut(), left.as_mut())).await {
        return ended;
    }
    connection.as_mut().graceful_shutdown();
    next(connection, left).await
}

/// Reads and discards input until it ends or exceeds the limit.
async fn discard(read: &OwnedReadHalf) {
    let (mut bytes, mut left) = ([0; 8192], DISCARD_BYTES);
    while read.readable().await.is_ok() {
        left = match read.try_read(&mut bytes) {
            Ok(length) if 0 < length && length < left => left - length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => left,
            _ => return,
        }
    }
}

impl Ended {
    fn log(&self) {
        match self {
            Ended::ByHttp(Ok(())) => {}
            Ended::ByHttp(Err(error)) => debug!(%error, "a connection ended early"),
            Ended::Left(reason) => debug!(?reason, "closing a connection"),
        }
    }
}

impl Service<Request<Incoming>> for Tracked {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        progress::lock(&self.progress).called();
        let (answer, progress) = (self.service.call(request), Arc::clone(&self.progress));
        Box::pin(async move {
            let answer = answer.await;
            progress::lock(&progress).answered();
            answer
        })
    }
}
