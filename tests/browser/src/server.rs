//! The service as the binary starts it, on its own port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use anywidth::engine::Width;
use anywidth::image::ImageLimits;
use anywidth::policy::{PolicyKind, QueueSettings};
use anywidth::repository::{Repository, Source};
use anywidth::scheduler::{Clock, EngineWorker, Environment, Executor, NewExecutor, Scheduler, Turns, measure};
use anywidth::server::{Drain, RequestLimits, Service, serve};
use anywidth::telemetry::Metrics;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Its address.
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// One worker, so that a browser can overload it; a target so long that a busy machine refuses no request without a
/// budget.
const SETTINGS: QueueSettings =
    QueueSettings { workers: 1, decoders: 1, max_batch: 16, max_queue: 512, default_budget: Duration::from_secs(30) };
const LIMITS: RequestLimits = RequestLimits {
    max_body_bytes: 16 << 20,
    max_files: 64,
    read_timeout: Duration::from_secs(10),
    keep_alive_timeout: Duration::from_secs(60),
    max_bytes_in_flight: 1 << 30,
    max_connections: 1024,
};
const MEASURING: Duration = Duration::from_millis(500);
/// Generous: a drain takes milliseconds.
const DRAIN: Drain = Drain { wait: Duration::ZERO, timeout: Duration::from_secs(60) };

impl Server {
    /// Starts a server on a free port, and warms it up.
    ///
    /// # Errors
    /// If a part of it does not start.
    pub async fn start() -> Result<Server> {
        Server::at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts a server at this address, and warms it up.
    ///
    /// # Errors
    /// If a part of it does not start, or the address is in use.
    pub async fn at(address: SocketAddr) -> Result<Server> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let service = Arc::new(tokio::task::block_in_place(service)?);
        let (stop, stopped) = oneshot::channel();
        // Dropping the server stops it as well.
        let shutdown = async { stopped.await.unwrap_or(()) };
        let task = tokio::spawn(serve(listener, service.clone(), shutdown, DRAIN));
        service.warmed_up().await;
        Ok(Server { address, stop, task })
    }

    /// The URL of its page.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Stops it, and waits for its end.
    ///
    /// # Errors
    /// If it has already stopped.
    pub async fn stop(self) -> Result<()> {
        self.stop.send(()).ok().context("the server has ended by itself")?;
        Ok(self.task.await?)
    }
}

fn service() -> Result<Service> {
    let registry = Registry::new();
    let metrics = Arc::new(Metrics::new(&registry)?);
    let repository = Repository::load(&Source::Embedded, None)?;
    let (limits, counts, callers) = (ImageLimits::default(), metrics.clone(), Handle::current());
    let new_executor: NewExecutor = Arc::new(move || {
        let worker = EngineWorker::new(SETTINGS.max_batch, limits, counts.clone(), callers.clone());
        Box::new(worker) as Box<dyn Executor>
    });
    let models: Vec<_> = repository.all().cloned().collect();
    let profiles = measure(&models, Width::of_channels(1, 4), SETTINGS.max_batch, MEASURING)?;
    let models = models.into_iter().zip(profiles).collect();
    let turns = Arc::new(Turns::new(1, 0));
    let environment = Environment { metrics: metrics.clone(), turns, clock: Clock::system() };
    let scheduler = Scheduler::start(SETTINGS, PolicyKind::WidestFit, models, new_executor, environment)?;
    Ok(Service::new(repository, scheduler, metrics, registry, LIMITS))
}
