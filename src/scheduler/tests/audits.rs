//! Audits of images that stopped early.

use super::*;

/// A worker whose images stop early, sure of an answer that full width contradicts, so many times.
struct Confident {
    worker: EngineWorker,
    model: Arc<ServedModel>,
    contradicted: usize,
    done: std::sync::mpsc::Sender<()>,
}

/// Where those images stop.
const SURE: f32 = 0.99;

impl Executor for Confident {
    fn warm_up(&mut self, models: &[Arc<ServedModel>]) {
        self.worker.warm_up(models);
    }

    fn decode(&mut self, model: &ServedModel, image: &[u8]) -> Result<Vec<u8>, ImageError> {
        self.worker.decode(model, image)
    }

    fn run(&mut self, model: &Arc<ServedModel>, jobs: Vec<RunningJob>, rule: Option<&ExitRule>) -> BatchReport {
        self.worker.run(model, jobs, rule)
    }

    fn audit(&mut self) -> Option<Audit> {
        let Some(left) = self.contradicted.checked_sub(1) else {
            let _ = self.done.send(());
            return None;
        };
        self.contradicted = left;
        let stopped = Stopped { width: "0.5".parse().unwrap(), probability: SURE, class: 0 };
        Some(Audit { model: self.model.clone(), stopped, agrees: false })
    }
}

#[tokio::test]
async fn idle_workers_notice_a_network_that_is_confidently_wrong_and_its_images_are_widened() {
    let half: Width = "0.5".parse().unwrap();
    let gain = r#"[{"width":0.5,"edges":[0.7],"images":[40,60],"correct":[20,59],"wider":[[[40],[60]]]},
                   {"width":1,"edges":[],"images":[100],"correct":[97],"wider":[]}]"#;
    let bytes = OnnxFile::lenet([1, 28, 28], 8, 10).metadata("anywidth.gain", gain).bytes();
    let model = Arc::new(ServedModel::from_onnx("tiny", 1, &bytes).unwrap());
    let (metrics, (done, audited)) = (metrics(), std::sync::mpsc::channel());
    let (counts, callers, served) = (metrics.clone(), Handle::current(), model.clone());
    let new_executor: NewExecutor = Arc::new(move || {
        let worker = EngineWorker::new(4, ImageLimits::default(), counts.clone(), callers.clone());
        Box::new(Confident { worker, model: served.clone(), contradicted: 40, done: done.clone() })
    });
    let environment =
        Environment { metrics: metrics.clone(), turns: Arc::new(Turns::new(1, 0)), clock: Clock::system() };
    let measurement = |(width, ms)| Measurement { width, latencies: vec![(1, ms)], accuracy: None };
    let times = [(half, Duration::from_millis(1)), (Width::FULL, Duration::from_millis(4))];
    let profile =
        Profile::new(&times.map(measurement)).unwrap().with_gain(model.model.metadata().gain.as_ref().unwrap());
    let decisions = Decisions { policy: PolicyKind::WidestFit, audit_share: 1.0 };
    let scheduler =
        Scheduler::start(ONE_WORKER, decisions, vec![(model.clone(), profile)], new_executor, environment).unwrap();
    let widened = || {
        let profile = scheduler.models().remove(0).1;
        profile.exit_rules().filter(|rule| rule.next(half, SURE).is_some()).count()
    };
    assert_eq!(widened(), 0);
    scheduler.submit(vec![job(&model, png(1), "1")]).unwrap().remove(0).answer().await.unwrap();
    audited.recv().unwrap();
    assert!(widened() > 0);
    let count = |agrees: &str| metrics.audits.with_label_values(&["tiny", agrees]).get();
    assert_eq!((count("false"), count("true")), (40, 0));
    let expected = metrics.audits_expected_to_agree.with_label_values(&["tiny"]).get();
    assert!((expected - 40.0 * 59.0 / 60.0).abs() < 1e-9, "{expected}");
}

#[tokio::test]
async fn an_audit_compares_the_answer_with_that_at_full_width() {
    let model = tiny();
    let mut worker = EngineWorker::new(4, ImageLimits::default(), metrics(), Handle::current()).with_audits(true);
    assert!(worker.audit().is_none());
    let images: Vec<Bytes> = (0..40).map(|shade| png(shade * 6)).collect();
    let mut both = [false; 2];
    for (image, width) in images.iter().zip(["0.125", "0.875"].into_iter().cycle()) {
        let half: Width = width.parse().unwrap();
        // All images are in the second bin, whose images are right.
        let gain = format!(
            r#"[{{"width":{width},"edges":[0.001],"images":[50,50],"correct":[10,50],"wider":[[[50],[50]]]}},
                {{"width":1,"edges":[],"images":[100],"correct":[100],"wider":[]}}]"#
        );
        let measurement =
            |(width, ms)| Measurement { width, latencies: vec![(1, Duration::from_millis(ms))], accuracy: None };
        let profile = Profile::new(&[(half, 1), (Width::FULL, 400)].map(measurement)).unwrap();
        let rule = profile.with_gain(&serde_json::from_str(&gain).unwrap()).exit_rules().next().unwrap();
        let (running, ticket) = running(&mut worker, &model, image, half);
        worker.run(&model, vec![running], Some(&rule));
        let answer = ticket.answer().await.unwrap();
        assert_eq!((answer.width, answer.reason), (half, WidthReason::Gain));
        let audit = worker.audit().unwrap();
        assert!(worker.audit().is_none(), "each image is audited once");
        let mut pass = Pass::new(model.model.clone(), 1);
        pass.push(&Image::decode(image, &ImageLimits::default()).unwrap().input(&model.input));
        pass.widen(&[Width::FULL]);
        let full = predict(pass.logits(0), Width::FULL, model.model.metadata(), 1)[0].index;
        let here = answer.scores.best().unwrap();
        let stopped = Stopped { width: half, probability: here.probability, class: here.index };
        assert_eq!((audit.stopped, audit.agrees), (stopped, here.index == full));
        both[usize::from(audit.agrees)] = true;
    }
    assert_eq!(both, [true; 2], "some agree, and some do not");
}

/// A decoded job that may run from `from` to full width, for a minute.
fn running(worker: &mut EngineWorker, model: &Arc<ServedModel>, image: &Bytes, from: Width) -> (RunningJob, Ticket) {
    running_until(worker, model, image, from, Duration::from_secs(60))
}
