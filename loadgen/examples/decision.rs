//! How long one decision of the width rule takes, by the length of the queue: `cargo run --release --example decision -p
//! anywidth-load`. Medians and 99th percentiles of a thousand, on the profile of the shipped vgg-8.

use std::time::{Duration, Instant};

use anywidth::policy::{Decision, Demand, Limits, Profile, Stage, Tuning, WidestFit, Wish, Workers};
use anywidth_load::simulate::Measured;

const ROUNDS: usize = 1000;

fn main() -> anyhow::Result<()> {
    let profile = Measured::cifar10()?.profile()?;
    println!("| queue | a batch: median | 99 % | admission: median | 99 % |\n|---|---|---|---|---|");
    for length in [1, 10, 100, 1000] {
        let [batch, admission] = times(&profile, length)?;
        let us = |time: Duration| format!("{:.1} us", time.as_secs_f64() * 1e6);
        let [batch, batch_99, admission, admission_99] =
            [batch[ROUNDS / 2], batch[ROUNDS * 99 / 100], admission[ROUNDS / 2], admission[ROUNDS * 99 / 100]].map(us);
        println!("| {length} | {batch} | {batch_99} | {admission} | {admission_99} |");
    }
    Ok(())
}

/// Sorted times of decisions over a queue of so many, all of which can be answered at some width, and of admissions to it.
fn times(profile: &Profile, length: usize) -> anyhow::Result<[Vec<Duration>; 2]> {
    let profiles = [profile.clone()];
    let narrowest = profile.narrowest();
    // Twice as much time as the narrowest width needs for all: the rule has to look for the width.
    let budget = profile.latency(narrowest, length) * 2 + Duration::from_millis(1);
    let mut rule = WidestFit::new(Limits { batch: 16, queue: 2000, decoders: 1 }, Tuning::default());
    let workers = Workers { count: 1, busy_until: &[], long_decodings: 0 };
    let (mut batches, mut admissions) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let now = Instant::now();
        let demand = |index: usize| {
            let arrived = now - Duration::from_nanos(index as u64);
            Demand::new(
                &Wish::default(),
                (0, profile),
                arrived,
                budget + Duration::from_micros(round as u64 % 7),
                Stage::Decoded,
            )
        };
        let queue: Vec<Demand> = (0..length).rev().map(demand).collect::<Result<_, _>>()?;
        let began = Instant::now();
        let outcome = rule.admit(&queue[length - 1], queue.iter(), workers, now, &profiles);
        admissions.push(began.elapsed());
        std::hint::black_box(outcome.is_ok());
        rule.arrived(&queue[length - 1], now);
        let began = Instant::now();
        let decision: Decision = rule.next_batch(queue.iter(), workers, now, &profiles);
        batches.push(began.elapsed());
        std::hint::black_box(decision.batch.len());
    }
    batches.sort();
    admissions.sort();
    Ok([batches, admissions])
}
