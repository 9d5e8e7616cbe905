//! What becomes of answers that are not ready in time: a caller who named no budget is always answered.

use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anywidth::policy::QueueSettings;

use crate::support::images::png;
use crate::support::server::{Answer, Options, SETTINGS, Server};
use crate::support::workers::{Gate, GateStep, Gated};

/// One worker behind a gate that has let it warm up, and a default budget that is over before anything runs, but for four
/// times what the images take.
fn hurried(queue_limit: usize) -> (Server, Gate) {
    let (gate, wrap) = Gated::behind_gate();
    let scheduler = QueueSettings { default_budget: Duration::from_nanos(1), max_queue: queue_limit, ..SETTINGS };
    let server = Server::with(Options { scheduler, wrap: Box::new(wrap), ..Options::default() });
    assert_eq!(gate.arrived.recv(), Ok(GateStep::WarmUp));
    gate.open.send(()).unwrap();
    server.await_ready();
    (server, gate)
}

/// Holds the worker up in a first batch, lets `callers` wait in the queue for `wait`, then lets everything pass.
fn hold_up(server: &Server, gate: Gate, wait: Duration, callers: &[&(dyn Fn() -> Answer + Sync)]) -> Vec<Answer> {
    std::thread::scope(|scope| {
        let first = scope.spawn(|| server.post("/classify", &png(0)));
        assert_eq!(gate.arrived.recv(), Ok(GateStep::Batch(1)));
        let waiting: Vec<ScopedJoinHandle<Answer>> = callers.iter().map(|caller| scope.spawn(caller)).collect();
        server.until(|| server.metric("anywidth_requests_in_flight") == Some((1 + callers.len()) as f64));
        let until = Instant::now() + wait;
        while Instant::now() < until {
            std::thread::yield_now();
        }
        // Whatever comes from now on passes.
        drop(gate);
        assert_eq!(first.join().unwrap().status, 200);
        waiting.into_iter().map(|caller| caller.join().unwrap()).collect()
    })
}

#[test]
fn a_request_without_a_budget_is_answered_however_late_and_says_so() {
    let (server, gate) = hurried(16);
    let plain = || server.post("/classify", &png(1));
    let patient = || server.post("/classify?budget_ms=600000", &png(1));
    let answers = hold_up(&server, gate, Duration::from_millis(50), &[&plain, &plain, &patient]);
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let late: Vec<_> = answers.iter().map(|answer| answer.json().get("late").cloned()).collect();
    assert_eq!(late, [Some(true.into()), Some(true.into()), None]);
    assert!(server.metric("anywidth_deadline_misses_total{how=\"late\",model=\"tiny\"}").unwrap() >= 2.0);
    assert_eq!(server.metric("anywidth_deadline_misses_total{how=\"shed\",model=\"tiny\"}"), Some(0.0));
}

#[test]
fn a_budget_that_passes_while_the_image_waits_is_504() {
    let (server, gate) = hurried(16);
    let hasty = || server.post("/classify?budget_ms=20", &png(1));
    let answers = hold_up(&server, gate, Duration::from_millis(30), &[&hasty]);
    answers[0].error(504, "deadline");
}

#[test]
fn a_form_is_answered_as_a_whole_when_its_images_are_late() {
    let (server, gate) = hurried(16);
    let (one, two) = (png(1), png(2));
    let form = || server.post_files("/classify?budget_ms=20", &[("one.png", &one), ("two.png", &two)]);
    let answers = hold_up(&server, gate, Duration::from_millis(30), &[&form]);
    assert_eq!(answers[0].status, 200, "{}", answers[0].text);
    let results = answers[0].json()["results"].clone();
    assert_eq!((&results[0]["late"], &results[1]["late"]), (&true.into(), &true.into()));
    assert!(results[1]["predictions"].as_array().is_some_and(|predictions| !predictions.is_empty()));
}

#[test]
fn many_callers_without_budgets_are_refused_by_a_full_queue_alone() {
    let (server, gate) = hurried(8);
    let plain = || server.post("/classify", &png(1));
    let callers: Vec<&(dyn Fn() -> Answer + Sync)> = (0..8).map(|_| &plain as _).collect();
    let answers = hold_up(&server, gate, Duration::from_millis(20), &callers);
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
}
