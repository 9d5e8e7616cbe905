//! A million events on virtual time, beside a model that only knows where each job is.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use super::*;
use crate::policy::{Measurement, PolicyKind, Priority, RequestOptions};

const SETTINGS: QueueSettings =
    QueueSettings { workers: 3, decoders: 1, max_batch: 4, max_queue: 64, default_budget: Duration::from_millis(20) };

/// A caller who may leave.
#[derive(Debug, Clone, Default)]
struct Caller {
    left: Rc<Cell<bool>>,
}

impl Payload for Caller {
    type Encoded = ();

    fn encoded(&self) {}

    fn is_abandoned(&self) -> bool {
        self.left.get()
    }
}

fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

/// Steps of a quarter that take `item` microseconds each for an image.
fn profile(item: u64) -> Profile {
    let step = |step: u32| Measurement {
        width: Width::from_millionths(step * 250_000).unwrap(),
        latencies: [1, 4].map(|batch| (batch as usize, us(20 + u64::from(step) * item * batch))).to_vec(),
        accuracy: Some(0.5 + f64::from(step) / 10.0),
    };
    Profile::new(&(1..=4).map(step).collect::<Vec<_>>()).unwrap()
}

fn queue(settings: QueueSettings, items: &[u64], now: Instant) -> JobQueue<Caller> {
    let profiles = items.iter().map(|&item| profile(item)).collect();
    JobQueue::new(settings, profiles, PolicyKind::WidestFit.build(settings), now)
}

/// Numbers that are the same for the same seed (SplitMix64).
struct Sampler(u64);

impl Sampler {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Encoded,
    Decoding,
    Decoded,
    Running,
}

/// What became of all jobs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcomes {
    accepted: u64,
    refused: u64,
    answered: u64,
    broken: u64,
    shed: u64,
    abandoned: u64,
    /// The widths of all answers, in millionths.
    widths: u64,
}

struct Model {
    queue: JobQueue<Caller>,
    sampler: Sampler,
    now: Instant,
    /// The task of each busy worker, and when it ends.
    workers: Vec<Option<(Instant, Task<Caller>)>>,
    /// The jobs that are anywhere, without those whose callers have left.
    progress: HashMap<u64, Progress>,
    callers: Vec<(u64, Caller)>,
    outcomes: Outcomes,
    events: u64,
}

fn play(seed: u64, events: u64) -> Outcomes {
    let now = Instant::now();
    let mut model = Model {
        queue: queue(SETTINGS, &[40, 100], now),
        sampler: Sampler(seed),
        now,
        workers: (0..SETTINGS.workers).map(|_| None).collect(),
        progress: HashMap::new(),
        callers: Vec::new(),
        outcomes: Outcomes::default(),
        events: 0,
    };
    let mut arrival = now;
    while model.events < events {
        model.finish_until(arrival);
        model.now = arrival;
        model.arrive();
        model.give_work();
        // Waves of load, from idle to four times the capacity.
        let wave = [400, 60, 25, 100][(model.events / 5000 % 4) as usize];
        arrival += us(1 + model.sampler.below(2 * wave));
    }
    model.finish_until(arrival + Duration::from_secs(3600));
    assert_eq!((model.queue.len(), model.progress.len()), (0, 0), "every job has left");
    model.outcomes
}

impl Model {
    fn arrive(&mut self) {
        self.events += 1;
        self.callers.retain(|(id, _)| self.progress.contains_key(id));
        if !self.callers.is_empty() && self.sampler.one_in(10) {
            self.leave();
        }
        let count = if self.sampler.one_in(8) { 3 } else { 1 };
        let jobs: Vec<SubmittedJob<Caller>> = (0..count).map(|_| self.job()).collect();
        let stage = |job: &SubmittedJob<_>| job.encoded_bytes.map_or(Progress::Decoded, |_| Progress::Encoded);
        let callers: Vec<_> = jobs.iter().map(|job| (job.payload.clone(), stage(job))).collect();
        match self.queue.submit(jobs, self.now) {
            Err(_) => self.outcomes.refused += count,
            Ok(first) => {
                self.outcomes.accepted += count;
                for (id, (caller, stage)) in (first..).zip(callers) {
                    self.progress.insert(id, stage);
                    self.callers.push((id, caller));
                }
            }
        }
    }

