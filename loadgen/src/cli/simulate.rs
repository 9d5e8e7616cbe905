//! `anywidth-load simulate`: compares policies under the same load, on virtual time.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use anywidth::policy::{PolicyKind, Priority};
use clap::Args;
use serde_json::json;

use super::Failure;
use super::files::print;
use crate::arrivals::replay;
use crate::simulate::{
    Measured, NoiseModel, Player, Recording, SETTINGS, Scenario, cases, compare, contenders, run as play, table,
};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// File with latencies and accuracies by width, or a server's /profile response [default: a measurement of the
    /// shipped cifar10]
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,

    /// Model of a /profile response to simulate [default: the first]
    #[arg(long, value_name = "NAME", requires = "profile")]
    model: Option<String>,

    /// What the model answers to labelled images, as `anywidth evaluate --record` writes it; without, each answer has the
    /// accuracy of its width, and no image stops early
    #[arg(long, value_name = "FILE", requires = "profile")]
    recording: Option<PathBuf>,

    /// Number of seeds per case; each gives other arrivals
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,

    /// Simulate the arrivals in this file instead of the cases: seconds, one per line, ascending, as in `run --replay`
    #[arg(long, value_name = "FILE", requires = "budget_ms", conflicts_with = "seeds")]
    replay: Option<PathBuf>,

    /// Budget of each request of --replay
    #[arg(long, value_name = "MS", requires = "replay", value_parser = budget)]
    budget_ms: Option<Duration>,

    /// Policy for --replay
    #[arg(long, value_name = "NAME", requires = "replay", default_value_t = PolicyKind::WidestFit)]
    policy: PolicyKind,

    /// Print the result of --replay as JSON
    #[arg(long, requires = "replay")]
    json: bool,
}

const EXAMPLE: &str = "\
Examples:
  The policies on what a running server has measured of itself
    curl -s localhost:8080/profile > p.json
    anywidth-load simulate --profile p.json
  The same, with what the model answers to your labelled images
    anywidth evaluate --data photos/ --record r.json
    anywidth-load simulate --profile p.json --recording r.json
  One policy under recorded arrivals
    anywidth-load simulate --profile p.json --replay arrivals.txt --budget-ms 20 --policy slack-fit";

/// Maximum size of a profile.
const MAX_PROFILE_BYTES: u64 = 1 << 20;
/// Maximum size of a recording: a million images at 12 widths.
const MAX_RECORDING_BYTES: u64 = 256 << 20;
/// Maximum size of an arrivals file.
const MAX_TRACE_BYTES: u64 = 256 << 20;

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let measured = arguments.measured()?;
    if let (Some(path), Some(budget)) = (&arguments.replay, arguments.budget_ms) {
        return Ok(replayed(arguments, &measured, path, budget)?);
    }
    let seeds: Vec<u64> = (1..=arguments.seeds).collect();
    print(&format!("{}\n\n", measured.name))?;
    for case in cases(&measured)? {
        let scores = compare(&case, &measured, &contenders(), &seeds)?;
        print(&format!("### {}\n\n{}\n", case.name, table(&scores)))?;
    }
    Ok(())
}

fn replayed(arguments: &Arguments, measured: &Measured, path: &Path, budget: Duration) -> anyhow::Result<()> {
    let arrivals = replay(&text(path, MAX_TRACE_BYTES)?).with_context(|| path.display().to_string())?;
    let scenario = Scenario {
        arrivals,
        budgets: vec![budget],
        priorities: vec![Priority::Normal],
        settings: SETTINGS,
        noise: NoiseModel::USUAL,
        seed: 1,
    };
    let player = Player { policy: arguments.policy.build(SETTINGS), corrects: true };
    let score = play(&scenario, measured, &measured.profile()?, player, &mut |_, _| {});
    if arguments.json {
        let score = json!({
            "requests": score.requests,
            "attainment": score.attainment(),
            "mean_width": score.width(),
            "mean_accuracy": score.accuracy(),
            "effective_accuracy": score.effective_accuracy(),
        });
        return Ok(print(&format!("{score}\n"))?);
    }
    let name = arguments.policy.to_string();
    Ok(print(&format!("{}\n\n{}", measured.name, table(&[(&name, score)])))?)
}

impl Arguments {
    fn measured(&self) -> anyhow::Result<Measured> {
        let Some(path) = &self.profile else { return Ok(Measured::cifar10()?) };
        let measured = Measured::read(&text(path, MAX_PROFILE_BYTES)?, self.model.as_deref())
            .with_context(|| path.display().to_string())?;
        let Some(path) = &self.recording else { return Ok(measured) };
        let recording = Recording::read(&text(path, MAX_RECORDING_BYTES)?);
        Ok(measured.with_recording(recording.with_context(|| path.display().to_string())?))
    }
}

/// Reads a text file of at most `max_bytes` bytes.
fn text(path: &Path, max_bytes: u64) -> anyhow::Result<String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(max_bytes).read_to_string(&mut text))
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text)
}

fn budget(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(ms) if ms > 0.0 && ms <= 3.6e6 => Ok(Duration::from_secs_f64(ms / 1e3)),
        _ => Err("milliseconds above 0 and up to 3600000 are allowed".to_owned()),
    }
}
