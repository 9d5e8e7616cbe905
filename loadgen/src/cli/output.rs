//! Flags for the output and its resolution.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;

use super::files::{check, write};
use crate::report::{chart, charts, page};
use crate::results::Results;

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputFlags {
    /// Write all results as JSON, for `compare` and other programs
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write an HTML page with figures
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Write the figures as one SVG, for a document
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Write the first figure (load and width) as SVG, for a README
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,

    /// Length of the intervals of figures and JSON [default: about a hundredth of the run]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    interval_ms: Option<u64>,

    /// Do not read the server's queue length; for a server without /metrics
    #[arg(long)]
    pub(super) no_metrics: bool,
}

/// Maximum number of intervals at the default length.
const INTERVALS: u32 = 120;
const MAX_INTERVALS: u128 = 2_000;

impl OutputFlags {
    /// Checks before a run that all files can be written.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        [&self.json, &self.report, &self.svg, &self.chart].into_iter().flatten().try_for_each(|path| check(path))
    }

    pub(super) fn write(&self, results: &Results) -> anyhow::Result<()> {
        let write = |path: &Option<PathBuf>, text: fn(&Results) -> String| match path {
            Some(path) => write(path, &text(results)),
            None => Ok(()),
        };
        write(&self.json, Results::to_json)?;
        write(&self.report, page)?;
        write(&self.svg, charts)?;
        write(&self.chart, chart)
    }

    pub(super) fn interval(&self, length: Duration) -> anyhow::Result<Duration> {
        let Some(interval_ms) = self.interval_ms else { return Ok(usual_interval(length)) };
        let interval = Duration::from_millis(interval_ms);
        let intervals = length.as_nanos() / interval.as_nanos();
        if intervals > MAX_INTERVALS {
            bail!(
                "--interval-ms {interval_ms} cuts the run into {intervals} intervals: at most {MAX_INTERVALS} are allowed"
            );
        }
        Ok(interval)
    }
}

/// A round interval length that gives at most [`INTERVALS`] intervals.
fn usual_interval(length: Duration) -> Duration {
    let round =
        [10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000].map(Duration::from_millis);
    round.into_iter().find(|&interval| interval * INTERVALS >= length).unwrap_or(Duration::from_secs(900))
}