    fn leave(&mut self) {
        let index = self.sampler.below(self.callers.len() as u64) as usize;
        let (id, caller) = self.callers.swap_remove(index);
        if self.progress.get(&id).is_some_and(|&progress| progress != Progress::Running) {
            caller.left.set(true);
            self.progress.remove(&id);
            self.outcomes.abandoned += 1;
        }
    }

    fn job(&mut self) -> SubmittedJob<Caller> {
        let sampler = &mut self.sampler;
        let any_width = |sampler: &mut Sampler| Width::from_millionths(1 + sampler.below(1_000_000) as u32).ok();
        let options = RequestOptions {
            width: if sampler.one_in(6) { any_width(sampler) } else { None },
            min_accuracy: sampler.one_in(6).then(|| 0.5 + sampler.below(40) as f64 / 100.0),
            priority: [Priority::Low, Priority::Normal, Priority::High][sampler.below(3) as usize],
        };
        SubmittedJob {
            model: sampler.below(2) as usize,
            options,
            arrived: self.now,
            budget: (!sampler.one_in(4)).then(|| us(200 + sampler.below(20_000))),
            encoded_bytes: (!sampler.one_in(8)).then(|| 1 << sampler.below(12)),
            payload: Caller::default(),
        }
    }

    /// Ends every task that ends by then.
    fn finish_until(&mut self, then: Instant) {
        loop {
            let ends =
                self.workers.iter().enumerate().filter_map(|(index, task)| Some((task.as_ref()?.0, index))).min();
            let Some((ends, worker)) = ends.filter(|&(ends, _)| ends <= then) else { return };
            (self.now, self.events) = (ends, self.events + 1);
            match self.workers[worker].take() {
                Some((_, Task::Decode(tasks))) => tasks.iter().for_each(|task| self.decoded(task)),
                Some((_, Task::Run(batch))) => self.ran(batch),
                None => {}
            }
            self.give_work();
        }
    }

    fn decoded(&mut self, task: &DecodeTask<()>) {
        let waits = self.progress.get(&task.id) == Some(&Progress::Decoding);
        let time = us(30 + self.sampler.below(40));
        if self.sampler.one_in(20) {
            let job = self.queue.undecodable(task, Some(time));
            if waits {
                assert_eq!(job.map(|job| job.id), Some(task.id));
                self.progress.remove(&task.id);
                self.outcomes.broken += 1;
            }
        } else {
            self.queue.decoded(task, time);
            if waits {
                self.progress.insert(task.id, Progress::Decoded);
            }
        }
    }

    fn ran(&mut self, batch: Batch<Caller>) {
        let late = batch.jobs.iter().filter(|running| running.job.constraints.deadline < self.now).count();
        let widths = batch.jobs.iter().map(|running| running.width).collect();
        let report = BatchReport { widths, on_time: batch.jobs.len() - late, late };
        self.queue.finished(batch.model, &report, us(50));
        for running in batch.jobs {
            assert_eq!(self.progress.remove(&running.job.id), Some(Progress::Running));
            self.outcomes.answered += 1;
            self.outcomes.widths += (running.width.as_f64() * 1e6) as u64;
        }
    }

    fn give_work(&mut self) {
        for worker in 0..self.workers.len() {
            if self.workers[worker].is_none() {
                self.work(worker);
            }
        }
    }

    fn work(&mut self, worker: usize) {
        let Decision { task, shed, .. } = self.queue.next(worker, self.now);
        for (job, reason) in &shed {
            let firm = job.constraints.deadline_kind == DeadlineKind::Firm;
            assert!(firm || *reason != ShedReason::Late, "a target is never shed for being late");
            assert_ne!(self.progress.remove(&job.id).expect("it was queued"), Progress::Running);
            self.outcomes.shed += 1;
        }
        match &task {
            Some(Task::Decode(tasks)) => tasks.iter().for_each(|task| {
                assert_eq!(self.progress.insert(task.id, Progress::Decoding), Some(Progress::Encoded));
            }),
            Some(Task::Run(batch)) => self.check(batch),
            None => assert!(!self.queue.jobs.iter().any(|job| job.stage == Stage::Decoded)),
        }
        assert!(self.queue.jobs.iter().is_sorted_by_key(|job| job.deadline));
        let waiting = self.progress.values().filter(|&&progress| progress != Progress::Running).count();
        assert_eq!(self.queue.len(), waiting, "the queue holds the jobs that are nowhere else");
        // A task takes from half to one and a half times the predicted time, and rarely far longer.
        let percent = if self.sampler.one_in(50) { 3000 } else { 50 + self.sampler.below(100) as u32 };
        let predicted = self.queue.workers[worker].map_or(Duration::ZERO, |busy| busy.until - self.now);
        self.workers[worker] = task.map(|task| (self.now + predicted * percent / 100, task));
    }

