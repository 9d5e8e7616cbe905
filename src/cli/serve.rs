//! `anywidth serve`: builds the server from its settings, runs it, and shuts it down.

use std::io::{stderr, stdout};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::Context;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::signals::EndAtOnce;
use super::{Failure, PATIENCE, configuration, unknown_variables};
use crate::config::{Address, Config, Sources};
use crate::engine::{Model, Width};
use crate::repository::Repository;
use crate::scheduler::{Clock, Decisions, EngineWorker, Environment, Executor, NewExecutor, Scheduler, Turns, measure};
use crate::server::{Changes, ModelControl, Service, serve};
use crate::telemetry::{Lines, Metrics, subscriber};

/// Time spent at start-up to measure the models' latencies.
const MEASURING: Duration = Duration::from_millis(500);

/// Longest wait for a reader of the last lines when the process must exit at once.
const AT_ONCE: Duration = Duration::from_millis(100);

pub(super) fn run(sources: &Sources, signals: &EndAtOnce) -> Result<(), Failure> {
    let config = configuration(sources)?;
    let registry = Registry::new();
    let metrics = Arc::new(Metrics::new(&registry)?);
    let dropped = || metrics.log_lines_dropped.clone();
    let output = Output { shown: Lines::to(stdout(), dropped())?, log: Lines::to(stderr(), dropped())? };
    let log = subscriber(config.log_format, &config.log_filter, output.log.clone());
    tracing::subscriber::set_global_default(log)?;
    let outcome = run_until_stopped(config, Counts { registry, metrics }, &output, signals);
    // Nothing is left to drain, so a signal may end the process again.
    signals.resume();
    output.log.flush(PATIENCE);
    outcome
}

/// The server's output streams. The server never waits for their readers.
struct Output {
    /// Standard output: the greeting.
    shown: Lines,
    /// Standard error.
    log: Lines,
}

/// The server's metrics and the registry that exposes them.
struct Counts {
    registry: Registry,
    metrics: Arc<Metrics>,
}

fn run_until_stopped(config: Config, counts: Counts, output: &Output, signals: &EndAtOnce) -> Result<(), Failure> {
    for sentence in unknown_variables() {
        warn!("{sentence}");
    }
    let repository = Repository::load_with(&config.source, config.default_model.as_deref(), &config.precisions)?;
    for rejected in repository.rejected() {
        warn!(model = rejected.path, reason = %rejected.reason, "a model is not served");
    }
    log_panics();
    let cores = available_parallelism().map_or(1, usize::from);
    let turns = Arc::new(Turns::new(cores, cores));
    let (parked, unparked) = (turns.clone(), turns.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores)
        .on_thread_park(move || parked.parked())
        .on_thread_unpark(move || unparked.unparked())
        .enable_all()
        .build()?;
    runtime.block_on(listen(config, repository, counts, turns, output, signals))?;
    // Requests still running after the drain timeout are dropped.
    runtime.shutdown_background();
    Ok(())
}

/// Logs panics. The standard library's hook writes to standard error directly and would block on a slow reader.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        error!(location, panic = panic.payload_as_str().unwrap_or("of another kind"), "a thread panicked");
    }));
}

async fn listen(
    config: Config,
    repository: Repository,
    counts: Counts,
    turns: Arc<Turns>,
    output: &Output,
    signals: &EndAtOnce,
) -> anyhow::Result<()> {
    let Address { host, port } = &config.address;
    let listener =
        TcpListener::bind((host.as_str(), *port)).await.with_context(|| format!("cannot listen on {host}:{port}"))?;
    let url = format!("http://{}", listener.local_addr()?);

    let service = Arc::new(tokio::task::block_in_place(|| service(&config, repository, counts, turns))?);
    let stopped = stop_signal(output.log.clone())?;
    signals.stand_back();
    let hangup = signal(SignalKind::hangup())?;
    output.shown.push(greeting(&url, &service.repository()).as_bytes());
    let warm = service.clone();
    tokio::spawn(async move {
        warm.warmed_up().await;
        info!("warmed up: ready");
    });
    tokio::spawn(follow_models(service.clone(), config.watch_models, hangup));
    serve(listener, service, stopped, config.drain).await;
    info!("stopped");
    Ok(())
}

fn service(config: &Config, repository: Repository, counts: Counts, turns: Arc<Turns>) -> anyhow::Result<Service> {
    let Counts { registry, metrics } = counts;
    let (max_batch, limits, counts) = (config.queue.max_batch, config.image, metrics.clone());
    let (callers, audits) = (Handle::current(), config.audit_share > 0.0);
    let new_executor: NewExecutor = Arc::new(move || {
        let worker = EngineWorker::new(max_batch, limits, counts.clone(), callers.clone());
        Box::new(worker.with_audits(audits)) as Box<dyn Executor>
    });
    let models: Vec<_> = repository.all().cloned().collect();
    let profiles = measure(&models, config.narrowest, max_batch, MEASURING).context("cannot measure the models")?;
    let models = models.into_iter().zip(profiles).collect();
    let environment = Environment { metrics: metrics.clone(), turns, clock: Clock::system() };
    let decisions = Decisions { policy: config.policy, audit_share: config.audit_share };
    let scheduler = Scheduler::start(config.queue, decisions, models, new_executor, environment)
        .context("cannot start the workers")?;
    let service = Service::new(repository, scheduler, metrics, registry, config.request);
    let control = ModelControl {
        source: config.source.clone(),
        precisions: config.precisions.clone(),
        narrowest: config.narrowest,
        measuring: MEASURING,
        mode: config.model_control,
    };
    Ok(service.with_cors_origins(config.cors_origins.clone()).with_model_control(control))
}

/// Reads the models again at every SIGHUP, and after every pause of `watch` unless that is zero.
async fn follow_models(service: Arc<Service>, watch: Duration, mut hangup: Signal) {
    let look = async || match watch.is_zero() {
        true => std::future::pending().await,
        false => tokio::time::sleep(watch).await,
    };
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            () = look() => false,
        };
        match service.reload(None).await {
            Ok(Changes { added, removed }) if asked => info!(added, removed, "read the models again"),
            Ok(_) => {}
            Err(error) => warn!(%error, "cannot read the models again; those before are still served"),
        }
    }
}

/// Signals within this time count as one: `timeout` and shells signal both a process and its group.
const ONCE: Duration = Duration::from_millis(10);

/// Completes at the first Ctrl-C or SIGTERM. A second one ends the process at once.
fn stop_signal(log: Lines) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
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
        let asked = Instant::now();
        tokio::spawn(async move {
            let mut code = next().await;
            while asked.elapsed() < ONCE {
                code = next().await;
            }
            warn!("stopped at once");
            log.flush(AT_ONCE);
            std::process::exit(code);
        });
    })
}

/// The greeting on standard output: address, served models, a command to try.
fn greeting(url: &str, repository: &Repository) -> String {
    let mut text = format!("anywidth {} listens on {url}\n\n", env!("CARGO_PKG_VERSION"));
    for (name, versions) in repository.by_name() {
        if let Some(served) = versions.last() {
            let default = if name == repository.default_name() { " (default)" } else { "" };
            text += &format!("  {name}{default}: {}\n", describe(&served.model));
        }
    }
    for rejected in repository.rejected() {
        text += &format!("  not served: {}: {}\n", rejected.path, rejected.reason);
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
