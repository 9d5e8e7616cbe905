//! Connections: how many may be open, and how long each may take to say what it wants.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, warn};

use crate::config::RequestLimits;

/// How long to wait where the system has no more connections to give.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Serves every connection until `shutdown` completes; then takes no more, and gives back those that are open.
pub(super) async fn until(
    shutdown: impl Future<Output = ()>,
    listener: TcpListener,
    app: Router,
    limits: &RequestLimits,
) -> GracefulShutdown {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.read_timeout);
    let service = TowerToHyperService::new(app);
    let room = Arc::new(Semaphore::new(limits.max_connections));
    let open = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let (stream, place) = tokio::select! {
            next = next(&listener, &room) => next,
            () = &mut shutdown => return open,
        };
        let connection = open.watch(http.serve_connection(TokioIo::new(stream), service.clone()));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
}

/// The next connection, once there is a place for it; until then it waits with the system.
async fn next(listener: &TcpListener, room: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    let place = room.clone().acquire_owned().await.expect("nobody closes it");
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