    fn check(&mut self, batch: &Batch<Caller>) {
        assert!((1..=SETTINGS.max_batch).contains(&batch.jobs.len()));
        assert!(batch.jobs.is_sorted_by_key(|running| running.job.constraints.deadline));
        let first = &batch.jobs[0].job.constraints;
        let on_time = self.now + batch.trace.predicted <= first.deadline;
        assert!(on_time || first.deadline_kind == DeadlineKind::Target, "the first is answered in time");
        for running in &batch.jobs {
            assert_eq!(running.job.constraints.model, batch.model);
            assert!(running.width >= running.from);
            assert_eq!(self.progress.insert(running.job.id, Progress::Running), Some(Progress::Decoded));
        }
        let overtaken = |job: &JobConstraints| job.stage == Stage::Decoded && job.deadline < first.deadline;
        assert!(!self.queue.jobs.iter().any(overtaken), "the earliest deadline runs first");
    }
}

#[test]
fn of_a_million_events_every_job_has_one_outcome() {
    let outcomes = play(1, 1_000_000);
    let Outcomes { accepted, refused, answered, broken, shed, abandoned, widths } = outcomes;
    assert_eq!(accepted, answered + broken + shed + abandoned);
    // Light load and overload, every way to leave, narrow and wide.
    assert!([refused, answered, broken, shed, abandoned].iter().all(|&count| count > 100), "{outcomes:?}");
    let mean = widths as f64 / answered as f64 / 1e6;
    assert!((0.3..0.95).contains(&mean), "{mean}");
}

#[test]
fn a_model_stays_while_it_has_jobs_and_its_index_serves_another() {
    let now = Instant::now();
    let mut queue = queue(SETTINGS, &[40, 100], now);
    let profile = queue.profiles()[0].clone();
    assert_eq!(queue.add_model(profile.clone()), 2);
    queue.submit(vec![SubmittedJob { model: 2, ..job(now, None) }], now).unwrap();
    assert!(!queue.remove_model(2), "it has a job");
    (0..SETTINGS.workers).for_each(|worker| drop(queue.next(worker, now)));
    let task = DecodeTask { id: 0, model: 2, deadline: queue.jobs[0].deadline, bytes: 4, encoded: () };
    assert!(queue.undecodable(&task, None).is_some());
    assert!(queue.remove_model(2) && queue.remove_model(2));
    assert_eq!(queue.add_model(profile.clone()), 2);
    assert_eq!(queue.add_model(profile), 3);
}

#[test]
fn the_same_events_have_the_same_outcomes() {
    assert_eq!(play(2, 20_000), play(2, 20_000));
}

/// A job that sets nothing but its budget.
fn job(arrived: Instant, budget: Option<Duration>) -> SubmittedJob<Caller> {
    let (options, payload) = (RequestOptions::default(), Caller::default());
    SubmittedJob { model: 0, options, arrived, budget, encoded_bytes: Some(4), payload }
}

/// So many of them.
fn jobs(count: usize, arrived: Instant, budget: Option<Duration>) -> Vec<SubmittedJob<Caller>> {
    (0..count).map(|_| job(arrived, budget)).collect()
}

/// A queue whose workers have warmed up, and when that is.
fn warm(settings: QueueSettings) -> (JobQueue<Caller>, Instant) {
    let now = Instant::now();
    (queue(settings, &[100], now), now + Duration::from_secs(1))
}

/// The tasks of a worker that is to decode.
fn decode(queue: &mut JobQueue<Caller>, now: Instant) -> Vec<DecodeTask<()>> {
    let Some(Task::Decode(tasks)) = queue.next(0, now).task else { panic!("it is decoded first") };
    tasks
}

