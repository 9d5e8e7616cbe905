//! What half and twice of each knob of widest fit costs, as the table of docs/policy.md: `cargo run --release --example tuning
//! -p anywidth-load`.

use anywidth::policy::{QueueSettings, Tuning, WidestFit};
use anywidth_load::simulate::{Case, Measured, Player, cases, run};

const SEEDS: [u64; 3] = [1, 2, 3];
/// Cases whose load leaves nothing to decide.
const LIGHT: &str = "light";
const SHARED: &str = "bursts, on a shared machine";

/// A knob: its name, and where it is.
type Knob = (&'static str, fn(&mut Tuning) -> &mut f64);

const KNOBS: [Knob; 12] = [
    ("margin", |tuning| &mut tuning.margin.0),
    ("min_reserve", |tuning| &mut tuning.min_reserve.0),
    ("miss_target", |tuning| &mut tuning.miss_target.0),
    ("reserve_step", |tuning| &mut tuning.reserve_step.0),
    ("max_block", |tuning| &mut tuning.max_block.0),
    ("max_batch_time", |tuning| &mut tuning.max_batch_time.0),
    ("lookahead", |tuning| &mut tuning.lookahead.0),
    ("narrow_within", |tuning| &mut tuning.narrow_within.0),
    ("widen_within", |tuning| &mut tuning.widen_within.0),
    ("hold", |tuning| &mut tuning.hold.0),
    ("leap", |tuning| &mut tuning.leap.0),
    ("patience", |tuning| &mut tuning.patience.0),
];

fn main() -> anyhow::Result<()> {
    let measured = Measured::cifar10()?;
    let cases: Vec<Case> = cases(&measured)?.into_iter().filter(|case| !case.name.starts_with(LIGHT)).collect();
    let shared: Vec<Case> = cases.iter().filter(|case| case.name == SHARED).cloned().collect();
    println!("| knob | default | half: all loads, shared machine | default | twice |\n|---|---|---|---|---|");
    let default = row(&measured, &cases, &shared, Tuning::default())?;
    for (name, knob) in KNOBS {
        let at = |factor: f64| {
            let mut tuning = Tuning::default();
            *knob(&mut tuning) *= factor;
            row(&measured, &cases, &shared, tuning)
        };
        println!("| `{name}` | {} | {} | {default} | {} |", knob(&mut Tuning::default()), at(0.5)?, at(2.0)?);
    }
    Ok(())
}

fn row(measured: &Measured, all: &[Case], shared: &[Case], tuning: Tuning) -> anyhow::Result<String> {
    let [all, shared] = [mean(measured, all, tuning)?, mean(measured, shared, tuning)?];
    Ok(format!("{:.2} %, {:.2} %", all * 100.0, shared * 100.0))
}

/// Mean effective accuracy of the cases with all seeds.
fn mean(measured: &Measured, cases: &[Case], tuning: Tuning) -> anyhow::Result<f64> {
    let profile = measured.profile()?;
    let player =
        |settings: QueueSettings| Player { policy: Box::new(WidestFit::new(settings, tuning)), corrects: true };
    let mut sum = 0.0;
    for (case, seed) in cases.iter().flat_map(|case| SEEDS.map(|seed| (case, seed))) {
        let scenario = case.scenario(measured, seed)?;
        sum += run(&scenario, measured, &profile, player(scenario.settings), &mut |_, _| {}).effective_accuracy();
    }
    Ok(sum / (cases.len() * SEEDS.len()) as f64)
}
