//! The only module that knows wire types and status codes.
//!
//! [`app`] is the service as a value; [`serve`] runs it on a listener until shutdown. Handlers read a request, submit its images
//! to the scheduler, wait, and write the answer. They never compute.

mod answered;
mod connection;
mod control;
mod cors_origin;
mod error;
mod events;
mod http;
mod limits;
mod listen;
mod memory;
mod oip;
mod page;
mod request;
mod run;

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::repository::Repository;
use crate::scheduler::Scheduler;
use crate::telemetry::Metrics;
use events::Subscribers;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use http::fuzzing;
use http::{Chances, Inflaters};
use memory::Memory;

use control::Control;
pub use control::{Changes, ModelControl, ModelControlMode, UnknownControlMode};
pub use cors_origin::{CorsOrigin, NotAnOrigin};
pub use limits::{Drain, RequestLimits};

/// The state shared by all requests.
#[derive(Debug)]
pub struct Service {
    /// The models as they are now.
    repository: RwLock<Arc<Repository>>,
    /// How they change, if they do.
    control: Option<Control>,
    scheduler: Scheduler,
    metrics: Arc<Metrics>,
    registry: Registry,
    limits: RequestLimits,
    cors_origins: Vec<CorsOrigin>,
    memory: Memory,
    inflaters: Inflaters,
    chances: Chances,
    subscribers: Subscribers,
    stopping: AtomicBool,
}

impl Service {
    /// Creates the service. `/metrics` exposes `registry`, in which `metrics` should be registered.
    pub fn new(
        repository: Repository,
        scheduler: Scheduler,
        metrics: Arc<Metrics>,
        registry: Registry,
        limits: RequestLimits,
    ) -> Service {
        metrics.models_rejected.set(repository.rejected().len() as i64);
        let repository = Arc::new(repository);
        let memory = Memory::new(limits.max_bytes_in_flight);
        let subscribers = Subscribers::new(limits.max_connections);
        let service = Service {
            inflaters: Inflaters::new(scheduler.settings().decoders),
            repository: RwLock::new(repository.clone()),
            control: None,
            scheduler,
            metrics,
            registry,
            limits,
            cors_origins: Vec::new(),
            memory,
            chances: Chances::new(),
            subscribers,
            stopping: AtomicBool::new(false),
        };
        repository.all().for_each(|served| service.show(served));
        service
    }

    /// Lets the served models change.
    #[must_use]
    pub fn with_model_control(self, control: ModelControl) -> Service {
        Service { control: Some(Control::new(control)), ..self }
    }

    /// Allows pages of these origins to send requests.
    #[must_use]
    pub fn with_cors_origins(self, cors_origins: Vec<CorsOrigin>) -> Service {
        Service { cors_origins, ..self }
    }

    /// The models that are served now.
    pub fn repository(&self) -> Arc<Repository> {
        self.repository.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the server is ready: every worker has warmed up and the server is not stopping.
    pub fn is_ready(&self) -> bool {
        self.scheduler.is_ready() && !self.is_stopping()
    }

    /// Whether the server was asked to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Waits until every worker has warmed up.
    pub async fn warmed_up(&self) {
        self.scheduler.ready().await;
    }
}

/// Every route of the service.
pub fn app(service: Arc<Service>) -> Router {
    http::router(service).0
}

/// Serves until `shutdown` completes, then drains. For `drain.wait` the server still accepts requests, while `/readyz` answers 503
/// and every answer closes its connection, so that load balancers notice. Then it accepts no more connections, and requests in
/// progress have `drain.timeout` to finish.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    shutdown: impl Future<Output = ()> + Send + 'static,
    drain: Drain,
) {
    let (app, health) = http::router(service.clone());
    let (warming_up, reports) = (service.clone(), health.clone());
    let warmed_up = tokio::spawn(async move {
        reports.report(false).await;
        warming_up.warmed_up().await;
        reports.report(true).await;
    });
    let stopping = async {
        shutdown.await;
        warmed_up.abort();
        health.report(false).await;
        service.stopping.store(true, Ordering::Relaxed);
        info!(drain_wait_ms = drain.wait.as_millis() as u64, "stopping: no longer ready");
        sleep(drain.wait).await;
        info!("stopping: waiting for requests in progress");
    };
    let open = listen::until(stopping, listener, app, &service.limits).await;
    if timeout(drain.timeout, open.end()).await.is_err() {
        warn!(drain_timeout_ms = drain.timeout.as_millis() as u64, "stopping: some requests did not finish in time");
    }
}
