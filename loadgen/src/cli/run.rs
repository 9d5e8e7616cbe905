//! `anywidth-load run`: sends load to a server and reports the outcomes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use clap::Args;
use tokio::runtime::LocalRuntime;
use tokio::sync::mpsc;

use super::Failure;
use super::files::print;
use super::output::OutputFlags;
use super::progress::{bar, show};
use super::requests::RequestFlags;
use super::schedule::{Schedule, ScheduleFlags};
use super::server;
use crate::busy::Busy;
use crate::images::Image;
use crate::record::{Recorded, Recorder};
use crate::report::summary;
use crate::results::{FORMAT, Results, Setup};
use crate::run::{FinishedRun, RunSettings, execute};
use crate::target::Target;
use crate::units::Units;
use crate::warnings::warnings;
use crate::workload::{RequestKind, Workload};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Server URL
    #[arg(default_value = "http://127.0.0.1:8080")]
    url: String,

    #[command(flatten)]
    schedule: ScheduleFlags,

    #[command(flatten)]
    requests: RequestFlags,

    #[command(flatten)]
    limits: ClientLimits,

    #[command(flatten)]
    neighbours: Neighbours,

    #[command(flatten)]
    output: OutputFlags,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Neighbours")]
struct Neighbours {
    /// Cores to keep busy during the run, such as 0,1, with one thread of normal priority on each; simulates a shared
    /// machine (Linux)
    #[arg(long, value_name = "CORES", value_delimiter = ',')]
    busy_cores: Vec<usize>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct ClientLimits {
    /// Maximum number of outstanding requests, each on its own connection; requests due beyond it count as not sent.
    /// Stay below the server's connection limit (1024) and the process's open file limit
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max_outstanding: u32,

    /// Maximum time to wait for an answer
    #[arg(long, default_value_t = 10_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=600_000))]
    timeout_ms: u64,

    /// Allow a server on another machine; use only with servers that you own
    #[arg(long)]
    allow_remote: bool,
}

const EXAMPLES: &str = "\
Examples:
  A first look
    anywidth-load run --rate 200 --deadline-ms 50 --report load.html
  A burst
    anywidth-load run --steps 100:10s,900:5s,100:10s --budget-ms 50 --report burst.html
  A step to three times what the server can do at full width, and back
    anywidth-load run --of-capacity --steps 0.3:5s,3:5s,0.3:5s --budget-ms 20x --report step.html
  Beside a busy process on the server's core
    anywidth-load run --rate 300 --budget-ms 50 --busy-cores 0
  Callers in bursts, at any width and pinned to full width, side by side
    anywidth-load run --arrivals gamma --rate 300 --budget-ms 50 --json any.json
    anywidth-load run --arrivals gamma --rate 300 --budget-ms 50 --json full.json --width 1
    anywidth-load compare full.json any.json --report both.html";

/// Minimum sampling interval; more frequent requests for /metrics would be load themselves.
const MIN_SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

/// A validated run: every error in the arguments is found before the first request is sent.
struct Ready {
    units: Option<Units>,
    schedule: Schedule,
    workload: Workload,
    kinds: Vec<RequestKind>,
    images: Vec<Image>,
    interval: Duration,
    target: Target,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let ready = arguments.ready()?;
    arguments.output.check()?;
    let runtime = LocalRuntime::new().context("cannot start")?;
    let cores = &arguments.neighbours.busy_cores;
    let busy = Busy::on(cores).with_context(|| format!("cannot keep the cores {cores:?} busy"))?;
    let results = runtime.block_on(measure(&arguments, ready))?;
    drop(busy);
    arguments.output.write(&results)?;
    print(&summary(&results))?;
    let counts = &results.totals.counts;
    match counts.answered() + counts.refused {
        0 => Err(anyhow!("not one of {} requests was answered", counts.offered).into()),
        _ => Ok(()),
    }
}

impl Arguments {
    fn ready(&self) -> Result<Ready, Failure> {
        let units = self.units()?;
        let schedule = self.schedule.read(units.as_ref()).map_err(Failure::Usage)?;
        let interval = self.output.interval(schedule.length).map_err(Failure::Usage)?;
        let workload = self.requests.workload(units.as_ref()).map_err(Failure::Usage)?;
        let images = self.requests.images(self.schedule.seed).map_err(Failure::Usage)?;
        let target = Target::find(&self.url, self.limits.allow_remote)?;
        Ok(Ready { units, kinds: workload.kinds(), schedule, workload, images, interval, target })
    }

