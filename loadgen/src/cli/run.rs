//! `anywidth-load run`: load for a server, and what became of it.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use clap::Args;
use hyper::{Method, StatusCode, Uri};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::runtime::LocalRuntime;
use tokio::sync::mpsc;

use super::Failure;
use super::files::{check, print, write};
use super::schedule::{self, Schedule};
use crate::client::Client;
use crate::mix::{Mix, MixError};
use crate::models::{Model, ModelsError};
use crate::pictures;
use crate::record::{Recorded, Recorder};
use crate::report::{page, pictures as draw, summary};
use crate::results::{FORMAT, Results, Setup};
use crate::run::{Played, Progress, Settings, play};
use crate::target::Target;
use crate::warnings::warnings;
use crate::width::Width;
use crate::wishes::{Kind, Wishes};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The server
    #[arg(default_value = "http://127.0.0.1:8080")]
    url: String,

    #[command(flatten)]
    schedule: schedule::Flags,

    #[command(flatten)]
    requests: Requests,

    #[command(flatten)]
    limits: Limits,

    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What they ask for")]
struct Requests {
    /// Milliseconds that each request gives the server, end to end; several by shares, such as 10:0.5,50:0.4,none:0.1
    #[arg(long, default_value = "none", value_name = "MS", allow_negative_numbers = true, value_parser = budgets)]
    budget_ms: Mix<Option<f64>>,

    /// Width that requests pin; auto leaves it to the server; several by shares, such as auto:0.9,1:0.1
    #[arg(long, default_value = "auto", value_name = "WIDTH", allow_negative_numbers = true, value_parser = widths)]
    width: Mix<Option<Width>>,

    /// Judge every answer by this instead of by its budget; for servers that know no budgets
    #[arg(long, value_name = "MS", allow_negative_numbers = true, value_parser = milliseconds)]
    deadline_ms: Option<f64>,

    /// Model to ask for [default: the server's]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,

    /// More query parameters for every request, such as top_k=1&priority=high
    #[arg(long, default_value = "", hide_default_value = true, value_name = "QUERY")]
    query: String,

