//! Runs against a server that answers on command.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use anywidth_load::images::Image;
use anywidth_load::mix::Mix;
use anywidth_load::models::{Accuracy, Model};
use anywidth_load::record::{Recorded, Recorder};
use anywidth_load::results::Counts;
use anywidth_load::run::{FinishedRun, Progress, RunSettings, execute};
use anywidth_load::target::Target;
use anywidth_load::workload::Workload;
use bytes::Bytes;
use hyper::header::HeaderMap;
use support::{MODELS, Reply, Server};
use tokio::runtime::LocalRuntime;
use tokio::sync::{mpsc, watch};

/// How a test's run differs from the usual one.
struct Options {
    /// When requests are due, in milliseconds.
    due_ms: Vec<u64>,
    deadline: Option<Duration>,
    max_outstanding: usize,
    timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        // Nothing takes so long: what a test expects is never a matter of speed.
        let long = Duration::from_secs(600);
        Options { due_ms: vec![0; 8], deadline: Some(long), max_outstanding: 100, timeout: long }
    }
}

fn workload(deadline: Option<Duration>) -> Workload {
    Workload {
        path: "/classify".to_owned(),
        budgets_ms: Mix::one(Some(50.0)),
        widths: Mix::one(None),
        model: Some("tiny".to_owned()),
        query: "top_k=1".to_owned(),
        deadline,
    }
}

fn accuracy() -> Accuracy {
    Model::find(MODELS.as_bytes(), None).unwrap().accuracy
}

/// What the server's part may do with the run.
struct Hand {
    /// A message asks it to stop.
    stop: mpsc::Sender<()>,
    counts: watch::Receiver<Counts>,
}

/// Plays while `server_side` does the server's part.
fn run(server: &mut Server, options: Options, server_side: impl AsyncFnOnce(&mut Server, Hand)) -> FinishedRun {
    let workload = workload(options.deadline);
    let settings = RunSettings {
        target: Target::find(&server.url(), false).unwrap(),
        kinds: workload.kinds(),
        headers: HeaderMap::new(),
        images: [b"one", b"two"].map(|bytes| Image { bytes: Bytes::from_static(bytes), label: None }).to_vec(),
        max_outstanding: options.max_outstanding,
        timeout: options.timeout,
        sample_every: Duration::from_millis(5),
        ask_queue: true,
    };
    let plan = workload.plan(options.due_ms.into_iter().map(Duration::from_millis), 2, 1);
    let recorder = Recorder::new(Duration::from_millis(10), accuracy());
    let ((stop, stops), (seen, counts)) = (mpsc::channel(2), watch::channel(Counts::default()));
    LocalRuntime::new().unwrap().block_on(async {
        let progress = |progress: Progress| {
            seen.send_replace(progress.counts);
        };
        let played = execute(settings, plan, recorder, stops, progress);
        let (played, ()) = tokio::join!(played, server_side(server, Hand { stop, counts }));
        played.unwrap()
    })
}

/// Gives every request the same reply, as it comes.
fn played_with(reply: Reply, options: Options) -> Recorded {
    let mut server = Server::start();
    let count = options.due_ms.len();
    let played = run(&mut server, options, async |server, _| {
        for _ in 0..count {
            server.asked.recv().await.unwrap().reply(reply.clone());
        }
    });
    played.recorder.finish(played.duration)
}

fn counts(offered: u64) -> Counts {
    Counts { offered, ..Counts::default() }
}

#[test]
fn requests_go_out_on_schedule_while_no_answer_comes_back() {
    let mut server = Server::start();
    let played = run(&mut server, Options::default(), async |server, _| {
        let mut asked = Vec::new();
        // A generator that waits for an answer would never send the second.
        while asked.len() < 8 {
            asked.push(server.asked.recv().await.unwrap());
        }
        asked.into_iter().for_each(|asked| asked.reply(Reply::answer("0.5")));
    });
    let totals = played.recorder.finish(played.duration).totals;
    assert_eq!(totals.counts, Counts { on_time: 8, ..counts(8) });
    assert!(!played.interrupted);
}

#[test]
fn a_request_carries_its_options_and_a_image_in_turn() {
    let mut server = Server::start();
    run(&mut server, Options::default(), async |server, _| {
        let mut bodies = Vec::new();
        for _ in 0..8 {
            let asked = server.asked.recv().await.unwrap();
            assert_eq!(asked.path, "/classify?model=tiny&budget_ms=50&top_k=1");
            assert_eq!(asked.headers["host"], server.address.to_string());
            bodies.push(asked.body.clone());
            asked.reply(Reply::answer("1"));
        }
        for image in ["one", "two"] {
            assert_eq!(bodies.iter().filter(|body| **body == image).count(), 4);
        }
    });
}

#[test]
fn answers_are_worth_what_their_width_is() {
    let recorded = played_with(Reply::answer("0.5"), Options::default());
    let totals = &recorded.totals;
    assert_eq!((totals.attainment, totals.mean_width), (Some(1.0), Some(0.5)));
    assert_eq!((totals.mean_accuracy, totals.effective_accuracy), (Some(0.6), Some(0.6)));
    assert_eq!((recorded.widths[0].answers, recorded.reasons[0].what.as_str()), (8, "load"));
}

