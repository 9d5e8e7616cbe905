//! The only place that knows wire types and status codes.
//!
//! [`app`] is the whole service as a value, [`serve`] runs it on a listener until it is told to stop. Handlers read a
//! request, hand its images to the scheduler, wait, and write the answer; they never compute.

mod http;
mod listen;
mod memory;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::config::RequestLimits;
use crate::repository::Repository;
use crate::scheduler::Scheduler;
use crate::telemetry::Metrics;
use memory::Memory;

/// Everything that a request may need.
#[derive(Debug)]
pub struct Service {
    repository: Repository,
    scheduler: Scheduler,
    metrics: Arc<Metrics>,
    registry: Registry,
    limits: RequestLimits,
    memory: Memory,
    stopping: AtomicBool,
}

impl Service {
    /// The service of these models. `registry` is what `/metrics` shows; `metrics` should be registered in it.
    pub fn new(
        repository: Repository,
        scheduler: Scheduler,
        metrics: Arc<Metrics>,
        registry: Registry,
        limits: RequestLimits,
    ) -> Service {
        metrics.models_rejected.set(repository.rejected().len() as i64);
        let memory = Memory::new(limits.max_bytes_in_flight);
        Service { repository, scheduler, metrics, registry, limits, memory, stopping: AtomicBool::new(false) }
    }

    /// The models that it serves.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Will a request be answered soon: is everything warmed up, and is the server not about to end?
    pub fn is_ready(&self) -> bool {
        self.scheduler.is_ready() && !self.stopping.load(Ordering::Relaxed)
    }

    /// Waits until every worker has warmed up.
    pub async fn warmed_up(&self) {
        self.scheduler.ready().await;
    }
}

/// Every route of the service.
pub fn app(service: Arc<Service>) -> Router {
    http::router(service)
}

/// Serves until `shutdown` completes; then `/readyz` says no, no connection is taken, and requests under way get
/// `drain_timeout` to finish.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    shutdown: impl Future<Output = ()> + Send + 'static,
    drain_timeout: Duration,
) {
    let stopping = async {
        shutdown.await;
        info!("stopping: requests under way finish");
        service.stopping.store(true, Ordering::Relaxed);
    };
    let open = listen::until(stopping, listener, app(service.clone()), &service.limits).await;
    if timeout(drain_timeout, open.shutdown()).await.is_err() {
        warn!(drain_timeout_ms = drain_timeout.as_millis() as u64, "stopping: some requests did not finish in time");
    }
}