    /// Picture, or folder of pictures, to send; may be repeated, and they take turns [default: samples]
    #[arg(long, value_name = "FILE|FOLDER")]
    picture: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct Limits {
    /// Most requests without an answer at once, each on a connection; those due beyond are counted as not sent
    #[arg(long, default_value_t = 512, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max_outstanding: u32,

    /// Longest time to wait for an answer
    #[arg(long, default_value_t = 10_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=600_000))]
    timeout_ms: u64,

    /// Send load to another machine than this one; only to servers that are yours
    #[arg(long)]
    allow_remote: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What is written")]
struct Output {
    /// Write all that was found, for `compare` and for programs
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write a page with pictures, to open in a browser
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Write the pictures alone, for a document
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Length of the intervals that pictures and JSON are made of [default: a hundredth of the run, about]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    interval_ms: Option<u64>,

    /// Do not ask the server for its queue; for a server that has no /metrics
    #[arg(long)]
    no_metrics: bool,
}

/// The longest query that is taken: far more than all parameters of the server need.
const MOST_QUERY_BYTES: usize = 2_000;
/// The longest budget and deadline: an hour.
const MOST_MS: f64 = 3.6e6;
/// As many intervals a run is cut into, unless told otherwise, and at most.
const INTERVALS: u32 = 120;
const MOST_INTERVALS: u128 = 2_000;
/// More often the server is not asked for its queue: that would be load of another kind.
const SHORTEST_LOOK: Duration = Duration::from_millis(100);
/// The longest listing of models that is read.
const MOST_LISTING_BYTES: usize = 16 << 20;

/// Everything that can be wrong is found here, before the first request goes out.
struct Ready {
    schedule: Schedule,
    wishes: Wishes,
    kinds: Vec<Kind>,
    pictures: Vec<Bytes>,
    interval: Duration,
    target: Target,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let ready = arguments.ready()?;
    for path in arguments.output.paths() {
        check(path)?;
    }
    let runtime = LocalRuntime::new().context("cannot start")?;
    let results = runtime.block_on(measure(&arguments, ready))?;
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
        let schedule = self.schedule.read().map_err(Failure::Usage)?;
        let interval = self.output.interval(schedule.length).map_err(Failure::Usage)?;
        let wishes = self.requests.wishes().map_err(Failure::Usage)?;
        let pictures = self.requests.pictures().map_err(Failure::Usage)?;
        let target = Target::find(&self.url, self.limits.allow_remote)?;
        Ok(Ready { kinds: wishes.kinds(), schedule, wishes, pictures, interval, target })
    }
}

async fn measure(arguments: &Arguments, ready: Ready) -> anyhow::Result<Results> {
    let Ready { schedule, wishes, kinds, pictures, interval, target } = ready;
    let model = find_model(&target, wishes.model.as_deref()).await?;
    let accuracy = model.as_ref().map(|model| model.accuracy.clone()).unwrap_or_default();
    let setup = Setup {
        url: arguments.url.clone(),
        model: model.map(|model| model.name).or(wishes.model.clone()),
        accuracy: accuracy.clone(),
        arrivals: schedule.words,
        seed: arguments.schedule.seed,
        deadlines_ms: deadlines_ms(&kinds),
        max_outstanding: arguments.limits.max_outstanding as usize,
    };
    let plan = wishes.plan(schedule.arrivals, pictures.len(), setup.seed);
    let settings = Settings {
        target,
        kinds,
        pictures,
        max_outstanding: setup.max_outstanding,
        timeout: Duration::from_millis(arguments.limits.timeout_ms),
        look_every: interval.max(SHORTEST_LOOK),
        ask_queue: !arguments.output.no_metrics,
    };
    let bar = bar(schedule.requests)?;
    let started_at = SystemTime::now();
    let recorder = Recorder::new(interval, accuracy);
    let played = play(settings, plan, recorder, stops(), |progress| show(&bar, progress)).await?;
    bar.finish_and_clear();
    Ok(results(played, setup, started_at, interval))
}

fn results(played: Played, setup: Setup, started_at: SystemTime, interval: Duration) -> Results {
    let Played { recorder, samples, interrupted, duration } = played;
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

/// What the server says of its models; `None` where it is a server of another kind.
async fn find_model(target: &Target, name: Option<&str>) -> anyhow::Result<Option<Model>> {
    let (client, at) = (Client::new(target), Cell::new(Instant::now()));
    let path = Uri::from_static("/models");
    let listing = client.ask(Method::GET, path, Bytes::new(), MOST_LISTING_BYTES, &at).await;
    let listing = listing.with_context(|| format!("{} does not answer GET /models", target.authority))?;
    if listing.status != StatusCode::OK {
        return Ok(None);
    }
    match Model::find(&listing.body, name) {
        Ok(model) => Ok(Some(model)),
        Err(ModelsError::NotAListing(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn deadlines_ms(kinds: &[Kind]) -> Vec<f64> {
    let mut deadlines: Vec<_> = kinds.iter().filter_map(|kind| kind.deadline).collect();
    deadlines.sort();
    deadlines.dedup();
    deadlines.iter().map(|deadline| deadline.as_secs_f64() * 1e3).collect()
}

/// A message for each Ctrl-C.
fn stops() -> mpsc::Receiver<()> {
    let (stop, stops) = mpsc::channel(2);
    tokio::task::spawn_local(async move {
        while tokio::signal::ctrl_c().await.is_ok() && stop.send(()).await.is_ok() {
            eprintln!("No more is sent; waiting for answers (Ctrl-C again: not waiting).");
        }
    });
    stops
}

fn bar(requests: u64) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{elapsed:>4} {wide_bar} {pos} of {len}  {msg}")?;
    Ok(ProgressBar::new(requests).with_style(style))
}

fn show(bar: &ProgressBar, Progress { counts, outstanding, .. }: Progress) {
    bar.set_position(counts.offered);
    let on_time = 100.0 * counts.on_time as f64 / counts.offered.max(1) as f64;
    bar.set_message(format!("{on_time:.1} % on time, {outstanding} without an answer"));
}

impl Requests {
    fn wishes(&self) -> anyhow::Result<Wishes> {
        let length = self.query.len() + self.model.as_ref().map_or(0, String::len);
        if length > MOST_QUERY_BYTES {
            bail!("--query and --model have {length} bytes: together they may have {MOST_QUERY_BYTES}");
        }
        Ok(Wishes {
            budgets_ms: self.budget_ms.clone(),
            widths: self.width.clone(),
            model: self.model.clone(),
            query: self.query.clone(),
            deadline: self.deadline_ms.map(|deadline_ms| Duration::from_secs_f64(deadline_ms / 1e3)),
        })
    }

    fn pictures(&self) -> anyhow::Result<Vec<Bytes>> {
        let samples = Path::new("samples");
        match &self.picture[..] {
            [] if samples.is_dir() => Ok(pictures::load(&[samples.to_owned()])?),
            [] => bail!("there is no folder samples here: name a picture, or a folder of pictures, with --picture"),
            paths => Ok(pictures::load(paths)?),
        }
    }
}

impl Output {
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.json, &self.report, &self.svg].into_iter().flatten()
    }

    fn write(&self, results: &Results) -> anyhow::Result<()> {
        let write = |path: &Option<PathBuf>, text: fn(&Results) -> String| match path {
            Some(path) => write(path, &text(results)),
            None => Ok(()),
        };
        write(&self.json, Results::to_json)?;
        write(&self.report, page)?;
        write(&self.svg, draw)
    }

    fn interval(&self, length: Duration) -> anyhow::Result<Duration> {
        let Some(interval_ms) = self.interval_ms else { return Ok(usual_interval(length)) };
        let interval = Duration::from_millis(interval_ms);
        let intervals = length.as_nanos() / interval.as_nanos();
        if intervals > MOST_INTERVALS {
            bail!("--interval-ms {interval_ms} cuts the run into {intervals} intervals: there may be {MOST_INTERVALS}");
        }
        Ok(interval)
    }
}

/// A round time, so that there are some [`INTERVALS`] at most.
fn usual_interval(length: Duration) -> Duration {
    let round =
        [10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000].map(Duration::from_millis);
    round.into_iter().find(|&interval| interval * INTERVALS >= length).unwrap_or(Duration::from_secs(900))
}

fn budgets(text: &str) -> Result<Mix<Option<f64>>, MixError> {
    Mix::read(text, |value| if value == "none" { Ok(None) } else { milliseconds(value).map(Some) })
}

fn widths(text: &str) -> Result<Mix<Option<Width>>, MixError> {
    let read = |value: &str| value.parse().map(Some).map_err(|error| format!("{error}, or auto"));
    Mix::read(text, |value| if value == "auto" { Ok(None) } else { read(value) })
}

fn milliseconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if number > 0.0 && number <= MOST_MS => Ok(number),
        _ => Err(format!("milliseconds are a number above 0 and up to {MOST_MS}")),
    }
}
