//! Flags for the arrival schedule.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};

use crate::arrivals::{Gaps, Plan, replay};
use crate::units::Units;

#[derive(Debug, Args)]
#[command(next_help_heading = "Schedule")]
pub(super) struct ScheduleFlags {
    /// Requests per second, or a ramp from one rate to another, such as 100..900 [with --of-capacity: 1]
    #[arg(long, default_value = "100", default_value_if("of_capacity", "true", "1"), value_name = "RATE", allow_negative_numbers = true, conflicts_with_all = ["steps", "replay"])]
    rate: String,

    /// Duration of the rate or ramp, such as 500ms or 60s
    #[arg(long, default_value = "10s", value_name = "TIME", conflicts_with_all = ["steps", "replay"])]
    duration: String,

    /// Sequence of rates and ramps, such as 100:10s,900:5s,900..100:5s; for bursts and recovery
    #[arg(long, value_name = "RATE:TIME,...", conflicts_with = "replay")]
    steps: Option<String>,

    /// Interpret rates as multiples of the capacity at full width as reported by /profile: 0.3 is light load, 3 is
    /// three times what the server can answer without narrowing
    #[arg(long, conflicts_with = "replay")]
    pub(super) of_capacity: bool,

    /// Replay the arrival times in this file: seconds, one per line, ascending; the first is the start
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,

    /// Arrival process: constant to find a capacity, poisson for many independent callers, gamma for bursty callers
    #[arg(long, default_value = "poisson", value_name = "KIND", conflicts_with = "replay")]
    arrivals: ArrivalProcess,

    /// Burstiness of gamma arrivals, as the squared coefficient of variation of their gaps: 1 is poisson, 8 is very
    /// bursty
    #[arg(long, default_value_t = 8.0, value_name = "NUMBER", allow_negative_numbers = true)]
    cv2: f64,

    /// Seed of the arrivals; another seed gives another run of the same distribution
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub(super) seed: u64,

    /// Maximum number of requests in a plan
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    max_requests: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ArrivalProcess {
    Constant,
    Poisson,
    Gamma,
}

/// A validated schedule.
pub(super) struct Schedule {
    pub(super) arrivals: Box<dyn Iterator<Item = Duration> + Send>,
    /// Number of requests.
    pub(super) requests: u64,
    pub(super) length: Duration,
    /// Description for the report.
    pub(super) words: String,
}

/// Maximum size of a trace file.
const MAX_TRACE_BYTES: u64 = 256 << 20;

impl ScheduleFlags {
    /// The schedule in requests per second; multiples of the capacity need `units`.
    pub(super) fn read(&self, units: Option<&Units>) -> anyhow::Result<Schedule> {
        let schedule = match &self.replay {
            Some(_) => self.replayed()?,
            None => self.planned(units.filter(|_| self.of_capacity))?,
        };
        match schedule.requests {
            0 => bail!("the plan has no request: raise the rate or the duration"),
            requests if requests > self.max_requests => {
                bail!("the plan has more than {} requests: raise --max-requests to allow them", self.max_requests)
            }
            _ => Ok(schedule),
        }
    }

    fn planned(&self, units: Option<&Units>) -> anyhow::Result<Schedule> {
        let text = self.steps.clone().unwrap_or_else(|| format!("{}:{}", self.rate, self.duration));
        let written: Plan = text.parse()?;
        let plan = written.times(units.map_or(1.0, |units| units.capacity_per_s))?;
        let of_capacity = units.map(|_| format!("; {written} of the capacity at full width")).unwrap_or_default();
        let (gaps, kind) = match self.arrivals {
            ArrivalProcess::Constant => (Gaps::Constant, "constant".to_owned()),
            ArrivalProcess::Poisson => (Gaps::Poisson, "Poisson".to_owned()),
            ArrivalProcess::Gamma => (Gaps::Gamma { cv2: self.cv2 }, format!("gamma with CV^2 {}", self.cv2)),
        };
        let arrivals = || plan.arrivals(gaps, self.seed);
        Ok(Schedule {
            requests: self.count(arrivals()?),
            arrivals: Box::new(arrivals()?),
            length: plan.length(),
            words: format!("{kind}, {plan} (requests per second:time{of_capacity})"),
        })
    }

    fn replayed(&self) -> anyhow::Result<Schedule> {
        let path = self.replay.as_ref().ok_or_else(|| anyhow!("no file"))?;
        let cannot_read = || format!("cannot read {}", path.display());
        let mut text = String::new();
        let file = fs::File::open(path).with_context(cannot_read)?;
        file.take(MAX_TRACE_BYTES + 1).read_to_string(&mut text).with_context(cannot_read)?;
        if text.len() as u64 > MAX_TRACE_BYTES {
            bail!("{} has more than {MAX_TRACE_BYTES} bytes, the maximum", path.display());
        }
        let times = replay(&text).with_context(|| path.display().to_string())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Schedule {
            requests: times.len() as u64,
            length: times.last().copied().unwrap_or_default(),
            words: format!("replay of {name}"),
            arrivals: Box::new(times.into_iter()),
        })
    }

    /// The number of arrivals, or the limit plus one if there are more.
    fn count(&self, arrivals: impl Iterator) -> u64 {
        arrivals.take(self.max_requests as usize + 1).count() as u64
    }
}
