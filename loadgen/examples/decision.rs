//! How long the decisions of widest fit take, by the length of the queue: `cargo run --release --example decision -p
//! anywidth-load`. Medians and 99th percentiles of a thousand, on the profile of the shipped vgg-8.

use std::time::{Duration, Instant};

use anywidth::engine::Width;
use anywidth::policy::{JobQueue, Payload, PolicyKind, Profile, QueueSettings, RequestOptions, SubmittedJob, Task};
use anywidth_load::simulate::{Measured, SETTINGS};

const ROUNDS: usize = 1000;

/// A job that carries nothing.
#[derive(Debug, Clone, Copy)]
struct Nothing;

impl Payload for Nothing {
    type Encoded = ();

    fn encoded(&self) {}
}

fn main() -> anyhow::Result<()> {
    let profile = Measured::cifar10()?.profile()?;
    let us = |time: Duration| format!("{:.1} us", time.as_secs_f64() * 1e6);
    let row = |name: &str, mut times: Vec<Duration>| {
        times.sort();
        println!("| {name} | {} | {} |", us(times[times.len() / 2]), us(times[times.len() * 99 / 100]));
    };
    println!("| decision | median | 99 % |\n|---|---|---|");
    for length in [1, 10, 100, 1000] {
        row(&format!("a batch of a queue of {length}"), batches(&profile, length)?);
        row(&format!("admission of one job to a queue of {length}"), admissions(&profile, length, 1)?);
    }
    row("admission of a request of 64 to a queue of 448", admissions(&profile, 448, 64)?);
    Ok(())
}

/// Times of [`JobQueue::next`] over a queue of so many decoded jobs, all of which can be answered at some width.
fn batches(profile: &Profile, length: usize) -> anyhow::Result<Vec<Duration>> {
    let round = |round: usize| {
        let (mut queue, now) = filled(profile, length, round)?;
        loop {
            let start = Instant::now();
            let decision = queue.next(0, now);
            let time = start.elapsed();
            match decision.task {
                Some(Task::Decode(tasks)) => tasks.iter().for_each(|task| {
                    queue.decoded(task, Duration::from_nanos(1));
                }),
                Some(Task::Run(_)) => return Ok(time),
                None => anyhow::bail!("there is a batch to run"),
            }
        }
    };
    (0..ROUNDS).map(round).collect()
}

/// Times of [`JobQueue::submit`] for a request of so many jobs to such a queue.
fn admissions(profile: &Profile, length: usize, jobs: usize) -> anyhow::Result<Vec<Duration>> {
    let round = |round: usize| {
        let (mut queue, now) = filled(profile, length, round)?;
        let request = vec![job(profile, length + jobs, round, now); jobs];
        let start = Instant::now();
        let outcome = queue.submit(request, now);
        let time = start.elapsed();
        std::hint::black_box(outcome?);
        Ok(time)
    };
    (0..ROUNDS).map(round).collect()
}

/// A queue of so many encoded jobs, and the time.
fn filled(profile: &Profile, length: usize, round: usize) -> anyhow::Result<(JobQueue<Nothing>, Instant)> {
    let settings = QueueSettings { max_queue: 2000, ..SETTINGS };
    let start = Instant::now();
    let now = start + profile.latency(Width::FULL, settings.max_batch);
    let policy = PolicyKind::WidestFit.build(settings);
    let mut queue = JobQueue::new(settings, vec![profile.clone()], policy, start);
    for _ in 0..length {
        queue.submit(vec![job(profile, length + 64, round, now)], now)?;
    }
    Ok((queue, now))
}

/// A job with twice as much time as the narrowest width needs for so many: the policy has to search for the width.
fn job(profile: &Profile, length: usize, round: usize, now: Instant) -> SubmittedJob<Nothing> {
    let budget = (profile.latency(profile.narrowest(), length) + Duration::from_micros(80) * length as u32) * 2;
    let budget = budget + Duration::from_micros(1000 + round as u64 % 7);
    let options = RequestOptions::default();
    SubmittedJob { model: 0, options, arrived: now, budget: Some(budget), encoded_bytes: Some(1000), payload: Nothing }
}
