//! A million events on virtual time, beside a model that only knows where each job is.

use std::collections::HashMap;

use bytes::Bytes;

use super::*;
use crate::policy::{Measurement, Priority, Unsatisfiable, Wish};
use crate::test_onnx::OnnxFile;

const SETTINGS: Settings =
    Settings { workers: 3, decoders: 1, max_batch: 4, queue_limit: 64, default_budget: Duration::from_millis(20) };

fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

/// A model whose steps of a quarter take `item` microseconds each for an image.
fn model(version: u64, item: u64) -> (Arc<ServedModel>, Profile) {
    let bytes = OnnxFile::lenet([1, 28, 28], 8, 10).bytes();
    let served = Arc::new(ServedModel::from_onnx("tiny", version, &bytes).unwrap());
    let step = |step: u32| Measurement {
        width: Width::from_millionths(step * 250_000).unwrap(),
        latencies: [1, 4].map(|batch| (batch as usize, us(20 + u64::from(step) * item * batch))).to_vec(),
        accuracy: Some(0.5 + f64::from(step) / 10.0),
    };
    (served, Profile::new(&(1..=4).map(step).collect::<Vec<_>>()).unwrap())
}

/// Numbers that are the same for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
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
enum Place {
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
    given_up: u64,
    left: u64,
    /// Of all answers, the widths in millionths.
    widths: u64,
}

struct World {
    planner: Planner,
    models: Vec<Arc<ServedModel>>,
    dice: Dice,
    now: Instant,
    /// What each worker is at, and when that ends.
    workers: Vec<Option<(Instant, Task)>>,
    /// Jobs that are somewhere; those whose callers have left are not.
    places: HashMap<u64, Place>,
    tickets: Vec<(u64, Ticket)>,
    outcomes: Outcomes,
    events: u64,
}

fn play(seed: u64, events: u64) -> Outcomes {
    let models = vec![model(1, 40), model(2, 100)];
    let (all, now) = (models.iter().map(|(served, _)| served.clone()).collect(), Instant::now());
    let mut world = World {
        planner: Planner::new(SETTINGS, models, now),
        models: all,
        dice: Dice(seed),
        now,
        workers: (0..SETTINGS.workers).map(|_| None).collect(),
        places: HashMap::new(),
        tickets: Vec::new(),
        outcomes: Outcomes::default(),
        events: 0,
    };
    let mut arrival = now;
    while world.events < events {
        world.finish_until(arrival);
        world.now = arrival;
        world.arrive();
        world.give_work();
        // Waves of load, from idle to four times what can be done.
        let wave = [400, 60, 25, 100][(world.events / 5000 % 4) as usize];
        arrival += us(1 + world.dice.below(2 * wave));
    }
    world.finish_until(arrival + Duration::from_secs(3600));
    assert_eq!((world.planner.len(), world.places.len()), (0, 0), "everybody has left");
    world.outcomes
}

impl World {
    fn arrive(&mut self) {
        self.events += 1;
        // Who has been answered is forgotten.
        self.tickets.retain(|(id, _)| self.places.contains_key(id));
        if !self.tickets.is_empty() && self.dice.one_in(10) {
            let index = self.dice.below(self.tickets.len() as u64) as usize;
            let (id, _) = self.tickets.swap_remove(index);
            if self.places.get(&id).is_some_and(|&place| place != Place::Running) {
                self.places.remove(&id);
                self.outcomes.left += 1;
            }
        }
        let count = if self.dice.one_in(8) { 3 } else { 1 };
        let jobs: Vec<Job> = (0..count).map(|_| self.job()).collect();
        let first = self.planner.next_id;
        match self.planner.submit(jobs, self.now) {
            Err(_) => self.outcomes.refused += count,
            Ok(tickets) => {
                self.outcomes.accepted += count;
                for (id, ticket) in (first..).zip(tickets) {
                    self.places.insert(id, Place::Encoded);
                    self.tickets.push((id, ticket));
                }
            }
        }
    }

    fn job(&mut self) -> Job {
        let dice = &mut self.dice;
        let quarter = |dice: &mut Dice| Width::from_millionths(1 + dice.below(1_000_000) as u32).ok();
        let wish = Wish {
            width: if dice.one_in(6) { quarter(dice) } else { None },
            min_accuracy: dice.one_in(6).then(|| 0.5 + dice.below(40) as f64 / 100.0),
            priority: [Priority::Low, Priority::Normal, Priority::High][dice.below(3) as usize],
        };
        Job {
            model: self.models[dice.below(2) as usize].clone(),
            image: Bytes::from(vec![0; 1 << dice.below(12)]),
            wish,
            confidence: None,
            arrived: self.now,
            budget: (!dice.one_in(4)).then(|| us(200 + dice.below(20_000))),
            top_k: 1,
            all_widths: false,
        }
    }

