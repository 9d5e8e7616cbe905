//! What the policy guarantees: [`scenarios`] one by one, [`properties`] beside oracles that are too simple to be wrong.

mod properties;
mod scenarios;

use std::collections::VecDeque;

use super::super::testing::{gain, measured, profile};
use super::super::{DeadlineKind, Priority, Stage, WidthReason, Widths, Workers};
use super::*;

fn settings(max_batch: usize) -> QueueSettings {
    QueueSettings { workers: 1, decoders: 1, max_batch, max_queue: 1000, default_budget: Duration::from_millis(50) }
}

fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

fn width(text: &str) -> Width {
    text.parse().unwrap()
}

/// What tests ask of a job, relative to now.
#[derive(Debug, Clone, Copy)]
struct Ask {
    model: usize,
    slack: Duration,
    widths: Widths,
    kind: DeadlineKind,
    priority: Priority,
    stage: Stage,
}

impl Ask {
    fn auto(slack_us: u64) -> Ask {
        let widths = Widths::From { step: 0 };
        let (kind, priority, stage) = (DeadlineKind::Firm, Priority::Normal, Stage::Decoded);
        Ask { model: 0, slack: us(slack_us), widths, kind, priority, stage }
    }

    fn target(slack_us: u64) -> Ask {
        Ask { kind: DeadlineKind::Target, ..Ask::auto(slack_us) }
    }

    fn pinned(self, at: &str) -> Ask {
        Ask { widths: Widths::Pinned { width: width(at), step: profile().covering(width(at)) }, ..self }
    }

    fn encoded(self, takes_us: u64) -> Ask {
        Ask { stage: Stage::Encoded { takes: us(takes_us) }, ..self }
    }

    fn at(self, now: Instant) -> JobConstraints {
        let Ask { model, slack, widths, kind, priority, stage } = self;
        JobConstraints { model, widths, arrived: now, deadline: now + slack, deadline_kind: kind, priority, stage }
    }
}

/// A rule, a queue and workers at one moment.
#[derive(Debug, Clone)]
struct Scene {
    policy: WidestFit,
    profiles: Vec<Profile>,
    queue: VecDeque<JobConstraints>,
    workers: usize,
    busy: Vec<Instant>,
    long_decodings: usize,
    now: Instant,
}

impl Scene {
    /// One idle worker, batches of up to 4, no traffic so far.
    fn new(asks: &[Ask]) -> Scene {
        let now = Instant::now();
        let policy = WidestFit::new(
            settings(4),
            Tuning { margin: Ratio(0.0), initial_margin: Ratio(0.0), min_reserve: Ratio(0.0), ..Tuning::default() },
        );
        let profiles = vec![profile()];
        let mut scene =
            Scene { policy, profiles, queue: VecDeque::new(), workers: 1, busy: vec![], long_decodings: 0, now };
        asks.iter().for_each(|&ask| scene.queue(ask));
        scene
    }

    fn queue(&mut self, ask: Ask) {
        self.queue.push_back(ask.at(self.now));
        self.queue.make_contiguous().sort_by_key(|job| job.deadline);
    }

    fn view(&self) -> QueueView<'_> {
        let workers = Workers { count: self.workers, busy_until: &self.busy, long_decodings: self.long_decodings };
        QueueView { jobs: &self.queue, profiles: &self.profiles, workers, now: self.now }
    }

    fn decide(&mut self) -> Plan {
        let mut policy = self.policy.clone();
        let plan = policy.next(self.view());
        self.policy = policy;
        plan
    }

    fn admit(&mut self, ask: Ask) -> Result<(), Overload> {
        self.admit_all(&[ask])
    }

    fn admit_all(&mut self, asks: &[Ask]) -> Result<(), Overload> {
        let jobs: Vec<JobConstraints> = asks.iter().map(|ask| ask.at(self.now)).collect();
        let mut policy = self.policy.clone();
        let outcome = policy.admit(&jobs, self.view());
        if outcome.is_ok() {
            policy.accepted(&jobs, self.now);
        }
        self.policy = policy;
        outcome
    }
}

fn places(decision: &Plan) -> Vec<usize> {
    decision.batch.iter().map(|job| job.index).collect()
}

fn widths_of(decision: &Plan) -> Vec<String> {
    decision.batch.iter().map(|job| job.width.to_string()).collect()
}
