//! `anywidth serve`: the server, from its settings to its last answer.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::Context;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use super::{Failure, print, validate};
use crate::config::{Address, Config, Flags, Origins};
use crate::engine::{Model, Width};
use crate::repository::Repository;
use crate::scheduler::{EngineWorker, Execute, NewWorker, Scheduler, Turns, measure};
use crate::server::{Service, serve};
use crate::telemetry::{Metrics, subscriber};

/// The time for measuring what the models take, before the first request is answered.
const MEASURING: Duration = Duration::from_millis(500);

pub(super) fn run(flags: Flags, origins: &Origins) -> Result<(), Failure> {
    let config = validate(flags.prefer_stronger(origins), origins)?;
    tracing::subscriber::set_global_default(subscriber(config.log_format, config.log_filter.clone()))?;
    let repository = Repository::load(&config.source, config.default_model.as_deref())?;
    for rejected in repository.rejected() {
        warn!(model = rejected.place, reason = %rejected.reason, "a model is not served");
    }
    let cores = available_parallelism().map_or(1, usize::from);
    let turns = Arc::new(Turns::new(cores, cores));
    let (parked, unparked) = (turns.clone(), turns.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores)
        .on_thread_park(move || parked.parked())
        .on_thread_unpark(move || unparked.unparked())
        .enable_all()
        .build()?;
    runtime.block_on(listen(config, repository, turns))?;
    // Whoever was not answered when the time to drain was over is not waited for.
    runtime.shutdown_background();
    Ok(())
}

async fn listen(config: Config, repository: Repository, turns: Arc<Turns>) -> anyhow::Result<()> {
    let Address { host, port, .. } = &config.address;
    let listener =
        TcpListener::bind((host.as_str(), *port)).await.with_context(|| format!("cannot listen on {host}:{port}"))?;
    let url = format!("http://{}", listener.local_addr()?);

    let service = Arc::new(tokio::task::block_in_place(|| service(&config, repository, turns))?);
    print(&greeting(&url, service.repository()))?;
    let warm = service.clone();
    tokio::spawn(async move {
        warm.warmed_up().await;
        info!("warmed up: ready");
    });
    serve(listener, service, stop_signal()?, config.drain).await;
    info!("stopped");
    Ok(())
}

fn service(config: &Config, repository: Repository, turns: Arc<Turns>) -> anyhow::Result<Service> {
    let registry = Registry::new();
    let metrics = Arc::new(Metrics::new(&registry)?);
    let (max_batch, limits, counts) = (config.scheduler.max_batch, config.picture, metrics.clone());
    let callers = Handle::current();
    let new_worker: NewWorker = Arc::new(move || {
        let worker = EngineWorker::new(max_batch, limits, counts.clone(), callers.clone());
        Box::new(worker) as Box<dyn Execute>
    });
    let models: Vec<_> = repository.all().cloned().collect();
    let profiles = measure(&models, config.narrowest, max_batch, MEASURING).context("cannot measure the models")?;
    let models = models.into_iter().zip(profiles).collect();
    let scheduler = Scheduler::start(config.scheduler, models, metrics.clone(), new_worker, turns)
        .context("cannot start the workers")?;
    let service = Service::new(repository, scheduler, metrics, registry, config.request);
    Ok(service.with_cors_origins(config.cors_origins.clone()))
}

/// Completes at the first Ctrl-C or SIGTERM; a second one then ends the process at once.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut next = async move || {
        tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        }
    };
    Ok(async move {
        next().await;
        tokio::spawn(async move {
            let code = next().await;
            warn!("stopped at once");
            std::process::exit(code);
        });
    })
}

/// What a person sees first: where it listens, what it serves, what to try.
fn greeting(url: &str, repository: &Repository) -> String {
    let mut text = format!("anywidth {} listens on {url}\n\n", env!("CARGO_PKG_VERSION"));
    for (name, versions) in repository.by_name() {
        if let Some(served) = versions.last() {
            let default = if name == repository.default_name() { " (default)" } else { "" };
            text += &format!("  {name}{default}: {}\n", describe(&served.model));
        }
    }
    for rejected in repository.rejected() {
        text += &format!("  not served: {}: {}\n", rejected.place, rejected.reason);
    }
    let sample = match repository.default_name() {
        "mnist" => "samples/seven.png",
        "fashion-mnist" => "samples/shirt.png",
        "cifar10" => "samples/ship.png",
        _ => "photo.jpg",
    };
    text + &format!("\nTry:   curl --data-binary @{sample} '{url}/classify?width=0.5'\nStop:  Ctrl-C\n\n")
}

fn describe(model: &Model) -> String {
    let input = model.input();
    let colour = if input.channels == 1 { "grey" } else { "colour" };
    let narrowest = model.grid().first().copied().unwrap_or(Width::FULL);
    format!(
        "{}x{} {colour}, {} classes, any width ({} steps from {narrowest} to 1)",
        input.height,
        input.width,
        model.classes(),
        model.grid().len(),
    )
}
