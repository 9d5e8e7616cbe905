//! The cases and the contenders of the comparison, and its table.

use std::fmt::Write;
use std::time::Duration;

use anywidth::engine::Width;
use anywidth::policy::{Limits, Profile, Tuning};

use super::{
    MaxAccuracy, MaxBatch, Measured, MeasuredError, Pinned, Policy, RateTable, Scenario, Score, SlackFit,
    WidestFitPolicy, World, run,
};
use crate::arrivals::{ArrivalsError, Gaps, Plan};

/// A kind of load, in units of the server: the rates of its plan are shares of the capacity at full width, its budgets
/// multiples of the time of one image at full width.
#[derive(Debug, Clone)]
pub struct Case {
    /// What the table calls it.
    pub name: String,
    /// The rate over time.
    pub plan: Plan,
    /// How arrivals are spread around it.
    pub gaps: Gaps,
    /// The budgets that requests have in turn.
    pub budgets: Vec<f64>,
    /// Worker threads.
    pub workers: usize,
    /// What batches really take.
    pub world: World,
}

/// A policy to compare.
#[derive(Clone, Copy)]
pub struct Contender {
    /// What the table calls it.
    pub name: &'static str,
    /// Makes it, for a profile and the limits of the server.
    pub make: fn(Profile, Limits) -> Box<dyn Policy>,
}

/// The limits of a server by default.
pub const LIMITS: Limits = Limits { batch: 16, queue: 512, decoders: 1 };

impl Case {
    /// A case of the usual world: one worker, one budget of 20.
    ///
    /// # Errors
    /// When the plan cannot be read.
    pub fn new(name: &str, plan: &str, gaps: Gaps) -> Result<Case, ArrivalsError> {
        let (name, plan) = (name.to_string(), plan.parse()?);
        Ok(Case { name, plan, gaps, budgets: vec![20.0], workers: 1, world: World::USUAL })
    }

    /// The scenario for a server with this profile.
    ///
    /// # Errors
    /// When the rates exceed what [`Plan`] allows.
    pub fn scenario(&self, profile: &Profile, seed: u64) -> Result<Scenario, ArrivalsError> {
        let capacity = (self.workers * LIMITS.batch) as f64 / profile.latency(Width::FULL, LIMITS.batch).as_secs_f64();
        let budget = |times: &f64| profile.latency(Width::FULL, 1).mul_f64(*times);
        Ok(Scenario {
            arrivals: self.plan.times(capacity)?.arrivals(self.gaps, seed)?.collect(),
            budgets: self.budgets.iter().map(budget).collect(),
            workers: self.workers,
            queue_limit: LIMITS.queue,
            world: self.world,
            seed,
        })
    }
}

/// The cases of the table in docs/benchmarks/simulation.md. Each plays for half a minute.
///
/// # Errors
/// Never for a profile whose narrowest width is at most some 100,000 times faster than full width.
pub fn cases(profile: &Profile) -> Result<Vec<Case>, ArrivalsError> {
    let bursts = ["1:2.5s,4:0.5s"; 10].join(",");
    let bursty = Case::new("bursts: mean 1.5, peaks of 4", &bursts, Gaps::Gamma { cv2: 8.0 })?;
    let wrong = |times: f64| {
        let name = format!("bursts, and everything takes {times} times what was measured");
        let world = World { wrong: times, ..World::USUAL };
        Ok::<_, ArrivalsError>(Case { name, plan: bursty.plan.times(1.0 / times)?, world, ..bursty.clone() })
    };
    let narrowest = profile.narrowest();
    let seconds = |width| profile.latency(width, LIMITS.batch).as_secs_f64();
    let beyond = format!("{}:10s", 2.0 * seconds(Width::FULL) / seconds(narrowest));
    Ok(vec![
        bursty.clone(),
        Case { name: "bursts, budgets of 10".into(), budgets: vec![10.0], ..bursty.clone() },
        Case { name: "bursts, budgets of 4".into(), budgets: vec![4.0], ..bursty.clone() },
        Case { name: "bursts, budgets of 2".into(), budgets: vec![2.0], ..bursty.clone() },
        Case { name: "bursts, budgets of 1.2".into(), budgets: vec![1.2], ..bursty.clone() },
        Case { name: "bursts, budgets of 2 and 20 in turn".into(), budgets: vec![2.0, 20.0], ..bursty.clone() },
        Case { name: "bursts, budgets of 10 and 100 in turn".into(), budgets: vec![10.0, 100.0], ..bursty.clone() },
        Case { name: "bursts, two workers".into(), workers: 2, ..bursty.clone() },
        wrong(1.3)?,
        wrong(0.77)?,
        Case { name: "bursts, on a restless machine".into(), world: World::RESTLESS, ..bursty.clone() },
        Case { name: "bursts, and nothing unforeseen".into(), world: World::EXACT, ..bursty.clone() },
        Case::new("no plan of bursts: gamma gaps at 1.5", "1.5:30s", Gaps::Gamma { cv2: 8.0 })?,
        Case::new("steady at 1.5", "1.5:30s", Gaps::Poisson)?,
        Case::new("a step from 0.3 to 3 and back", "0.3:10s,3:10s,0.3:10s", Gaps::Poisson)?,
        Case::new("ramps up to 5 and down", "0.3..5:15s,5..0.3:15s", Gaps::Poisson)?,
        Case::new("light: 0.3", "0.3:30s", Gaps::Poisson)?,
        Case::new("twice what the narrowest width can do", &beyond, Gaps::Poisson)?,
        Case {
            world: World::RESTLESS,
            ..Case::new("twice what the narrowest width can do, on a restless machine", &beyond, Gaps::Poisson)?
        },
    ])
}

