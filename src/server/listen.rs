//! Connections: how many may be open, how long each may take to say what it wants, and how they end.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::TcpListener as Backlog;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::config::RequestLimits;

/// How long to wait where the system has no more connections to give.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// At the end, how long a connection may still take to begin a request: as long as one that is on its way may need.
const LINGER: Duration = Duration::from_millis(100);

type Connection = http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>>;

/// Serves every connection until `shutdown` completes; then takes those that the system has accepted by then, and no
/// more, and gives back all that are open.
pub(super) async fn until(
    shutdown: impl Future<Output = ()>,
    listener: TcpListener,
    app: Router,
    limits: &RequestLimits,
) -> Open {
    let open = Open::new(app, limits);
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            (stream, place) = open.next(&listener) => open.serve(stream, Some(place)),
            () = &mut shutdown => break,
        }
    }
    if let Err(error) = listener.into_std().and_then(|backlog| open.serve_all(&backlog)) {
        warn!(%error, "cannot take the last connections");
    }
    open
}

/// The connections that are open.
pub(super) struct Open {
    http: http1::Builder,
    service: TowerToHyperService<Router>,
    room: Arc<Semaphore>,
    /// Tells them to end; each of them holds a receiver until it has.
    end: watch::Sender<()>,
}

impl Open {
    fn new(app: Router, limits: &RequestLimits) -> Open {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(limits.read_timeout);
        let room = Arc::new(Semaphore::new(limits.max_connections));
        Open { http, service: TowerToHyperService::new(app), room, end: watch::Sender::new(()) }
    }

    /// Ends each connection after the request that it is at, and completes when all have ended.
    pub(super) async fn end(self) {
        let _ = self.end.send(());
        self.end.closed().await;
    }

    /// The next connection, once there is a place for it; until then it waits with the system.
    async fn next(&self, listener: &TcpListener) -> (TcpStream, OwnedSemaphorePermit) {
        let place = self.room.clone().acquire_owned().await.expect("nobody closes it");
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return (stream, place),
                Err(error) => {
                    warn!(%error, "cannot take a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves what waits with the system, above the limit too: it would be reset when the listener closes, with its
    /// request perhaps on the way. The system's own limit bounds it.
    fn serve_all(&self, backlog: &Backlog) -> io::Result<()> {
        loop {
            match backlog.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    self.serve(TcpStream::from_std(stream)?, None);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Serves a connection, on a task of its own.
    fn serve(&self, stream: TcpStream, place: Option<OwnedSemaphorePermit>) {
        let mut end = self.end.subscribe();
        let connection = self.http.serve_connection(TokioIo::new(stream), self.service.clone());
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => Some(ended),
                _ = end.changed() => None,
            };
            let ended = match ended {
                Some(ended) => ended,
                None => finish(connection).await,
            };
            if let Err(error) = ended {
                debug!(%error, "a connection ended early");
            }
            drop((place, end));
        });
    }
}

/// Ends a connection: what is on its way is still read and answered, as it would be lost with a connection that is closed
/// at once, although the server has accepted it.
async fn finish(mut connection: Pin<&mut Connection>) -> hyper::Result<()> {
    if let Ok(ended) = timeout(LINGER, connection.as_mut()).await {
        return ended;
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}