    /// Lets every worker end that ends by then.
    fn finish_until(&mut self, then: Instant) {
        loop {
            let ends =
                self.workers.iter().enumerate().filter_map(|(index, work)| Some((work.as_ref()?.0, index))).min();
            let Some((ends, worker)) = ends.filter(|&(ends, _)| ends <= then) else { return };
            (self.now, self.events) = (ends, self.events + 1);
            match self.workers[worker].take() {
                Some((_, Task::Decode(pictures))) => pictures.iter().for_each(|picture| self.decoded(picture)),
                Some((_, Task::Run(batch))) => self.ran(batch),
                None => {}
            }
            self.give_work();
        }
    }

    fn decoded(&mut self, picture: &Encoded) {
        let broken = self.dice.one_in(20);
        let pixels = if broken { Err(JobError::WorkerFailed) } else { Ok(vec![0; 4]) };
        let gone = self.planner.decoded(picture, pixels, us(30 + self.dice.below(40)));
        let there = self.places.get(&picture.id) == Some(&Place::Decoding);
        if broken && there {
            assert_eq!(gone.map(|(queued, _)| queued.id), Some(picture.id));
            self.places.remove(&picture.id);
            self.outcomes.broken += 1;
        } else if there {
            self.places.insert(picture.id, Place::Decoded);
        }
    }