/// The batch of a worker that is to run one.
fn run(queue: &mut JobQueue<Caller>, now: Instant) -> Batch<Caller> {
    let Some(Task::Run(batch)) = queue.next(0, now).task else { panic!("it runs") };
    batch
}

#[test]
fn a_job_that_arrives_during_warm_up_is_admitted_by_what_workers_can_do_after_it() {
    let now = Instant::now();
    let warm_up = profile(100).latency(Width::FULL, SETTINGS.max_batch);
    let mut queue = queue(SETTINGS, &[100], now);
    assert!(matches!(queue.submit(vec![job(now, Some(warm_up))], now), Err(Refusal::Overloaded(_))));
    assert!(queue.submit(vec![job(now, Some(warm_up * 3))], now).is_ok());
    assert!(queue.submit(vec![job(now + warm_up, Some(warm_up))], now + warm_up).is_ok());
}

#[test]
fn a_request_is_accepted_as_a_whole_or_not_at_all() {
    let (mut queue, now) = warm(SETTINGS);
    let mixed = vec![job(now, None), job(now, Some(us(1)))];
    assert!(matches!(queue.submit(mixed, now), Err(Refusal::Unsatisfiable(_))));
    // Sixty take longer than their budget on an idle server; a few too many for now may be submitted again.
    let together = queue.submit(jobs(60, now, Some(us(1000))), now);
    assert!(
        matches!(together, Err(Refusal::Unsatisfiable(Unsatisfiable::Together { images: 60, .. }))),
        "{together:?}"
    );
    assert_eq!(queue.len(), 0);
    let accepted = jobs(60, now, None);
    let callers: Vec<Caller> = accepted.iter().map(|job| job.payload.clone()).collect();
    queue.submit(accepted, now).unwrap();
    let refused = queue.submit(jobs(5, now, None), now).unwrap_err();
    assert!(matches!(refused, Refusal::QueueFull { waiting: 60, limit: 64, wanted: 5, wait } if wait > us(1000)));
    // Callers who leave make room.
    callers.iter().for_each(|caller| caller.left.set(true));
    queue.submit(jobs(5, now, None), now).unwrap();
    assert_eq!(queue.len(), 5);
}

#[test]
fn a_refused_request_narrows_no_other() {
    let (mut queue, now) = warm(SETTINGS);
    assert!(queue.submit(jobs(60, now, Some(us(1000))), now).is_err());
    queue.submit(vec![job(now, Some(us(20_000)))], now).unwrap();
    let tasks = decode(&mut queue, now);
    queue.decoded(&tasks[0], us(50));
    assert_eq!(run(&mut queue, now + us(50)).jobs[0].width, Width::FULL);
}

#[test]
fn a_job_that_makes_room_for_a_higher_priority_is_no_miss() {
    let (mut queue, now) = warm(SETTINGS);
    let fill = |queue: &mut JobQueue<Caller>, priority| {
        let options = RequestOptions { priority, ..RequestOptions::default() };
        while queue.submit(vec![SubmittedJob { options, ..job(now, Some(us(1000))) }], now).is_ok() {}
    };
    fill(&mut queue, Priority::Low);
    fill(&mut queue, Priority::High);
    let (before, decision) = (queue.statistics().reserve, queue.next(0, now));
    assert!(decision.shed.iter().any(|(job, _)| job.constraints.priority == Priority::Low));
    assert_eq!(queue.statistics().reserve, before);
    // One that waits until it is too late is.
    assert!(!queue.next(1, now + us(1001)).shed.is_empty());
    assert!(queue.statistics().reserve > before);
}

#[test]
fn a_fiftieth_of_a_budget_is_left_for_reading_and_answering() {
    let (mut queue, now) = warm(SETTINGS);
    let least = profile(100).latency(profile(100).narrowest(), 1);
    // No load makes it possible to read, decode and answer in so little time.
    let impossible = queue.submit(vec![job(now, Some(us(100)))], now);
    assert!(matches!(impossible, Err(Refusal::Unsatisfiable(Unsatisfiable::Budget { .. }))));
    queue.submit(vec![job(now, Some(us(50_000)))], now).unwrap();
    assert_eq!(queue.jobs[0].deadline, now + us(49_000));
    let refused = queue.submit(vec![job(now, Some(least))], now).unwrap_err();
    let Refusal::Unsatisfiable(Unsatisfiable::Budget { budget, least: told, .. }) = refused else {
        panic!("{refused}")
    };
    assert!(budget == least && told > least);
    assert!(queue.submit(vec![job(now, Some(told + us(1)))], now).is_ok());
}

