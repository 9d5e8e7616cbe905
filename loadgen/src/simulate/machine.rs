//! One run: arrivals, a queue, workers, and time that jumps from event to event.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anywidth::engine::Width;
use anywidth::policy::{Demand, Profile, Stage, Wish, Workers};

use super::world::Dice;
use super::{Choice, Measured, Policy, Score, Situation, World};

/// What happens to a policy.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// When requests come, ascending.
    pub arrivals: Vec<Duration>,
    /// The budgets that requests have in turn.
    pub budgets: Vec<Duration>,
    /// Worker threads.
    pub workers: usize,
    /// Most jobs that wait.
    pub queue_limit: usize,
    /// What batches really take.
    pub world: World,
    /// Of the dice of `world`.
    pub seed: u64,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Outcome {
    Refused,
    Shed,
    Answered { late: bool, width: Width, accuracy: f64 },
}

struct Running {
    ends: Instant,
    predicted: Instant,
    began: Instant,
    jobs: Vec<(Demand, Width)>,
}

struct Machine<'a> {
    scenario: &'a Scenario,
    measured: &'a Measured,
    profile: &'a Profile,
    policy: &'a mut dyn Policy,
    dice: Dice,
    queue: VecDeque<Demand>,
    running: Vec<Running>,
    score: Score,
    latencies: Vec<Duration>,
    widest: Option<Width>,
    /// Called with each answer: time of arrival, width.
    watch: &'a mut dyn FnMut(Duration, Width),
    start: Instant,
}

/// Plays a scenario against a policy. `watch` is told of every batch: when it began, and its widest width.
pub fn run(
    scenario: &Scenario,
    measured: &Measured,
    profile: &Profile,
    policy: &mut dyn Policy,
    watch: &mut dyn FnMut(Duration, Width),
) -> Score {
    // Any instant will do: only differences count.
    let start = Instant::now();
    let mut machine = Machine {
        scenario,
        measured,
        profile,
        policy,
        dice: Dice::new(scenario.world, scenario.seed),
        queue: VecDeque::new(),
        running: Vec::new(),
        score: Score::default(),
        latencies: Vec::new(),
        widest: None,
        watch,
        start,
    };
    let wish = machine.policy.wish();
    for (number, &arrival) in scenario.arrivals.iter().enumerate() {
        let now = start + arrival;
        machine.finish_until(Some(now));
        machine.arrive(wish, now, scenario.budgets[number % scenario.budgets.len()]);
    }
    machine.finish_until(None);
    machine.close(scenario.arrivals.last().copied().unwrap_or_default())
}

impl Machine<'_> {
    fn arrive(&mut self, wish: Wish, now: Instant, budget: Duration) {
        let Ok(demand) = Demand::new(&wish, (0, self.profile), now, budget, Stage::Decoded) else {
            return self.score.count(&Outcome::Refused);
        };
        let busy: Vec<Instant> = self.running.iter().map(|running| running.predicted).collect();
        let workers = Workers { count: self.scenario.workers, busy_until: &busy, long_decodings: 0 };
        let full = self.queue.len() >= self.scenario.queue_limit;
        if full || !self.policy.admit(&demand, Situation { queue: &self.queue, workers, now }) {
            return self.score.count(&Outcome::Refused);
        }
        let place = self.queue.partition_point(|queued| queued.deadline <= demand.deadline);
        self.queue.insert(place, demand);
        self.give_work(now);
    }

    /// Lets every batch end that ends by `now`; all, without.
    fn finish_until(&mut self, now: Option<Instant>) {
        loop {
            let ends = self.running.iter().enumerate().map(|(index, running)| (running.ends, index)).min();
            let Some((ends, index)) = ends.filter(|&(ends, _)| now.is_none_or(|now| ends <= now)) else { return };
            let batch = self.running.swap_remove(index);
            self.answer(&batch);
            self.give_work(ends);
        }
    }

    fn answer(&mut self, batch: &Running) {
        for &(demand, width) in &batch.jobs {
            let accuracy = self.profile.accuracy(width).unwrap_or_default();
            let late = batch.ends > demand.deadline;
            self.score.count(&Outcome::Answered { late, width, accuracy });
            self.latencies.push(batch.ends - demand.arrived);
        }
        let late = batch.jobs.iter().filter(|job| batch.ends > job.0.deadline).count();
        self.policy.ended(batch.jobs.len() - late, late);
        let widths: Vec<Width> = batch.jobs.iter().map(|job| job.1).collect();
        self.policy.took(&widths, batch.ends - batch.began);
    }

    /// Free workers ask the policy, until none is free or nothing is left to do.
    fn give_work(&mut self, now: Instant) {
        while self.running.len() < self.scenario.workers && !self.queue.is_empty() {
            let busy: Vec<Instant> = self.running.iter().map(|running| running.predicted).collect();
            let workers = Workers { count: self.scenario.workers, busy_until: &busy, long_decodings: 0 };
            let choice = self.policy.next_batch(Situation { queue: &self.queue, workers, now });
            if choice.batch.is_empty() && choice.shed.is_empty() {
                return;
            }
            self.carry_out(choice, now);
        }
    }

    fn carry_out(&mut self, choice: Choice, now: Instant) {
        let jobs: Vec<(Demand, Width)> =
            choice.batch.iter().map(|&(index, width)| (self.queue[index], width)).collect();
        let mut gone: Vec<usize> = choice.batch.iter().map(|job| job.0).chain(choice.shed.iter().copied()).collect();
        gone.sort_unstable();
        assert!(gone.is_sorted_by(|a, b| a < b), "a job is in one place only: {choice:?}");
        for index in gone.into_iter().rev() {
            self.queue.remove(index);
        }
        choice.shed.iter().for_each(|_| self.score.count(&Outcome::Shed));
        self.policy.ended(0, choice.shed.len());
        let Some(widest) = jobs.iter().map(|job| job.1).max() else { return };
        if self.widest.replace(widest).is_some_and(|before| before != widest) {
            self.score.width_changes += 1;
        }
        (self.watch)(now - self.start, widest);
        let widths: Vec<Width> = jobs.iter().map(|job| job.1).collect();
        let takes = self.dice.takes(self.measured, &widths);
        self.running.push(Running { ends: now + takes, predicted: now + choice.takes, began: now, jobs });
    }

    fn close(mut self, length: Duration) -> Score {
        assert_eq!(self.score.requests as usize, self.scenario.arrivals.len(), "every request has one outcome");
        self.score.length = length;
        let rank = self.latencies.len().saturating_sub(1) * 99 / 100;
        if !self.latencies.is_empty() {
            self.score.p99 = *self.latencies.select_nth_unstable(rank).1;
        }
        self.score
    }
}