    fn ran(&mut self, batch: Batch) {
        let widths: Vec<Width> = batch.jobs.iter().map(|job| job.width).collect();
        self.planner.ran(&batch.model, &widths, us(50));
        let late = batch.jobs.iter().filter(|job| job.queued.demand.deadline < self.now).count();
        self.planner.answered(batch.jobs.len() - late, late);
        for job in batch.jobs {
            assert_eq!(self.places.remove(&job.queued.id), Some(Place::Running));
            self.outcomes.answered += 1;
            self.outcomes.widths += (job.width.as_f64() * 1e6) as u64;
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
        let Next { task, given_up, decision, .. } = self.planner.next(worker, self.now);
        for (queued, error) in &given_up {
            let firm = queued.demand.deadline_kind == DeadlineKind::Firm;
            assert!(firm || matches!(error, JobError::Shed(_)), "a target never ends in a missed deadline");
            let place = self.places.remove(&queued.id).expect("it was there");
            assert_ne!(place, Place::Running);
            self.outcomes.given_up += 1;
        }
        match &task {
            Some(Task::Decode(pictures)) => pictures.iter().for_each(|picture| {
                assert_eq!(self.places.insert(picture.id, Place::Decoding), Some(Place::Encoded));
            }),
            Some(Task::Run(batch)) => self.check(batch, &decision.expect("one that decided this")),
            None => assert!(!self.planner.queue.iter().any(|queued| queued.demand.stage == Stage::Decoded)),
        }
        assert!(self.planner.queue.iter().is_sorted_by_key(|queued| queued.demand.deadline));
        let waiting = self.places.values().filter(|&&place| place != Place::Running).count();
        assert_eq!(self.planner.len(), waiting, "the queue holds who is nowhere else");
        // It takes from half to one and a half times what was planned, and now and then far longer.
        let percent = if self.dice.one_in(50) { 3000 } else { 50 + self.dice.below(100) as u32 };
        let takes = |planned: Duration| planned * percent / 100;
        let planned = self.planner.workers[worker].map_or(Duration::ZERO, |busy| busy.until - self.now);
        self.workers[worker] = task.map(|task| (self.now + takes(planned), task));
    }

    fn check(&mut self, batch: &Batch, decision: &Decision) {
        assert!((1..=SETTINGS.max_batch).contains(&batch.jobs.len()));
        assert!(batch.jobs.is_sorted_by_key(|job| job.queued.demand.deadline));
        let first = &batch.jobs[0].queued.demand;
        let in_time = self.now + decision.takes <= first.deadline;
        assert!(in_time || first.deadline_kind == DeadlineKind::Target, "the first is answered in time");
        for job in &batch.jobs {
            assert!(Arc::ptr_eq(&job.queued.job.model, &batch.model));
            assert!(job.width >= job.from && job.queued.job.wish.width.is_none_or(|width| job.width == width));
            assert_eq!(self.places.insert(job.queued.id, Place::Running), Some(Place::Decoded));
        }
        let first = batch.jobs[0].queued.demand.deadline;
        let left_behind = |queued: &QueuedJob| queued.demand.stage == Stage::Decoded && queued.demand.deadline < first;
        assert!(!self.planner.queue.iter().any(left_behind), "the most urgent runs first");
    }
}

#[test]
fn of_a_million_events_every_job_has_one_outcome() {
    let outcomes = play(1, 1_000_000);
    let Outcomes { accepted, refused, answered, broken, given_up, left, widths } = outcomes;
    assert_eq!(accepted, answered + broken + given_up + left);
    // All of it happened: calm and overload, every way to leave, narrow and wide.
    assert!([refused, answered, broken, given_up, left].iter().all(|&count| count > 100), "{outcomes:?}");
    let mean = widths as f64 / answered as f64 / 1e6;
    assert!((0.3..0.95).contains(&mean), "{mean}");
}

#[test]
fn the_same_events_have_the_same_outcomes() {
    assert_eq!(play(2, 20_000), play(2, 20_000));
}

/// A job that says nothing but its budget.
fn job(model: &Arc<ServedModel>, arrived: Instant, budget: Option<Duration>) -> Job {
    Job {
        model: model.clone(),
        image: Bytes::from_static(b"some"),
        wish: Wish::default(),
        confidence: None,
        arrived,
        budget,
        top_k: 1,
        all_widths: false,
    }
}

/// A planner whose workers have warmed up, and when that is.
fn warm(settings: Settings, served: &Arc<ServedModel>, profile: Profile) -> (Planner, Instant) {
    let now = Instant::now();
    (Planner::new(settings, vec![(served.clone(), profile)], now), now + Duration::from_secs(1))
}

#[test]
fn who_comes_while_the_workers_warm_up_is_promised_what_they_can_do_after_it() {
    let (served, profile) = model(1, 100);
    let now = Instant::now();
    let warm_up = profile.latency(Width::FULL, SETTINGS.max_batch);
    let mut planner = Planner::new(SETTINGS, vec![(served.clone(), profile)], now);
    let job = job(&served, now, Some(warm_up));
    assert!(matches!(planner.submit(vec![job.clone()], now), Err(Refused::Overloaded(_))));
    let patient = Job { budget: Some(warm_up * 3), ..job.clone() };
    assert!(planner.submit(vec![patient], now).is_ok());
    let later = Job { arrived: now + warm_up, ..job };
    assert!(planner.submit(vec![later], now + warm_up).is_ok());
}

#[test]
fn a_call_is_accepted_as_a_whole_or_not_at_all() {
    let (served, profile) = model(1, 100);
    let (mut planner, now) = warm(SETTINGS, &served, profile);
    let job = |budget_us: Option<u64>| job(&served, now, budget_us.map(us));
    assert!(matches!(planner.submit(vec![job(None), job(Some(1))], now), Err(Refused::Unsatisfiable(_))));
    // Sixty take so long even where nothing else is done; a few too many for now may be asked again.
    let together = planner.submit(vec![job(Some(1000)); 60], now);
    assert!(
        matches!(together, Err(Refused::Unsatisfiable(Unsatisfiable::Together { images: 60, .. }))),
        "{together:?}"
    );
    assert_eq!(planner.len(), 0);
    let tickets = planner.submit(vec![job(None); 60], now).unwrap();
    let refused = planner.submit(vec![job(None); 5], now).unwrap_err();
    assert!(matches!(refused, Refused::QueueFull { waiting: 60, limit: 64, wanted: 5, wait } if wait > us(1000)));
    // Callers who leave make room.
    drop(tickets);
    assert_eq!(planner.submit(vec![job(None); 5], now).unwrap().len(), 5);
    assert_eq!(planner.len(), 5);
}

#[test]
fn who_is_refused_narrows_nobody() {
    let (served, profile) = model(1, 100);
    let (mut planner, now) = warm(SETTINGS, &served, profile);
    let job = |budget| job(&served, now, Some(budget));
    assert!(planner.submit(vec![job(us(1000)); 60], now).is_err());
    let _ticket = planner.submit(vec![job(us(20_000))], now).unwrap();
    let Some(Task::Decode(pictures)) = planner.next(0, now).task else { panic!("it is decoded first") };
    planner.decoded(&pictures[0], Ok(vec![0]), us(50));
    let Some(Task::Run(batch)) = planner.next(0, now + us(50)).task else { panic!("it runs then") };
    assert_eq!(batch.jobs[0].width, Width::FULL);
}

#[test]
fn who_makes_room_for_a_higher_priority_was_promised_no_more() {
    let (served, profile) = model(1, 100);
    let (mut planner, now) = warm(SETTINGS, &served, profile);
    let job = |priority| {
        let wish = Wish { priority, ..Wish::default() };
        Job { wish, ..job(&served, now, Some(us(1000))) }
    };
    let mut tickets = Vec::new();
    let mut fill = |planner: &mut Planner, priority| {
        while let Ok(more) = planner.submit(vec![job(priority)], now) {
            tickets.extend(more);
        }
    };
    fill(&mut planner, Priority::Low);
    fill(&mut planner, Priority::High);
    let (before, next) = (planner.reserve(), planner.next(0, now));
    assert!(next.given_up.iter().any(|(queued, _)| queued.demand.priority == Priority::Low));
    assert_eq!(planner.reserve(), before);
    // Who is forgotten by all until it is too late was promised more.
    assert!(!planner.next(1, now + us(1001)).given_up.is_empty());
    assert!(planner.reserve() > before);
}

#[test]
fn a_fiftieth_of_a_budget_is_for_the_way() {
    let (served, profile) = model(1, 100);
    let least = profile.latency(profile.narrowest(), 1);
    let (mut planner, now) = warm(SETTINGS, &served, profile);
    // No load makes it possible to read, decode and answer in so little time.
    let impossible = planner.submit(vec![job(&served, now, Some(us(100)))], now);
    assert!(matches!(impossible, Err(Refused::Unsatisfiable(Unsatisfiable::Budget { .. }))));
    let _ticket = planner.submit(vec![job(&served, now, Some(us(50_000)))], now).unwrap();
    assert_eq!(planner.queue[0].demand.deadline, now + us(49_000));
    let refused = planner.submit(vec![job(&served, now, Some(least))], now).unwrap_err();
    let Refused::Unsatisfiable(Unsatisfiable::Budget { budget, least: told, .. }) = refused else {
        panic!("{refused}")
    };
    assert!(budget == least && told > least);
    assert!(planner.submit(vec![job(&served, now, Some(told + us(1)))], now).is_ok());
}

#[test]
fn an_idle_server_forgets_that_it_was_late() {
    let (served, profile) = model(1, 100);
    let (mut planner, now) = warm(SETTINGS, &served, profile);
    let least = planner.reserve();
    planner.answered(0, 20);
    for worker in 0..SETTINGS.workers {
        assert!(planner.reserve() > least);
        planner.next(worker, now);
    }
    assert_eq!(planner.reserve(), least);
}

/// An idle server whose batches took as long as it believes at most; the time; and what the narrowest width took at start-up.
fn held_up() -> (Planner, Arc<ServedModel>, Instant, Duration) {
    let (served, profile) = model(1, 100);
    let least = profile.latency(profile.narrowest(), 1);
    let (mut planner, now) = warm(SETTINGS, &served, profile);
    for worker in 0..SETTINGS.workers {
        planner.next(worker, now);
    }
    for _ in 0..50 {
        planner.ran(&served, &[Width::FULL], least * 100);
    }
    (planner, served, now, least)
}

/// Without a batch, nothing tells that the machine is as fast again as it was.
#[test]
fn a_hold_up_that_is_over_refuses_nobody_for_long() {
    let (mut planner, served, now, least) = held_up();
    let mut ask = || planner.submit(vec![job(&served, now, Some(least * 3))], now);
    assert!(matches!(ask(), Err(Refused::Late { .. })));
    let tries = (1..100).find(|_| ask().is_ok());
    assert!(tries.is_some_and(|tries| tries > 5), "{tries:?}");
}

#[test]
fn a_slow_caller_says_nothing_of_the_machine() {
    let (mut planner, served, now, least) = held_up();
    let correction = |planner: &Planner| planner.profiles().next().unwrap().1.correction();
    let before = correction(&planner);
    let late = job(&served, now - least * 3, Some(least * 3));
    assert!(matches!(planner.submit(vec![late], now), Err(Refused::Late { .. })));
    assert_eq!(correction(&planner), before);
}

#[test]
fn a_budget_that_nobody_asked_for_leaves_time_for_full_width() {
    let (served, profile) = model(1, 100);
    let settings = Settings { default_budget: us(1), ..SETTINGS };
    let (mut planner, now) = warm(settings, &served, profile);
    // The body took its time.
    let job = job(&served, now - Duration::from_secs(1), None);
    let _ticket = planner.submit(vec![job.clone()], now).unwrap();
    let Some(Task::Decode(pictures)) = planner.next(0, now).task else { panic!("it is decoded first") };
    assert!(planner.is_wanted(&pictures[0]));
    assert!(planner.decoded(&pictures[0], Ok(vec![0]), us(50)).is_none());
    let Some(Task::Run(batch)) = planner.next(0, now + us(50)).task else { panic!("it runs then") };
    assert_eq!(batch.jobs[0].width, Width::FULL);
    // Many at once have the time of as many.
    let tickets = planner.submit(vec![job.clone(); 40], now).unwrap();
    let Some(Task::Decode(pictures)) = planner.next(0, now).task else { panic!("they are decoded") };
    drop(tickets);
    assert!(pictures.iter().all(|picture| !planner.is_wanted(picture)), "their caller has left");
    // With a budget of its own, the time that the body took counts.
    let late = Job { budget: Some(Duration::from_millis(500)), ..job };
    assert!(matches!(planner.submit(vec![late], now), Err(Refused::Late { .. })));
}
