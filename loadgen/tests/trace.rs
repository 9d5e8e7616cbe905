//! The simulator decides as the server does: the same trace through both gives the same decisions, job by job.
//!
//! The server is a real scheduler with its threads, on a clock and with an executor that the test controls.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use anywidth::engine::{Scores, Width};
use anywidth::image::ImageError;
use anywidth::policy::{BatchReport, ExitRule, PolicyKind, Priority, Profile, QueueSettings, RequestOptions};
use anywidth::repository::ServedModel;
use anywidth::scheduler::{
    Answer, Clock, Environment, Executor, Input, Job, JobError, RunningJob, Scheduler, Timing, Turns,
};
use anywidth::telemetry::Metrics;
use anywidth_load::simulate::{Event, Measured, NoiseModel, Player, SETTINGS, Scenario, run};
use bytes::Bytes;
use prometheus::Registry;
use proptest::prelude::*;

type Trace = Vec<(Duration, Event)>;

/// A worker that has begun a task, and waits for the test to end it.
struct Begun {
    /// `None` while it warms up.
    event: Option<Event>,
    time: Duration,
    end: Sender<()>,
}

/// Reports each task and returns when the test says so.
struct Controlled {
    begun: Sender<Begun>,
    clock: Clock,
    measured: Arc<Measured>,
    profile: Profile,
    seed: u64,
}

impl Controlled {
    fn begin(&self, event: Option<Event>, time: Duration) {
        let (end, ended) = mpsc::channel();
        // Once the test is over, nothing is held back.
        if self.begun.send(Begun { event, time, end }).is_ok() {
            let _ = ended.recv();
        }
    }
}

impl Executor for Controlled {
    fn warm_up(&mut self, _: &[Arc<ServedModel>]) {
        self.begin(None, Duration::ZERO);
    }

    fn decode(&mut self, _: &ServedModel, image: &[u8]) -> Result<Vec<u8>, ImageError> {
        let number: usize = std::str::from_utf8(image).unwrap().trim().parse().unwrap();
        self.begin(Some(Event::Decode(number)), self.measured.decoding());
        Ok(number.to_le_bytes().to_vec())
    }

    fn run(&mut self, _: &Arc<ServedModel>, mut jobs: Vec<RunningJob>, rule: Option<&ExitRule>) -> BatchReport {
        for running in &mut jobs {
            let (image, widths) = ((self.seed, number(running)), (running.from, running.width));
            running.width = self.measured.answer(&self.profile, image, rule, widths).0;
        }
        let widths: Vec<Width> = jobs.iter().map(|running| running.width).collect();
        let named = jobs.iter().map(|running| (number(running), running.width)).collect();
        self.begin(Some(Event::Run(named)), Duration::from_secs_f64(self.measured.seconds(&widths)));
        let late = jobs.iter().filter(|running| self.clock.now() > running.job.constraints.deadline).count();
        let report = BatchReport { on_time: widths.len() - late, late, widths };
        for RunningJob { job, width, reason, .. } in jobs {
            let (scores, timing) = (Scores { logits: vec![], probabilities: vec![] }, Timing::default());
            job.payload.reply(Ok(Answer { width, reason, late: false, scores, all_widths: None, timing }));
        }
        report
    }
}

/// The number of a running request: decoding leaves it as its pixels.
fn number(running: &RunningJob) -> usize {
    let Input::Pixels(pixels) = &running.job.payload.input else { panic!("it is decoded") };
    usize::from_le_bytes(pixels[..].try_into().unwrap())
}

/// Answers that are still awaited, by the number of their request.
type Awaited = Vec<(usize, Pin<Box<dyn Future<Output = Result<Answer, JobError>>>>)>;

/// A scheduler under the test's control.
struct Server {
    scheduler: Scheduler,
    model: Arc<ServedModel>,
    now: Arc<Mutex<Instant>>,
    start: Instant,
    begun: Receiver<Begun>,
    workers: usize,
    /// When each running task ends, and the request of its first job.
    running: Vec<(Instant, usize, Sender<()>)>,
    awaited: Awaited,
    trace: Trace,
}

fn model() -> Arc<ServedModel> {
    static MODEL: OnceLock<Arc<ServedModel>> = OnceLock::new();
    let load = || {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/mnist/1/model.onnx");
        Arc::new(ServedModel::from_onnx("mnist", 1, &fs::read(path).unwrap()).unwrap())
    };
    MODEL.get_or_init(load).clone()
}

impl Server {
    fn start(scenario: &Scenario, measured: &Measured, profile: &Profile) -> Server {
        let warm_up = profile.latency(Width::FULL, scenario.settings.max_batch);
        let start = Instant::now() + warm_up;
        let now = Arc::new(Mutex::new(start - warm_up));
        let clock = Clock::from_fn({
            let now = now.clone();
            move || *now.lock().unwrap()
        });
        let (sender, begun) = mpsc::channel();
        let (executor_clock, measured) = (clock.clone(), Arc::new(measured.clone()));
        let (executor_profile, seed) = (profile.clone(), scenario.seed);
        let new_executor = Arc::new(move || {
            let (begun, clock, measured) = (sender.clone(), executor_clock.clone(), measured.clone());
            Box::new(Controlled { begun, clock, measured, profile: executor_profile.clone(), seed })
                as Box<dyn Executor>
        });
        let workers = scenario.settings.workers;
        let environment = Environment {
            metrics: Arc::new(Metrics::new(&Registry::new()).unwrap()),
            turns: Arc::new(Turns::new(workers, 0)),
            clock,
        };
        let models = vec![(model(), profile.clone())];
        let scheduler =
            Scheduler::start(scenario.settings, PolicyKind::WidestFit, models, new_executor, environment).unwrap();
        let (running, awaited, trace) = (Vec::new(), Vec::new(), Vec::new());
        let mut server = Server { scheduler, model: model(), now, start, begun, workers, running, awaited, trace };
        let warming_up: Vec<Begun> = (0..workers).map(|_| server.begun.recv().unwrap()).collect();
        server.set(start);
        warming_up.into_iter().for_each(|begun| begun.end.send(()).unwrap());
        server.settle();
        server
    }

