//! Accepts connections, bounds their number, and ends them at shutdown.

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

/// Pause after the system fails to accept a connection, for example for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Serves connections until `shutdown` completes. Then takes those already in the system's backlog, stops listening, and returns
/// all open connections.
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
        warn!(%error, "cannot accept the last connections");
    }
    open
}

/// The open connections.
pub(super) struct Open {
    connections: Connections,
    room: Arc<Semaphore>,
    /// Signals all connections to end. Each holds a receiver until it has ended.
    end: watch::Sender<()>,
}

impl Open {
    fn new(app: Router, limits: &RequestLimits) -> Open {
        let room = Arc::new(Semaphore::new(limits.max_connections));
        Open { connections: Connections::new(app, *limits), room, end: watch::Sender::new(()) }
    }

    /// Ends each connection after its current request. Completes when all have ended.
    pub(super) async fn end(self) {
        let _ = self.end.send(());
        self.end.closed().await;
    }

    /// Waits for a permit and accepts the next connection. Until then, connections wait in the system's backlog.
    async fn next(&self, listener: &TcpListener) -> (TcpStream, OwnedSemaphorePermit) {
        let permit = self.room.clone().acquire_owned().await.expect("the semaphore is never closed");
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return (stream, permit),
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves the connections in the system's backlog, even above the limit: closing the listener would reset them, possibly with a
    /// request under way. The backlog's own limit bounds their number.
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

    /// Serves a connection on its own task.
    fn serve(&self, stream: TcpStream, permit: Option<OwnedSemaphorePermit>) {
        let (connections, end) = (self.connections.clone(), self.end.subscribe());
        tokio::spawn(async move {
            connections.serve(stream, end).await;
            drop(permit);
        });
    }
}