#[test]
fn an_answer_after_its_deadline_is_late() {
    // No answer is on time within a nanosecond.
    let deadline = Some(Duration::from_nanos(1));
    let recorded = played_with(Reply::answer("1"), Options { deadline, ..Options::default() });
    let totals = &recorded.totals;
    assert_eq!(totals.counts, Counts { late: 8, ..counts(8) });
    assert_eq!((totals.attainment, totals.mean_accuracy, totals.effective_accuracy), (Some(0.0), None, Some(0.0)));
    assert!(totals.latency_ms.is_some());
}

#[test]
fn refusals_and_failures_are_told_apart() {
    for (status, word) in [(503, "queue_full"), (429, "rate"), (504, "deadline")] {
        let body = format!("{{\"error\":\"no\",\"code\":\"{word}\"}}").leak();
        let recorded = played_with(Reply::error(status, body), Options::default());
        assert_eq!(recorded.totals.counts, Counts { refused: 8, ..counts(8) });
        assert_eq!((recorded.refusals[0].what.clone(), recorded.refusals[0].count), (format!("{status} {word}"), 8));
        assert!(recorded.totals.refusal_ms.is_some() && recorded.totals.latency_ms.is_none());
    }
    let recorded = played_with(Reply::error(500, "oh"), Options::default());
    assert_eq!(recorded.totals.counts, Counts { failed: 8, ..counts(8) });
    assert_eq!(recorded.failures[0].what, "500");
}

#[test]
fn a_connection_that_ends_early_is_a_failure() {
    let hung = played_with(Reply::Hang, Options::default());
    assert_eq!(hung.totals.counts, Counts { failed: 8, ..counts(8) });
    assert_eq!(hung.failures[0].what, "the connection ended early");
}

#[test]
fn what_is_not_sent_is_counted() {
    let mut server = Server::start();
    let options = Options { due_ms: vec![0; 20], max_outstanding: 3, ..Options::default() };
    let played = run(&mut server, options, async |server, mut hand| {
        let mut asked = Vec::new();
        while asked.len() < 3 {
            asked.push(server.asked.recv().await.unwrap());
        }
        hand.counts.wait_for(|counts| counts.not_sent == 17).await.unwrap();
        asked.into_iter().for_each(|asked| asked.reply(Reply::answer("1")));
    });
    assert_eq!(played.recorder.counts(), Counts { on_time: 3, not_sent: 17, ..counts(20) });
}

#[test]
fn an_answer_that_never_comes_is_waited_for_so_long_and_no_longer() {
    let mut server = Server::start();
    let options = Options { timeout: Duration::from_millis(1), ..Options::default() };
    let played = run(&mut server, options, async |_, _| {});
    let recorded = played.recorder.finish(played.duration);
    assert_eq!(recorded.totals.counts, Counts { failed: 8, ..counts(8) });
    assert_eq!(recorded.failures[0].what, "no answer within 1ms");
}

#[test]
fn a_run_that_is_stopped_waits_for_its_answers() {
    let mut server = Server::start();
    // The last is due in an hour.
    let options = Options { due_ms: vec![0, 0, 3_600_000], ..Options::default() };
    let played = run(&mut server, options, async |server, hand| {
        let (first, second) = (server.asked.recv().await.unwrap(), server.asked.recv().await.unwrap());
        hand.stop.send(()).await.unwrap();
        [first, second].into_iter().for_each(|asked| asked.reply(Reply::answer("1")));
    });
    assert!(played.interrupted);
    assert_eq!(played.recorder.counts(), Counts { on_time: 2, ..counts(2) });
}

#[test]
fn a_run_that_is_stopped_twice_waits_for_nothing() {
    let mut server = Server::start();
    let options = Options { due_ms: vec![0, 0, 3_600_000], ..Options::default() };
    let mut unanswered = Vec::new();
    let played = run(&mut server, options, async |server, hand| {
        while unanswered.len() < 2 {
            unanswered.push(server.asked.recv().await.unwrap());
        }
        hand.stop.send(()).await.unwrap();
        hand.stop.send(()).await.unwrap();
    });
    let recorded = played.recorder.finish(played.duration);
    assert_eq!(recorded.totals.counts, Counts { failed: 2, ..counts(2) });
    assert_eq!(recorded.failures[0].what, "not waited for");
}

#[test]
fn the_servers_queue_is_looked_at() {
    let mut server = Server::start();
    let options = Options { due_ms: vec![0], ..Options::default() };
    let played = run(&mut server, options, async |server, _| {
        let asked = server.asked.recv().await.unwrap();
        // A look begins only when the one before it has been noted.
        while server.metrics_requests() < 2 {
            tokio::task::yield_now().await;
        }
        asked.reply(Reply::answer("1"));
    });
    let lengths: BTreeSet<_> =
        played.samples.iter().map(|sample| sample.queue_length.map(|length| length as u64)).collect();
    assert_eq!(lengths, BTreeSet::from([Some(3)]));
}
