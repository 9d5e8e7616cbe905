//! One run: the server's own queue, workers, and time that jumps from event to event.
//!
//! Workers ask for work when the server's threads do: one after each submission, each when its task ends, one after each
//! decoding but the last of a group, and the next while work is left.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anywidth::engine::Width;
use anywidth::policy::{
    Batch, BatchReport, Decision, DecodeTask, ExitRule, JobQueue, Payload, Policy, Priority, Profile, QueueSettings,
    RequestOptions, RunningJob, SubmittedJob, Task,
};

use super::noise::Sampler;
use super::{Measured, NoiseModel, Score};

/// What happens to a server.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// When requests arrive, ascending.
    pub arrivals: Vec<Duration>,
    /// The budgets of requests, in turn.
    pub budgets: Vec<Duration>,
    /// The priorities of requests, in turn.
    pub priorities: Vec<Priority>,
    /// The server.
    pub settings: QueueSettings,
    /// How long work really takes.
    pub noise: NoiseModel,
    /// Seed of `noise`.
    pub seed: u64,
}

impl Scenario {
    /// The budget of a request.
    fn budget(&self, number: usize) -> Duration {
        self.budgets[number % self.budgets.len()]
    }
}

/// Who decides in a run.
#[derive(Debug)]
pub struct Player {
    /// The policy.
    pub policy: Box<dyn Policy>,
    /// Whether batches correct the profile; otherwise it remains what was measured at start-up.
    pub corrects: bool,
}

/// What happens in a run. Jobs are named by the number of their request.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A request is refused.
    Refused(usize),
    /// A job is shed.
    Shed(usize),
    /// A worker starts to decode an image.
    Decode(usize),
    /// A worker starts to run a batch at these widths, earliest deadline first.
    Run(Vec<(usize, Width)>),
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Outcome {
    Refused,
    Shed,
    Answered { late: bool, width: Width, accuracy: f64 },
}

/// A request, by its number.
#[derive(Debug)]
struct Request(usize);

impl Payload for Request {
    type Encoded = usize;

    fn encoded(&self) -> usize {
        self.0
    }
}

/// What a worker is busy with.
#[derive(Debug)]
enum Work {
    /// The image that is being decoded since `start`, and those after it.
    Decode { start: Instant, task: DecodeTask<usize>, next: VecDeque<DecodeTask<usize>> },
    /// A batch whose jobs have the widths that they stop at.
    Run {
        start: Instant,
        batch: Batch<Request>,
        /// How often the answer of each job is right: 0 or 1, or the accuracy of its width.
        accuracies: Vec<f64>,
    },
}

impl Work {
    /// The request of its first job.
    fn first(&self) -> usize {
        match self {
            Work::Decode { task, .. } => task.encoded,
            Work::Run { batch, .. } => batch.jobs.first().map_or(0, |running| running.job.payload.0),
        }
    }
}

struct Machine<'a> {
    scenario: &'a Scenario,
    measured: &'a Measured,
    profile: &'a Profile,
    queue: JobQueue<Request>,
    corrects: bool,
    sampler: Sampler,
    /// The work of each busy worker, and when it ends.
    workers: Vec<Option<(Instant, Work)>>,
    score: Score,
    latencies: Vec<Duration>,
    widest: Option<Width>,
    watch: &'a mut dyn FnMut(Duration, &Event),
    start: Instant,
}

/// Bytes of a simulated image: all of them have one length, so that their decoding times are learned at once.
const BYTES: usize = 1024;

/// Plays a scenario. `watch` sees every event with its time.
pub fn run(
    scenario: &Scenario,
    measured: &Measured,
    profile: &Profile,
    player: Player,
    watch: &mut dyn FnMut(Duration, &Event),
) -> Score {
    // Any instant will do: only differences count. The workers are warm when the first request arrives.
    let warm_up = profile.latency(Width::FULL, scenario.settings.max_batch);
    let start = Instant::now() + warm_up;
    let Player { policy, corrects } = player;
    let mut machine = Machine {
        scenario,
        measured,
        profile,
        queue: JobQueue::new(scenario.settings, vec![profile.clone()], policy, start - warm_up),
        corrects,
        sampler: Sampler::new(scenario.noise, scenario.seed),
        workers: (0..scenario.settings.workers).map(|_| None).collect(),
        score: Score::default(),
        latencies: Vec::new(),
        widest: None,
        watch,
        start,
    };
    (0..scenario.settings.workers).for_each(|worker| machine.ask(worker, start));
    for (number, &arrival) in scenario.arrivals.iter().enumerate() {
        let now = start + arrival;
        machine.finish_until(Some(now));
        machine.arrive(number, now);
    }
    machine.finish_until(None);
    machine.close(scenario.arrivals.last().copied().unwrap_or_default())
}

