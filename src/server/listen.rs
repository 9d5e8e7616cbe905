//! Connections: how many may be open, and how they are told to end.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::TcpListener as Backlog;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::warn;

use super::connection::Connections;
use crate::server::RequestLimits;

/// How long to wait where the system has no more connections to give.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

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
            (stream, permit) = open.next(&listener) => open.serve(stream, Some(permit)),
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
    connections: Connections,
    room: Arc<Semaphore>,
    /// Tells them to end; each of them holds a receiver until it has.
    end: watch::Sender<()>,
}

impl Open {
    fn new(app: Router, limits: &RequestLimits) -> Open {
        let room = Arc::new(Semaphore::new(limits.max_connections));
        Open { connections: Connections::new(app, *limits), room, end: watch::Sender::new(()) }
    }

    /// Ends each connection after the request that it is at, and completes when all have ended.
    pub(super) async fn end(self) {
        let _ = self.end.send(());
        self.end.closed().await;
    }

    /// The next connection, once there is a permit for it; until then it waits with the system.
    async fn next(&self, listener: &TcpListener) -> (TcpStream, OwnedSemaphorePermit) {
        let permit = self.room.clone().acquire_owned().await.expect("nobody closes it");
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return (stream, permit),
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
    fn serve(&self, stream: TcpStream, permit: Option<OwnedSemaphorePermit>) {
        let (connections, end) = (self.connections.clone(), self.end.subscribe());
        tokio::spawn(async move {
            connections.serve(stream, end).await;
            drop(permit);
        });
    }
}
