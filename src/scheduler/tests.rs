//! Workers, queue and replies together, with workers that a test holds still or makes fail.

use std::time::{Duration, Instant};

use bytes::Bytes;
use image::{DynamicImage, ImageFormat};
use prometheus::Registry;
use tokio::runtime::Handle;

use super::*;
use crate::engine::{Model, Pass, Width, predict, top_probability};
use crate::image::{Image, ImageError, ImageLimits, InputSpec};
use crate::policy::{
    BatchReport, DeadlineKind, ExitRule, JobConstraints, Measurement, Priority, QueueSettings, Refusal, RequestOptions,
    Stage, SubmittedJob, WidthReason, Widths,
};
use crate::test_onnx::OnnxFile;
use crate::test_workers::{FAIL, Fragile, Gate, GateStep, Gated};

mod audits;

fn tiny() -> Arc<ServedModel> {
    let bytes = OnnxFile::lenet([1, 28, 28], 8, 10).bytes();
    Arc::new(ServedModel::from_onnx("tiny", 1, &bytes).unwrap())
}

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(&Registry::new()).unwrap())
}

fn png(shade: u8) -> Bytes {
    let image = image::GrayImage::from_fn(28, 28, |x, y| image::Luma([shade.wrapping_add((x * y) as u8)]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::from(image).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner().into()
}

fn job(model: &Arc<ServedModel>, image: Bytes, width: &str) -> Job {
    let options = RequestOptions { width: Some(width.parse().unwrap()), ..RequestOptions::default() };
    Job {
        model: model.clone(),
        input: Input::Encoded(image),
        options,
        confidence: None,
        arrived: Instant::now(),
        budget: None,
        all_widths: false,
    }
}

fn start(
    settings: QueueSettings,
    model: &Arc<ServedModel>,
    metrics: &Arc<Metrics>,
    wrap: impl Fn(EngineWorker) -> Box<dyn Executor> + Send + Sync + 'static,
) -> Scheduler {
    start_at(Clock::system(), settings, model, metrics, wrap)
}

fn start_at(
    clock: Clock,
    settings: QueueSettings,
    model: &Arc<ServedModel>,
    metrics: &Arc<Metrics>,
    wrap: impl Fn(EngineWorker) -> Box<dyn Executor> + Send + Sync + 'static,
) -> Scheduler {
    let (counts, callers) = (metrics.clone(), Handle::current());
    let new_executor: NewExecutor = Arc::new(move || {
        wrap(EngineWorker::new(settings.max_batch, ImageLimits::default(), counts.clone(), callers.clone()))
    });
    let profile = measure(std::slice::from_ref(model), Width::of_channels(1, 4), settings.max_batch, Duration::ZERO);
    let models = vec![(model.clone(), profile.unwrap().remove(0))];
    let turns = Arc::new(Turns::new(1, 0));
    let environment = Environment { metrics: metrics.clone(), turns, clock };
    Scheduler::start(settings, PolicyKind::WidestFit, models, new_executor, environment).unwrap()
}

/// One worker, and so much time that nothing is ever late.
const ONE_WORKER: QueueSettings =
    QueueSettings { workers: 1, decoders: 1, max_batch: 4, max_queue: 8, default_budget: Duration::from_secs(600) };

#[tokio::test]
async fn an_answer_is_what_the_engine_says_at_that_width() {
    let model = tiny();
    let scheduler = start(ONE_WORKER, &model, &metrics(), |worker| Box::new(worker));
    let widths = ["1", "0.25", "0.6"];
    let jobs = widths.iter().zip(0..).map(|(width, shade)| job(&model, png(shade * 50), width)).collect();
    let tickets = scheduler.submit(jobs).unwrap();
    for ((ticket, width), shade) in tickets.into_iter().zip(widths).zip(0..) {
        let answer = ticket.answer().await.unwrap();
        let width: Width = width.parse().unwrap();
        let mut pass = Pass::new(model.model.clone(), 1);
        pass.push(&Image::decode(&png(shade * 50), &ImageLimits::default()).unwrap().input(&model.input));
        pass.widen(&[width]);
        let expected = predict(pass.logits(0), width, model.model.metadata(), 3);
        assert_eq!((answer.width, answer.reason), (width, WidthReason::Requested));
        for (got, expected) in answer.scores.top(3).iter().zip(&expected) {
            assert_eq!(got.index, expected.index);
            assert!((got.probability - expected.probability).abs() < 1e-5);
        }
    }
}

/// A worker that tells at which niceness it warms up and runs.
#[cfg(target_os = "linux")]
struct Niceness(EngineWorker, std::sync::mpsc::Sender<i32>);

#[cfg(target_os = "linux")]
impl Niceness {
    fn tell(&self) {
        use rustix::process::getpriority_process;
        self.1.send(getpriority_process(Some(rustix::thread::gettid())).unwrap()).unwrap();
    }
}

#[cfg(target_os = "linux")]
impl Executor for Niceness {
    fn warm_up(&mut self, models: &[Arc<ServedModel>]) {
        self.tell();
        self.0.warm_up(models);
    }

    fn decode(&mut self, model: &ServedModel, image: &[u8]) -> Result<Vec<u8>, ImageError> {
        self.0.decode(model, image)
    }

    fn run(&mut self, model: &Arc<ServedModel>, jobs: Vec<RunningJob>, rule: Option<&ExitRule>) -> BatchReport {
        self.tell();
        self.0.run(model, jobs, rule)
    }
}

/// A lower priority would let any busy process on the same core starve the server.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn workers_keep_the_priority_of_the_process() {
    let (model, (tell, told)) = (tiny(), std::sync::mpsc::channel());
    let wrap = move |worker| Box::new(Niceness(worker, tell.clone())) as Box<dyn Executor>;
    let scheduler = start(ONE_WORKER, &model, &metrics(), wrap);
    scheduler.submit(vec![job(&model, png(1), "1")]).unwrap().remove(0).answer().await.unwrap();
    let ours = rustix::process::getpriority_process(None).unwrap();
    assert_eq!([told.recv().unwrap(), told.recv().unwrap()], [ours, ours]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_time_that_workers_wait_for_a_core_is_counted() {
    let (model, metrics) = (tiny(), metrics());
    let scheduler = start(ONE_WORKER, &model, &metrics, |worker| Box::new(worker));
    scheduler.ready().await;
    scheduler.update_metrics();
    let before = metrics.worker_run_delay.get();
    for _ in 0..20 {
        scheduler.submit(vec![job(&model, png(1), "1")]).unwrap().remove(0).answer().await.unwrap();
    }
    scheduler.update_metrics();
    // Each time that a worker wakes up it waits for a moment at least.
    assert!(metrics.worker_run_delay.get() > before);
}

/// One worker that is ready, whose target is far too short for anything.
async fn hurried(model: &Arc<ServedModel>, metrics: &Arc<Metrics>) -> (Scheduler, Gate) {
    let (gate, wrap) = Gated::behind_gate();
    let scheduler =
        start(QueueSettings { default_budget: Duration::from_nanos(1), ..ONE_WORKER }, model, metrics, wrap);
    assert_eq!(gate.arrived.recv(), Ok(GateStep::WarmUp));
    gate.open.send(()).unwrap();
    scheduler.ready().await;
    (scheduler, gate)
}

#[tokio::test]
async fn a_job_without_a_budget_is_answered_however_long_it_waited_and_says_so() {
    let (model, metrics) = (tiny(), metrics());
    let (scheduler, gate) = hurried(&model, &metrics).await;
    let auto = || Job { options: RequestOptions::default(), ..job(&model, png(1), "1") };
    let mut tickets = scheduler.submit(vec![auto()]).unwrap();
    assert_eq!(gate.arrived.recv(), Ok(GateStep::Batch(1)));
    // While the worker is held up, the target of those who wait passes.
    tickets.extend((0..3).flat_map(|_| scheduler.submit(vec![auto()]).unwrap()));
    let budgeted = Job { budget: Some(Duration::from_secs(3600)), ..auto() };
    tickets.extend(scheduler.submit(vec![budgeted]).unwrap());
    let models = scheduler.models();
    let target = 4 * (models[0].1.latency(Width::FULL, 1) + Duration::from_millis(1));
    let submitted = Instant::now();
    while submitted.elapsed() < target {
        std::hint::spin_loop();
    }
    for _ in 0..5 {
        let _ = gate.open.send(());
    }
    let mut late = Vec::new();
    for ticket in tickets {
        late.push(ticket.answer().await.unwrap().late);
    }
    assert_eq!(late[1..], [true, true, true, false]);
    let missed = |how: &str| metrics.deadline_misses.with_label_values(&[model.name.as_str(), how]).get();
    assert!(missed("late") >= 3 && missed("shed") == 0);
}

#[tokio::test]
async fn all_widths_are_every_step_up_to_the_width() {
    let model = tiny();
    let scheduler = start(ONE_WORKER, &model, &metrics(), |worker| Box::new(worker));
    let job = Job { all_widths: true, ..job(&model, png(1), "1") };
    let answer = scheduler.submit(vec![job]).unwrap().remove(0).answer().await.unwrap();
    let widths = answer.all_widths.unwrap();
    assert_eq!(widths.iter().map(|(width, _)| *width).collect::<Vec<_>>(), model.model.grid());
    assert_eq!(widths.last().unwrap().1, answer.scores);
}

#[tokio::test]
async fn a_broken_image_spoils_no_other_of_its_batch() {
    let model = tiny();
    let scheduler = start(ONE_WORKER, &model, &metrics(), |worker| Box::new(worker));
    let jobs = vec![job(&model, png(1), "1"), job(&model, Bytes::from("text"), "1"), job(&model, png(2), "0.5")];
    let mut outcomes = Vec::new();
    for ticket in scheduler.submit(jobs).unwrap() {
        outcomes.push(ticket.answer().await);
    }
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
    assert!(matches!(outcomes[1], Err(JobError::Image(ImageError::Unsupported { .. }))));
}

#[tokio::test]
async fn scores_that_are_no_numbers_are_an_error_and_no_answer() {
    let path = format!("{}/tests/data/onnx/overflows-to-nan.onnx", env!("CARGO_MANIFEST_DIR"));
    let model = Model::from_onnx(&std::fs::read(path).unwrap()).unwrap();
    let shape = model.input();
    let input = InputSpec::new(shape.channels, shape.height, shape.width).unwrap();
    // As a model that fails at some images alone: those of a warm-up are not among them.
    let model =
        Arc::new(ServedModel { name: "tiny".into(), version: 1, model: Arc::new(model), input, fingerprint: None });
    let scheduler = start(ONE_WORKER, &model, &metrics(), |worker| Box::new(worker));
    for all_widths in [false, true] {
        let job = Job { all_widths, confidence: Some(0.5), ..job(&model, png(200), "1") };
        let answer = scheduler.submit(vec![job]).unwrap().remove(0).answer().await;
        assert_eq!(answer, Err(JobError::NonFinite));
    }
}

#[tokio::test]
async fn a_panic_fails_every_job_of_its_batch_and_the_next_batch_is_served() {
    let (model, metrics) = (tiny(), metrics());
    let scheduler = start(ONE_WORKER, &model, &metrics, |worker| Box::new(Fragile(worker)));
    scheduler.ready().await;
    for panics in 1..=2 {
        // What is submitted in one call, and is not too much for one batch, runs together.
        let jobs = [png(1), Bytes::from_static(FAIL), png(2)].map(|image| job(&model, image, "1"));
        for ticket in scheduler.submit(jobs.to_vec()).unwrap() {
            assert_eq!(ticket.answer().await, Err(JobError::WorkerFailed));
        }
        for ticket in scheduler.submit(vec![job(&model, png(1), "1"); 2]).unwrap() {
            assert!(ticket.answer().await.is_ok());
        }
        assert_eq!(metrics.worker_panics.get(), panics);
    }
    assert!(scheduler.is_ready());
}

/// One worker behind a gate that has let it warm up. Its clock stands still: how many images are decoded at once depends on
/// how long the last ones took.
async fn gated(model: &Arc<ServedModel>, metrics: &Arc<Metrics>) -> (Scheduler, Gate) {
    let (gate, wrap) = Gated::behind_gate();
    let now = Instant::now();
    let scheduler = start_at(Clock::from_fn(move || now), ONE_WORKER, model, metrics, wrap);
    assert_eq!(gate.arrived.recv(), Ok(GateStep::WarmUp));
    gate.open.send(()).unwrap();
    scheduler.ready().await;
    (scheduler, gate)
}

#[tokio::test]
async fn what_waits_runs_together_and_a_full_queue_refuses() {
    let (model, metrics) = (tiny(), metrics());
    let (scheduler, gate) = gated(&model, &metrics).await;
    let submit = |count: usize| scheduler.submit(vec![job(&model, png(1), "0.5"); count]);
    // The worker holds one, alone: it did not wait for more.
    let mut tickets = submit(1).unwrap();
    assert_eq!(gate.arrived.recv(), Ok(GateStep::Batch(1)));
    // Eight wait; the ninth is refused.
    tickets.extend(submit(8).unwrap());
    assert!(matches!(submit(1), Err(Refused::Queue(Refusal::QueueFull { waiting: 8, limit: 8, wanted: 1, .. }))));
    // One of the eight leaves; the rest come in batches of at most four.
    tickets.pop();
    for _ in 0..3 {
        gate.open.send(()).unwrap();
    }
    assert_eq!([gate.arrived.recv(), gate.arrived.recv()], [Ok(GateStep::Batch(4)), Ok(GateStep::Batch(3))]);
    for ticket in tickets {
        assert!(ticket.answer().await.is_ok());
    }
    assert_eq!(metrics.jobs_abandoned.get(), 1);
}

#[tokio::test]
async fn a_caller_who_leaves_a_batch_that_was_taken_is_not_worked_for() {
    let (model, metrics) = (tiny(), metrics());
    let (scheduler, gate) = gated(&model, &metrics).await;
    let mut tickets = scheduler.submit(vec![job(&model, png(1), "1"); 3]).unwrap();
    assert_eq!(gate.arrived.recv(), Ok(GateStep::Batch(3)));
    tickets.remove(1);
    gate.open.send(()).unwrap();
    for ticket in tickets {
        assert!(ticket.answer().await.is_ok());
    }
    let ran = metrics.batch_size.with_label_values(&[&model.name]).get_sample_sum();
    assert_eq!((metrics.jobs_abandoned.get(), ran), (1, 2.0));
}

/// Half of the images are sure enough at half the width; the others become right at full width, where there is time.
#[tokio::test]
async fn at_a_price_images_stop_where_more_width_is_not_worth_its_time() {
    let (model, half) = (tiny(), "0.5".parse().unwrap());
    let mut pass = Pass::new(model.model.clone(), 1);
    let mut logits = |image: &Bytes, width: Width| {
        pass.clear();
        pass.push(&Image::decode(image, &ImageLimits::default()).unwrap().input(&model.input));
        pass.widen(&[width]);
        pass.logits(0).to_vec()
    };
    let images = (0..8).map(|shade| png(shade * 30));
    let mut images: Vec<(f32, Bytes)> =
        images.map(|image| (top_probability(&logits(&image, half), 1.0), image)).collect();
    images.sort_by(|a, b| a.0.total_cmp(&b.0));
    let edge = images[4].0;
    let gain = format!(
        r#"[{{"width":0.5,"edges":[{edge}],"images":[50,50],"correct":[10,50],"wider":[[[50],[50]]]}},
            {{"width":1,"edges":[],"images":[100],"correct":[100],"wider":[]}}]"#
    );
    let time = |ms| vec![(1, Duration::from_millis(ms))];
    let measurement = |(width, ms)| Measurement { width, latencies: time(ms), accuracy: None };
    let profile = Profile::new(&[(half, 1), (Width::FULL, 400)].map(measurement)).unwrap();
    let rule = profile.with_gain(&serde_json::from_str(&gain).unwrap()).exit_rules().next().unwrap();

    let mut worker = EngineWorker::new(8, ImageLimits::default(), metrics(), Handle::current());
    let running = |((_, image), seconds): (&(f32, Bytes), u64)| {
        running_until(&mut worker, &model, image, half, Duration::from_millis(100 + 1000 * seconds))
    };
    // The first deadline is nearer than the end of a run at full width; the earliest deadline is first.
    let (jobs, tickets): (Vec<_>, Vec<_>) = images.iter().zip([0].into_iter().chain([60; 7])).map(running).unzip();
    let report = worker.run(&model, jobs, Some(&rule));
    assert_eq!((report.on_time, report.late), (8, 0));
    for (index, ticket) in tickets.into_iter().enumerate() {
        let answer = ticket.answer().await.unwrap();
        let (sure, image) = &images[index];
        let expected = match (*sure >= edge, index) {
            (true, _) => (half, WidthReason::Gain),
            (false, 0) => (half, WidthReason::Budget),
            (false, _) => (Width::FULL, WidthReason::Full),
        };
        assert_eq!((answer.width, answer.reason), expected, "image {index}");
        let alone = predict(&logits(image, answer.width), answer.width, model.model.metadata(), 1);
        assert_eq!(answer.scores.top(1), alone);
    }
}

/// A decoded job that may run from `from` to full width, with this budget.
fn running_until(
    worker: &mut EngineWorker,
    model: &Arc<ServedModel>,
    image: &Bytes,
    from: Width,
    budget: Duration,
) -> (RunningJob, Ticket) {
    let (SubmittedJob { payload, .. }, ticket) = job(model, image.clone(), "1").submit(0);
    let now = Instant::now();
    let constraints = JobConstraints {
        model: 0,
        widths: Widths::From { step: 0 },
        arrived: now,
        deadline: now + budget,
        deadline_kind: DeadlineKind::Firm,
        priority: Priority::Normal,
        stage: Stage::Decoded,
    };
    let mut job = QueuedJob { id: 0, constraints, queued_at: now, decoding: Duration::ZERO, payload };
    job.payload.input = Input::Pixels(worker.decode(model, image).unwrap().into());
    (RunningJob { job, from, width: Width::FULL, reason: WidthReason::Full }, ticket)
}

#[tokio::test]
async fn dropping_the_scheduler_still_answers_what_was_accepted() {
    let model = tiny();
    let scheduler = start(ONE_WORKER, &model, &metrics(), |worker| Box::new(worker));
    let tickets = scheduler.submit(vec![job(&model, png(3), "1"); 8]).unwrap();
    drop(scheduler);
    for ticket in tickets {
        assert!(ticket.answer().await.is_ok());
    }
}
