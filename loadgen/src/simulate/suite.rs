//! The cases and the contenders of the comparison, and its table.

use std::fmt::Write;
use std::time::Duration;

use anywidth::engine::Width;
use anywidth::policy::baselines::{Hardening, SlackFit};
use anywidth::policy::{PolicyKind, Priority, QueueSettings};

use super::{Measured, MeasuredError, NoiseModel, Player, Scenario, Score, Strategy, run};
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
    /// How long work really takes.
    pub noise: NoiseModel,
}

/// A policy to compare.
#[derive(Debug, Clone, Copy)]
pub struct Contender {
    /// What the table calls it.
    pub name: &'static str,
    /// The policy as the server has it, or SlackFit as published.
    kind: Option<PolicyKind>,
    /// Whether batches correct the profile.
    corrects: bool,
    /// How images share the time.
    strategy: Strategy,
}

/// The settings of a server with one worker and defaults otherwise.
pub const SETTINGS: QueueSettings =
    QueueSettings { workers: 1, decoders: 1, max_batch: 16, max_queue: 512, default_budget: Duration::from_millis(50) };

impl Case {
    /// A case of the usual world: one worker, one budget of 20.
    ///
    /// # Errors
    /// When the plan cannot be read.
    pub fn new(name: &str, plan: &str, gaps: Gaps) -> Result<Case, ArrivalsError> {
        let (name, plan) = (name.to_string(), plan.parse()?);
        Ok(Case { name, plan, gaps, budgets: vec![20.0], workers: 1, noise: NoiseModel::USUAL })
    }

    /// The scenario for a server that was measured like this.
    ///
    /// # Errors
    /// When the rates exceed what [`Plan`] allows.
    pub fn scenario(&self, measured: &Measured, seed: u64) -> Result<Scenario, CompareError> {
        let (profile, decoding) = (measured.profile()?, measured.decoding());
        let each = profile.images_per_second(Width::FULL, SETTINGS.max_batch, decoding);
        let single = profile.latency(Width::FULL, 1) + decoding;
        let plan = self.plan.times(self.workers as f64 * each)?;
        Ok(Scenario {
            arrivals: plan.arrivals(self.gaps, seed)?.collect(),
            budgets: self.budgets.iter().map(|times| single.mul_f64(*times)).collect(),
            priorities: vec![Priority::Normal],
            settings: QueueSettings { workers: self.workers, ..SETTINGS },
            noise: self.noise,
            seed,
        })
    }
}

/// The cases of the table in docs/benchmarks/simulation.md. Each plays for half a minute.
///
/// # Errors
/// Never for a profile whose narrowest width is at most some 100,000 times faster than full width.
pub fn cases(measured: &Measured) -> Result<Vec<Case>, CompareError> {
    let (profile, decoding) = (measured.profile()?, measured.decoding());
    let bursts = ["1:2.5s,4:0.5s"; 10].join(",");
    let bursty = Case::new("bursts: mean 1.5, peaks of 4", &bursts, Gaps::Gamma { cv2: 8.0 })?;
    let wrong = |times: f64| {
        let name = format!("bursts, and everything takes {times} times what was measured");
        let noise = NoiseModel { factor: times, ..NoiseModel::USUAL };
        Ok::<_, CompareError>(Case { name, plan: bursty.plan.times(1.0 / times)?, noise, ..bursty.clone() })
    };
    let rate = |width| profile.images_per_second(width, SETTINGS.max_batch, decoding);
    let beyond = format!("{}:10s", 2.0 * rate(profile.narrowest()) / rate(Width::FULL));
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
        Case { name: "bursts, on a shared machine".into(), noise: NoiseModel::SHARED, ..bursty.clone() },
        Case { name: "bursts, and nothing unforeseen".into(), noise: NoiseModel::NONE, ..bursty.clone() },
        Case::new("no plan of bursts: gamma gaps at 1.5", "1.5:30s", Gaps::Gamma { cv2: 8.0 })?,
        Case::new("steady at 1.5", "1.5:30s", Gaps::Poisson)?,
        Case::new("a step from 0.3 to 3 and back", "0.3:10s,3:10s,0.3:10s", Gaps::Poisson)?,
        Case::new("ramps up to 5 and down", "0.3..5:15s,5..0.3:15s", Gaps::Poisson)?,
        Case::new("light: 0.3", "0.3:30s", Gaps::Poisson)?,
        Case::new("twice what the narrowest width can do", &beyond, Gaps::Poisson)?,
        Case {
            noise: NoiseModel::SHARED,
            ..Case::new("twice what the narrowest width can do, on a shared machine", &beyond, Gaps::Poisson)?
        },
    ])
}

impl Contender {
    fn player(self, settings: QueueSettings) -> Player {
        let published = || Box::new(SlackFit::new(settings.max_batch, Hardening::None)) as _;
        let policy = self.kind.map_or_else(published, |kind| kind.build(settings));
        Player { policy, corrects: self.corrects }
    }
}

/// All contenders.
pub fn contenders() -> Vec<Contender> {
    let named = |name, kind| Contender { name, kind: Some(kind), corrects: true, strategy: Strategy::ByGain };
    let fixed =
        |name, millionths| named(name, PolicyKind::Fixed(Width::from_millionths(millionths).unwrap_or(Width::FULL)));
    vec![
        named("widest fit", PolicyKind::WidestFit),
        Contender { strategy: Strategy::Mixture, ..named("widest fit, mixture of two widths", PolicyKind::WidestFit) },
        Contender { strategy: Strategy::OneWidth, ..named("widest fit, one width for all", PolicyKind::WidestFit) },
        Contender { corrects: false, ..named("widest fit, uncorrected", PolicyKind::WidestFit) },
        fixed("fixed at 1", 1_000_000),
        fixed("fixed at 0.75", 750_000),
        fixed("fixed at 0.5", 500_000),
        fixed("fixed at 0.25", 250_000),
        Contender { name: "SlackFit", kind: None, corrects: false, strategy: Strategy::OneWidth },
        named("SlackFit, margin and shedding", PolicyKind::SlackFit),
        named("MaxAcc, margin and shedding", PolicyKind::MaxAccuracy),
        named("MaxBatch, margin and shedding", PolicyKind::MaxBatch),
        named("rate table", PolicyKind::RateTable),
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
    let scenarios =
        seeds.iter().map(|&seed| case.scenario(measured, seed)).collect::<Result<Vec<Scenario>, CompareError>>()?;
    let score = |contender: &Contender| {
        let profile = measured.profile_for(contender.strategy)?;
        let one = |scenario: &Scenario| {
            run(scenario, measured, &profile, contender.player(scenario.settings), &mut |_, _| {})
        };
        Ok((contender.name, Score::sum(&scenarios.iter().map(one).collect::<Vec<_>>())))
    };
    contenders.iter().map(score).collect()
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
pub fn table(scores: &[(&str, Score)]) -> String {
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
            percent(score.attainment_of_accepted()),
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
