//! What decides in a run, and the policy of the server among them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anywidth::engine::Width;
use anywidth::policy::{Demand, Limits, Profile, Tuning, WidestFit, Wish, Workers};

/// What a policy sees.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Jobs that wait, in the order of their deadlines.
    pub queue: &'a VecDeque<Demand>,
    /// All workers, and when the busy ones will be free, as the policy predicted.
    pub workers: Workers<'a>,
    /// The time.
    pub now: Instant,
}

/// What a policy decides.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Choice {
    /// Places in the queue, ascending, and the width of each.
    pub batch: Vec<(usize, Width)>,
    /// Places in the queue of jobs that are given up, ascending.
    pub shed: Vec<usize>,
    /// How long it thinks that the batch takes.
    pub takes: Duration,
}

/// Decides what runs.
pub trait Policy {
    /// What a request asks for that says nothing.
    fn wish(&self) -> Wish {
        Wish::default()
    }

    /// A request comes, not in the queue yet. Is it accepted?
    fn admit(&mut self, _demand: &Demand, _situation: Situation) -> bool {
        true
    }

    /// A worker is free and the queue is not empty.
    fn next_batch(&mut self, situation: Situation) -> Choice;

    /// A batch of items at these widths took this long.
    fn took(&mut self, _widths: &[Width], _took: Duration) {}

    /// Accepted requests came to their end: so many in time, so many late or given up.
    fn ended(&mut self, _kept: usize, _broken: usize) {}
}

/// The server's own policy.
#[derive(Debug, Clone)]
pub struct WidestFitPolicy {
    rule: WidestFit,
    profiles: [Profile; 1],
    /// Where false, the profile stays what it was at start-up.
    corrects: bool,
}

impl WidestFitPolicy {
    /// As the server has it.
    pub fn new(profile: Profile, limits: Limits, tuning: Tuning) -> WidestFitPolicy {
        WidestFitPolicy { rule: WidestFit::new(limits, tuning), profiles: [profile], corrects: true }
    }

    /// Without the running correction, to show what it is worth.
    pub fn uncorrected(self) -> WidestFitPolicy {
        WidestFitPolicy { corrects: false, ..self }
    }
}

impl Policy for WidestFitPolicy {
    fn admit(&mut self, demand: &Demand, at: Situation) -> bool {
        let fits = self.rule.admit(demand, at.queue.iter(), at.workers, at.now, &self.profiles).is_ok();
        if fits {
            self.rule.arrived(demand, at.now);
        }
        fits
    }

    fn next_batch(&mut self, at: Situation) -> Choice {
        let decision = self.rule.next_batch(at.queue.iter(), at.workers, at.now, &self.profiles);
        let batch = decision.batch.iter().map(|job| (job.index, job.width)).collect();
        Choice { batch, shed: decision.shed, takes: decision.takes }
    }

    fn took(&mut self, widths: &[Width], took: Duration) {
        let widest = widths.iter().copied().max().unwrap_or(Width::FULL);
        let took = if self.corrects { took } else { self.profiles[0].latency(widest, widths.len()) };
        self.profiles[0].record(widths.iter().copied(), took);
    }

    fn ended(&mut self, kept: usize, broken: usize) {
        self.rule.ended(kept, broken);
    }
}

/// The same server with all requests pinned to one width.
#[derive(Debug, Clone)]
pub struct Pinned {
    /// The width.
    pub width: Width,
    /// The server.
    pub server: WidestFitPolicy,
}

impl Policy for Pinned {
    fn wish(&self) -> Wish {
        Wish { width: Some(self.width), ..Wish::default() }
    }

    fn admit(&mut self, demand: &Demand, situation: Situation) -> bool {
        self.server.admit(demand, situation)
    }

    fn next_batch(&mut self, situation: Situation) -> Choice {
        self.server.next_batch(situation)
    }

    fn took(&mut self, widths: &[Width], took: Duration) {
        self.server.took(widths, took);
    }

    fn ended(&mut self, kept: usize, broken: usize) {
        self.server.ended(kept, broken);
    }
}