    fn play(mut self, scenario: &Scenario) -> Trace {
        for (number, &arrival) in scenario.arrivals.iter().enumerate() {
            let at = self.start + arrival;
            self.finish_until(Some(at));
            self.set(at);
            self.arrive(number, scenario);
        }
        self.finish_until(None);
        self.trace
    }

    fn arrive(&mut self, number: usize, scenario: &Scenario) {
        // As long as the simulator's images, for their decoding times are learned by length.
        let image = Bytes::from(format!("{number:1024}"));
        let priority = scenario.priorities[number % scenario.priorities.len()];
        let job = Job {
            model: self.model.clone(),
            input: Input::Encoded(image),
            options: RequestOptions { priority, ..RequestOptions::default() },
            confidence: None,
            arrived: *self.now.lock().unwrap(),
            budget: Some(scenario.budgets[number % scenario.budgets.len()]),
            all_widths: false,
        };
        match self.scheduler.submit(vec![job]) {
            Ok(mut tickets) => self.awaited.push((number, Box::pin(tickets.remove(0).answer()))),
            Err(_) => self.record(Event::Refused(number)),
        }
        self.settle();
    }

    /// Ends every task that ends by `then`; all, without.
    fn finish_until(&mut self, then: Option<Instant>) {
        loop {
            let first = self.running.iter().enumerate().map(|(index, task)| (task.0, task.1, index)).min();
            let Some((ends, _, index)) = first.filter(|first| then.is_none_or(|then| first.0 <= then)) else { return };
            self.set(ends);
            self.running.swap_remove(index).2.send(()).unwrap();
            self.settle();
        }
    }

    /// Waits until every worker runs a task or waits for one.
    fn settle(&mut self) {
        while self.running.len() + self.scheduler.idle_workers() < self.workers {
            while let Ok(Begun { event, time, end }) = self.begun.try_recv() {
                let first = match &event {
                    Some(Event::Decode(number)) => *number,
                    Some(Event::Run(jobs)) => jobs[0].0,
                    _ => 0,
                };
                self.running.push((*self.now.lock().unwrap() + time, first, end));
                event.into_iter().for_each(|event| self.record(event));
            }
            std::thread::yield_now();
        }
        let mut context = Context::from_waker(Waker::noop());
        let mut shed = Vec::new();
        self.awaited.retain_mut(|(number, answer)| match answer.as_mut().poll(&mut context) {
            Poll::Pending => true,
            Poll::Ready(outcome) => {
                shed.extend(outcome.is_err().then_some(*number));
                false
            }
        });
        shed.into_iter().for_each(|number| self.record(Event::Shed(number)));
    }

    fn record(&mut self, event: Event) {
        let at = *self.now.lock().unwrap() - self.start;
        self.trace.push((at, event));
    }

    fn set(&self, at: Instant) {
        *self.now.lock().unwrap() = at;
    }
}

fn simulated(scenario: &Scenario, measured: &Measured, profile: &Profile) -> Trace {
    let player = Player { policy: PolicyKind::WidestFit.build(scenario.settings), corrects: true };
    let mut trace = Vec::new();
    run(scenario, measured, profile, player, &mut |at, event| trace.push((at, event.clone())));
    trace
}

/// Events of one instant have no order.
fn sorted(mut trace: Trace) -> Trace {
    trace.sort_by_key(|(at, event)| (*at, format!("{event:?}")));
    trace
}

/// Any load from light to far beyond the capacity, in bursts, with any budgets and priorities.
fn any_scenario() -> impl Strategy<Value = Scenario> {
    let gaps = prop::collection::vec((0u64..2500, 1u64..12), 50..400);
    let budgets = prop::collection::vec(600u64..40_000, 1..4);
    let priority = prop::sample::select(vec![Priority::Low, Priority::Normal, Priority::High]);
    let priorities = prop::collection::vec(priority, 1..4);
    (gaps, budgets, priorities, 1usize..4, 8usize..100).prop_map(|(gaps, budgets, priorities, workers, max_queue)| {
        let mut at = Duration::ZERO;
        let mut arrivals = Vec::new();
        for (gap, burst) in gaps {
            at += Duration::from_micros(gap);
            // No two events fall on the same nanosecond by chance.
            arrivals.extend((0..burst).map(|place| at + Duration::from_nanos(place * 7919)));
            at += Duration::from_nanos(burst * 7919);
        }
        Scenario {
            arrivals,
            budgets: budgets.into_iter().map(Duration::from_micros).collect(),
            priorities,
            settings: QueueSettings { workers, max_queue, ..SETTINGS },
            noise: NoiseModel::NONE,
            seed: 1,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn simulator_and_server_decide_alike(scenario in any_scenario()) {
        let measured = Measured::cifar10().unwrap();
        let profile = measured.profile().unwrap();
        let server = sorted(Server::start(&scenario, &measured, &profile).play(&scenario));
        let simulator = sorted(simulated(&scenario, &measured, &profile));
        for (server, simulator) in server.iter().zip(&simulator) {
            prop_assert_eq!(server, simulator);
        }
        prop_assert_eq!(server.len(), simulator.len());
    }
}