#[test]
fn an_idle_server_resets_its_reserve() {
    let (mut queue, now) = warm(SETTINGS);
    let least = queue.statistics().reserve;
    queue.finished(0, &BatchReport { late: 20, ..BatchReport::default() }, us(1));
    for worker in 0..SETTINGS.workers {
        assert!(queue.statistics().reserve > least);
        queue.next(worker, now);
    }
    assert_eq!(queue.statistics().reserve, least);
}

/// An idle queue whose batches took as long as it believes at most; the time; and what the narrowest width takes at its best.
fn stalled() -> (JobQueue<Caller>, Instant, Duration) {
    let least = profile(100).latency(profile(100).narrowest(), 1);
    let (mut queue, now) = warm(SETTINGS);
    for worker in 0..SETTINGS.workers {
        queue.next(worker, now);
    }
    for _ in 0..50 {
        queue.finished(0, &BatchReport { widths: vec![Width::FULL], ..BatchReport::default() }, least * 100);
    }
    (queue, now, least)
}

/// Without a batch, nothing shows that the machine is fast again.
#[test]
fn a_stall_that_is_over_refuses_nobody_for_long() {
    let (mut queue, now, least) = stalled();
    let mut submit = || queue.submit(vec![job(now, Some(least * 3))], now);
    assert!(matches!(submit(), Err(Refusal::Late { .. })));
    let tries = (1..100).find(|_| submit().is_ok());
    assert!(tries.is_some_and(|tries| tries > 5), "{tries:?}");
}

#[test]
fn a_slow_caller_says_nothing_about_the_machine() {
    let (mut queue, now, least) = stalled();
    let before = queue.model_statistics(0).correction;
    let late = job(now - least * 3, Some(least * 3));
    assert!(matches!(queue.submit(vec![late], now), Err(Refusal::Late { .. })));
    assert_eq!(queue.model_statistics(0).correction, before);
}

#[test]
fn the_default_budget_leaves_time_for_full_width() {
    let (mut queue, now) = warm(QueueSettings { default_budget: us(1), ..SETTINGS });
    // Its body took a second to arrive.
    let arrived = now - Duration::from_secs(1);
    queue.submit(vec![job(arrived, None)], now).unwrap();
    let tasks = decode(&mut queue, now);
    assert!(queue.is_wanted(&tasks[0]));
    assert!(queue.decoded(&tasks[0], us(50)).is_some());
    assert_eq!(run(&mut queue, now + us(50)).jobs[0].width, Width::FULL);
    // Many images of a request have the time of as many.
    let together = jobs(40, arrived, None);
    let callers: Vec<Caller> = together.iter().map(|job| job.payload.clone()).collect();
    queue.submit(together, now).unwrap();
    let tasks = decode(&mut queue, now);
    callers.iter().for_each(|caller| caller.left.set(true));
    assert!(tasks.iter().all(|task| !queue.is_wanted(task)), "their caller has left");
    // With a budget of its own, the time that the body took counts.
    let late = job(arrived, Some(Duration::from_millis(500)));
    assert!(matches!(queue.submit(vec![late], now), Err(Refusal::Late { .. })));
}

#[test]
fn what_soon_turns_out_to_be_no_image_says_nothing_about_decoding() {
    let (mut queue, now) = warm(SETTINGS);
    queue.submit(vec![job(now, None), job(now, None)], now).unwrap();
    let tasks = decode(&mut queue, now);
    let estimate = queue.decode_times.estimate(4);
    assert!(queue.undecodable(&tasks[0], Some(us(1))).is_some());
    assert_eq!(queue.decode_times.estimate(4), estimate);
    assert!(queue.undecodable(&tasks[1], Some(estimate * 3)).is_some());
    assert!(queue.decode_times.estimate(4) > estimate && queue.is_empty());
}