/// Everybody who takes part.
pub fn contenders() -> Vec<Contender> {
    fn pinned(millionths: u32, profile: Profile, limits: Limits) -> Box<dyn Policy> {
        let width = Width::from_millionths(millionths).unwrap_or(Width::FULL);
        Box::new(Pinned { width, server: WidestFitPolicy::new(profile, limits, Tuning::default()) })
    }
    vec![
        Contender {
            name: "widest fit",
            make: |profile, limits| Box::new(WidestFitPolicy::new(profile, limits, Tuning::default())),
        },
        Contender {
            name: "widest fit, uncorrected",
            make: |profile, limits| Box::new(WidestFitPolicy::new(profile, limits, Tuning::default()).uncorrected()),
        },
        Contender { name: "pinned to 1", make: |profile, limits| pinned(1_000_000, profile, limits) },
        Contender { name: "pinned to 0.75", make: |profile, limits| pinned(750_000, profile, limits) },
        Contender { name: "pinned to 0.5", make: |profile, limits| pinned(500_000, profile, limits) },
        Contender { name: "pinned to 0.25", make: |profile, limits| pinned(250_000, profile, limits) },
        Contender { name: "SlackFit", make: |profile, limits| Box::new(SlackFit::new(profile, limits.batch, None)) },
        Contender {
            name: "SlackFit, margin and drops",
            make: |profile, limits| Box::new(SlackFit::new(profile, limits.batch, Some(0.1))),
        },
        Contender {
            name: "MaxAcc, margin and drops",
            make: |profile, limits| Box::new(MaxAccuracy::new(profile, limits.batch, Some(0.1))),
        },
        Contender {
            name: "MaxBatch, margin and drops",
            make: |profile, limits| Box::new(MaxBatch::new(profile, limits.batch, Some(0.1))),
        },
        Contender { name: "rate table", make: |profile, limits| Box::new(RateTable::new(profile, limits.batch)) },
    ]
}

/// Each contender's score in a case, all seeds together.
///
/// # Errors
/// When the case's rates are out of range, or the measurements make no profile.
pub fn compare(
    case: &Case,
    measured: &Measured,
    contenders: &[Contender],
    seeds: &[u64],
) -> Result<Vec<(&'static str, Score)>, CompareError> {
    let profile = measured.profile()?;
    let scenarios =
        seeds.iter().map(|&seed| case.scenario(&profile, seed)).collect::<Result<Vec<Scenario>, ArrivalsError>>()?;
    let score = |contender: &Contender| {
        let one = |scenario: &Scenario| {
            let mut policy = (contender.make)(profile.clone(), LIMITS);
            run(scenario, measured, &profile, policy.as_mut(), &mut |_, _| {})
        };
        (contender.name, Score::sum(&scenarios.iter().map(one).collect::<Vec<_>>()))
    };
    Ok(contenders.iter().map(score).collect())
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The case's arrivals.
    #[error(transparent)]
    Arrivals(#[from] ArrivalsError),
    /// The measured profile.
    #[error(transparent)]
    Measured(#[from] MeasuredError),
}

/// The scores as a table in Markdown, one row for each contender.
pub fn table(scores: &[(&'static str, Score)]) -> String {
    let mut text = String::from(
        "| policy | on time | of those accepted | accuracy | effective accuracy | width | refused | changes/s | p99 |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for (name, score) in scores {
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        let refused = (score.refused + score.shed) as f64 / score.requests.max(1) as f64;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {:.2} | {:.2} | {:.3} | {} | {:.1} | {:.2} ms |",
            percent(score.attainment()),
            percent(score.kept_promises()),
            score.accuracy() * 100.0,
            score.effective_accuracy() * 100.0,
            score.width(),
            percent(refused),
            score.changes_per_second(),
            Duration::as_secs_f64(&score.p99) * 1e3,
        );
    }
    text
}