    /// Reads the server's units, if an argument is given in units.
    fn units(&self) -> anyhow::Result<Option<Units>> {
        if !self.schedule.of_capacity && !self.requests.in_units() {
            return Ok(None);
        }
        let target = Target::find(&self.url, self.limits.allow_remote)?;
        let runtime = LocalRuntime::new().context("cannot start")?;
        runtime.block_on(server::units(&target, self.requests.model())).map(Some)
    }
}

async fn measure(arguments: &Arguments, ready: Ready) -> anyhow::Result<Results> {
    let Ready { units, schedule, workload, kinds, images, interval, target } = ready;
    let model = server::model(&target, workload.model.as_deref()).await?;
    let accuracy = model.as_ref().map(|model| model.accuracy.clone()).unwrap_or_default();
    let setup = Setup {
        url: arguments.url.clone(),
        model: model.map(|model| model.name).or(workload.model.clone()),
        accuracy: accuracy.clone(),
        arrivals: schedule.words,
        seed: arguments.schedule.seed,
        units,
        deadlines_ms: deadlines_ms(&kinds),
        max_outstanding: arguments.limits.max_outstanding as usize,
    };
    let plan = workload.plan(schedule.arrivals, images.len(), setup.seed);
    let settings = RunSettings {
        target,
        kinds,
        headers: arguments.requests.headers(),
        images,
        max_outstanding: setup.max_outstanding,
        timeout: Duration::from_millis(arguments.limits.timeout_ms),
        sample_every: interval.max(MIN_SAMPLE_INTERVAL),
        ask_queue: !arguments.output.no_metrics,
    };
    let bar = bar(schedule.requests)?;
    let started_at = SystemTime::now();
    let recorder = Recorder::new(interval, accuracy);
    let finished_run = execute(settings, plan, recorder, stops(), |progress| show(&bar, progress)).await?;
    bar.finish_and_clear();
    Ok(results(finished_run, setup, started_at, interval))
}

fn results(finished_run: FinishedRun, setup: Setup, started_at: SystemTime, interval: Duration) -> Results {
    let FinishedRun { recorder, samples, interrupted, duration } = finished_run;
    let Recorded { totals, widths, reasons, refusals, failures, intervals } = recorder.finish(duration);
    let mut results = Results {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: std::iter::once("anywidth-load".to_owned()).chain(std::env::args().skip(1)).collect(),
        started_at_unix_s: started_at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        setup,
        interrupted,
        totals,
        widths,
        reasons,
        refusals,
        failures,
        interval_s: interval.as_secs_f64(),
        intervals,
        samples,
        warnings: Vec::new(),
    };
    results.warnings = warnings(&results);
    results
}

fn deadlines_ms(kinds: &[RequestKind]) -> Vec<f64> {
    let mut deadlines: Vec<_> = kinds.iter().filter_map(|kind| kind.deadline).collect();
    deadlines.sort();
    deadlines.dedup();
    deadlines.iter().map(|deadline| deadline.as_secs_f64() * 1e3).collect()
}

/// Receives a message for each Ctrl-C.
fn stops() -> mpsc::Receiver<()> {
    let (stop, stops) = mpsc::channel(2);
    tokio::task::spawn_local(async move {
        while tokio::signal::ctrl_c().await.is_ok() && stop.send(()).await.is_ok() {
            eprintln!("Stopped sending; waiting for answers (Ctrl-C again to stop waiting).");
        }
    });
    stops
}
