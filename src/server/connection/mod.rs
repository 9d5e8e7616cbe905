//! One connection: HTTP/1 by hyper, and around it what hyper does not do.
//!
//! - A caller that ends only its own direction after a request is answered; one that is gone is found out, and its request is
//!   dropped: [`watch`].
//! - A connection that waits for a request is closed after the keep-alive timeout, one that has begun a head and does not
//!   finish it after the read timeout: [`watch`].
//! - What hyper answers by itself, to a head that cannot be read, has a body like all other errors: [`socket`].

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

/// At the end, how long a connection may still take to begin a request: as long as one that is on its way may need.
const LINGER: Duration = Duration::from_millis(100);
/// How long the rest of a head that cannot be read is thrown away: a caller that is still sending would find its connection
/// reset, and never see the error.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);
/// The most of it.
const DISCARD_BYTES: usize = 1 << 20;

/// What every connection is served with.
#[derive(Clone)]
pub(super) struct Connections {
    http: http1::Builder,
    service: TowerToHyperService<Router>,
    limits: RequestLimits,
}

/// The service of one connection, which tells how far its request has come.
struct Told {
    service: TowerToHyperService<Router>,
    progress: Shared,
}

type Connection = http1::Connection<TokioIo<Socket>, Told>;

/// How a connection ends.
enum Ended {
    /// As hyper has it.
    ByHttp(hyper::Result<()>),
    /// Because of its caller.
    Left(Left),
}

impl Connections {
    pub(super) fn new(app: Router, limits: RequestLimits) -> Connections {
        let mut http = http1::Builder::new();
        // hyper's own timeout would count the time between two requests as a slow head.
        http.half_close(true).header_read_timeout(None);
        Connections { http, service: TowerToHyperService::new(app), limits }
    }

    /// Serves one until it ends. When `end` tells it to, it ends after the request that it is at.
    pub(super) async fn serve(self, stream: TcpStream, mut end: Receiver<()>) {
        let progress = Progress::shared(self.limits.keep_alive_timeout, self.limits.read_timeout);
        let (read, write) = stream.into_split();
        let socket = TokioIo::new(Socket::new(write, progress.clone()));
        {
            let told = Told { service: self.service, progress: progress.clone() };
            let mut connection = pin!(self.http.serve_connection(socket, told));
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
            ended.tell();
        }
        // The answer is sent, and our direction is closed.
        if progress::lock(&progress).is_rejected() {
            let _ = timeout(DISCARD_TIMEOUT, discard(&read)).await;
        }
    }
}

/// Goes on until the connection ends. The watch comes second: what hyper has done by then is done.
async fn next(connection: Pin<&mut Connection>, left: Pin<&mut impl Future<Output = Left>>) -> Ended {
    tokio::select! {
        biased;
        ended = connection => Ended::ByHttp(ended),
        left = left => Ended::Left(left),
    }
}

/// Ends a connection: what is on its way is still read and answered, as it would be lost with a connection that is closed
/// at once, although the server has accepted it.
async fn finish(mut connection: Pin<&mut Connection>, mut left: Pin<&mut impl Future<Output = Left>>) -> Ended {
    if let Ok(ended) = timeout(LINGER, next(connection.as_mut(), left.as_mut())).await {
        return ended;
    }
    connection.as_mut().graceful_shutdown();
    next(connection, left).await
}

/// Throws away what still comes, until nothing does.
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
    fn tell(&self) {
        match self {
            Ended::ByHttp(Ok(())) => {}
            Ended::ByHttp(Err(error)) => debug!(%error, "a connection ended early"),
            Ended::Left(reason) => debug!(?reason, "a connection is closed"),
        }
    }
}

impl Service<Request<Incoming>> for Told {
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