impl Machine<'_> {
    fn arrive(&mut self, number: usize, now: Instant) {
        let priorities = &self.scenario.priorities;
        let priority = priorities[number % priorities.len()];
        let job = SubmittedJob {
            model: 0,
            options: RequestOptions { priority, ..RequestOptions::default() },
            arrived: now,
            budget: Some(self.scenario.budget(number)),
            encoded_bytes: Some(BYTES),
            payload: Request(number),
        };
        if self.queue.submit(vec![job], now).is_err() {
            self.score.count(&Outcome::Refused);
            self.tell(now, &Event::Refused(number));
        }
        self.wake_one(now);
    }

    /// Ends everything that ends by `now`; all, without.
    fn finish_until(&mut self, now: Option<Instant>) {
        loop {
            let busy = self.workers.iter().enumerate().filter_map(|(index, work)| Some((work.as_ref()?, index)));
            // Of tasks that end at once, the one of the earlier request is first, so that the order has one definition.
            let first = busy.map(|((ends, work), index)| (*ends, work.first(), index)).min();
            let Some((ends, _, worker)) = first.filter(|first| now.is_none_or(|now| first.0 <= now)) else { return };
            match self.workers[worker].take() {
                Some((_, Work::Decode { start, task, next })) => self.decoded(worker, start, &task, next, ends),
                Some((_, Work::Run { start, batch, accuracies })) => {
                    self.answer(batch, &accuracies, start, ends);
                    self.ask(worker, ends);
                }
                None => return,
            }
        }
    }

    fn decoded(
        &mut self,
        worker: usize,
        start: Instant,
        task: &DecodeTask<usize>,
        mut next: VecDeque<DecodeTask<usize>>,
        now: Instant,
    ) {
        self.queue.decoded(task, now - start);
        match next.pop_front() {
            Some(task) => {
                self.decode(worker, task, next, now);
                // Another worker that is free may run the job.
                self.wake_one(now);
            }
            None => self.ask(worker, now),
        }
    }

    fn answer(&mut self, batch: Batch<Request>, accuracies: &[f64], start: Instant, now: Instant) {
        let mut report = BatchReport::default();
        for (RunningJob { job, width, .. }, &accuracy) in batch.jobs.into_iter().zip(accuracies) {
            let (number, arrived) = (job.payload.0, job.constraints.arrived);
            let late = now > arrived + self.scenario.budget(number);
            self.score.count(&Outcome::Answered { late, width, accuracy });
            self.latencies.push(now - arrived);
            report.widths.push(width);
            *(if now > job.constraints.deadline { &mut report.late } else { &mut report.on_time }) += 1;
        }
        let widest = report.widths.iter().copied().max().unwrap_or(Width::FULL);
        let time = if self.corrects { now - start } else { self.profile.latency(widest, report.widths.len()) };
        self.queue.finished(batch.model, &report, time);
    }

    /// Wakes a free worker, if there is one, as the server does.
    fn wake_one(&mut self, now: Instant) {
        if let Some(worker) = self.workers.iter().position(Option::is_none) {
            self.ask(worker, now);
        }
    }

    /// A free worker asks for work until it has some or there is none.
    fn ask(&mut self, worker: usize, now: Instant) {
        loop {
            let Decision { task, shed, .. } = self.queue.next(worker, now);
            let nothing = shed.is_empty();
            for (job, _) in shed {
                self.score.count(&Outcome::Shed);
                self.tell(now, &Event::Shed(job.payload.0));
            }
            match task {
                Some(task) => {
                    self.begin(worker, task, now);
                    if self.queue.has_work() {
                        self.wake_one(now);
                    }
                    return;
                }
                None if nothing => return,
                None => {}
            }
        }
    }

    fn begin(&mut self, worker: usize, task: Task<Request>, now: Instant) {
        match task {
            Task::Decode(tasks) => {
                let mut next = VecDeque::from(tasks);
                if let Some(task) = next.pop_front() {
                    self.decode(worker, task, next, now);
                }
            }
            Task::Run(mut batch) => {
                let exits = batch.exits.clone();
                let accuracies = batch.jobs.iter_mut().map(|running| self.run(running, exits.as_ref())).collect();
                let jobs: Vec<_> = batch.jobs.iter().map(|running| (running.job.payload.0, running.width)).collect();
                let widths: Vec<Width> = jobs.iter().map(|job| job.1).collect();
                let widest = widths.iter().copied().max();
                if self.widest.is_some() && self.widest != widest {
                    self.score.width_changes += 1;
                }
                self.widest = widest;
                self.tell(now, &Event::Run(jobs));
                let time = self.sampler.batch(self.measured, &widths);
                self.workers[worker] = Some((now + time, Work::Run { start: now, batch, accuracies }));
            }
        }
    }

    /// Sets the width at which a job stops, and returns how often its answer is right. All jobs of a batch are answered at its
    /// end, those that stop early as well.
    fn run(&mut self, running: &mut RunningJob<Request>, rule: Option<&ExitRule>) -> f64 {
        let image = (self.scenario.seed, running.job.payload.0);
        let (width, accuracy) = self.measured.answer(self.profile, image, rule, (running.from, running.width));
        running.width = width;
        accuracy
    }

    fn decode(&mut self, worker: usize, task: DecodeTask<usize>, next: VecDeque<DecodeTask<usize>>, now: Instant) {
        self.tell(now, &Event::Decode(task.encoded));
        let time = self.sampler.decoding(self.measured);
        self.workers[worker] = Some((now + time, Work::Decode { start: now, task, next }));
    }

    fn tell(&mut self, now: Instant, event: &Event) {
        (self.watch)(now - self.start, event);
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
