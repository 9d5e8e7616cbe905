//! What operators see: readiness, metrics, overload, failing workers, callers who leave, and the end.

use std::io::{Cursor, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anywidth::policy::QueueSettings;
use anywidth::repository::ServedModel;
use anywidth::server::Drain;
use image::{GrayImage, ImageFormat, Luma};
use serde_json::json;

use crate::support::images::png;
use crate::support::onnx::OnnxFile;
use crate::support::server::{DRAIN, Options, SETTINGS, Server};
use crate::support::workers::{FAIL, FAIL_AT_ONCE, Fragile, Gate, GateStep, Gated};

/// Longer than any test.
const FOREVER: Duration = Duration::from_secs(3600);

/// One worker, behind a gate that has let it warm up.
fn gated(change: impl FnOnce(&mut Options)) -> (Server, Gate) {
    let (gate, wrap) = Gated::behind_gate();
    let mut options = Options { wrap: Box::new(wrap), ..Options::default() };
    change(&mut options);
    let server = Server::with(options);
    assert_eq!(gate.arrived.recv(), Ok(GateStep::WarmUp));
    gate.open.send(()).unwrap();
    server.await_ready();
    (server, gate)
}

/// In whole KiB there is room for the bytes of one image, and not for two.
fn room_for_one_image(options: &mut Options) {
    let image = png(1).len();
    options.limits.max_body_bytes = image;
    options.limits.max_bytes_in_flight = image.next_multiple_of(1024);
}

/// A request to classify, sent, its answer not awaited.
fn send_only(server: &Server) -> TcpStream {
    let image = png(1);
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head = format!(
        "POST /classify HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        image.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&image).unwrap();
    stream
}

fn answer_of(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_server_is_ready_only_when_its_workers_are_warm() {
    let (gate, wrap) = Gated::behind_gate();
    let server = Server::with(Options { wrap: Box::new(wrap), ..Options::default() });
    assert_eq!(gate.arrived.recv(), Ok(GateStep::WarmUp));
    assert_eq!(server.get("/livez").status, 200);
    let answer = server.get("/readyz");
    assert_eq!((answer.status, &answer.json()["ready"]), (503, &json!(false)));
    gate.open.send(()).unwrap();
    server.await_ready();
    assert_eq!(server.metric("anywidth_workers_ready"), Some(1.0));
}

#[test]
fn a_full_queue_refuses_at_once_and_says_when_to_come_back() {
    let (server, gate) = gated(|options| {
        options.scheduler = QueueSettings { max_batch: 1, max_queue: 2, ..SETTINGS };
    });
    let mut waiting = vec![send_only(&server)];
    assert_eq!(gate.arrived.recv(), Ok(GateStep::Batch(1)));
    waiting.extend([send_only(&server), send_only(&server)]);
    server.until(|| server.metric("anywidth_queue_length") == Some(2.0));

    let refused = server.post("/classify", &png(1));
    assert!(refused.error(503, "queue_full").contains("2 of at most 2 images wait"));
    // In the time in which those that wait are answered; another for each caller, who would all come back at once otherwise.
    let times: Vec<_> =
        (0..20).map(|_| server.post("/classify", &png(1)).json()["retry_after_ms"].as_u64().unwrap()).collect();
    assert!(times.iter().all(|&ms| ms > 0) && times.iter().any(|&ms| ms != times[0]), "{times:?}");
    assert_eq!(server.metric("anywidth_refusals_total{reason=\"queue_full\"}"), Some(21.0));

    for _ in 0..3 {
        gate.open.send(()).unwrap();
    }
    for stream in waiting {
        assert!(answer_of(stream).starts_with("HTTP/1.1 200 "));
    }
}

#[test]
fn more_bytes_at_once_than_the_limit_are_refused() {
    let (server, gate) = gated(room_for_one_image);
    // What is decoded gives its bytes back, also before it has run.
    let running = send_only(&server);
    assert_eq!(gate.arrived.recv(), Ok(GateStep::Batch(1)));
    let waiting = send_only(&server);
    server.until(|| server.metric("anywidth_queue_length") == Some(1.0));
    server.post("/classify", &png(1)).error(503, "memory_full");
    for stream in [running, waiting] {
        gate.open.send(()).unwrap();
        assert!(answer_of(stream).starts_with("HTTP/1.1 200 "));
    }
    gate.open.send(()).unwrap();
    server.until(|| server.metric("anywidth_requests_in_flight") == Some(0.0));
    assert_eq!(server.post("/classify", &png(1)).status, 200);
}

#[test]
fn bytes_that_are_announced_and_do_not_come_refuse_nobody() {
    let (server, gate) = gated(room_for_one_image);
    let head = format!("POST /classify HTTP/1.1\r\nHost: here\r\nContent-Length: {}\r\n\r\n", png(1).len());
    let silent = [(); 3].map(|()| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream
    });
    server.until(|| server.metric("anywidth_requests_in_flight") == Some(3.0));
    gate.open.send(()).unwrap();
    assert_eq!(server.post("/classify", &png(1)).status, 200);
    drop(silent);
}

#[test]
fn callers_who_leave_give_no_bytes_back_that_are_still_there() {
    let (server, gate) = gated(room_for_one_image);
    let running = send_only(&server);
    assert_eq!(gate.arrived.recv(), Ok(GateStep::Batch(1)));
    let waiting = send_only(&server);
    server.until(|| server.metric("anywidth_queue_length") == Some(1.0));
    drop((running, waiting));
    server.until(|| server.metric("anywidth_requests_in_flight") == Some(0.0));
    // The image that runs is decoded, and its bytes are free; the queue still has the other's.
    let refused = send_only(&server);
    server.until(|| server.metric("anywidth_refusals_total{reason=\"memory_full\"}") == Some(1.0));
    assert!(answer_of(refused).starts_with("HTTP/1.1 503 "));
    gate.open.send(()).unwrap();
    server.until(|| server.metric("anywidth_jobs_abandoned_total") == Some(2.0));
    let another = send_only(&server);
    gate.open.send(()).unwrap();
    assert!(answer_of(another).starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_caller_who_leaves_costs_nothing() {
    let (server, gate) = gated(|_| {});
    let first = send_only(&server);
    assert_eq!(gate.arrived.recv(), Ok(GateStep::Batch(1)));
    let second = send_only(&server);
    server.until(|| server.metric("anywidth_queue_length") == Some(1.0));
    drop(second);
    server.until(|| server.metric("anywidth_requests_in_flight") == Some(1.0));
    gate.open.send(()).unwrap();
    assert!(answer_of(first).starts_with("HTTP/1.1 200 "));
    server.until(|| server.metric("anywidth_jobs_abandoned_total") == Some(1.0));
    assert_eq!(server.metric("anywidth_queue_length"), Some(0.0));
}

#[test]
fn a_worker_that_fails_is_an_error_of_one_request_only() {
    let options = Options { wrap: Box::new(|worker| Box::new(Fragile(worker))), ..Options::default() };
    let server = Server::with(options);
    server.await_ready();
    let message = server.post("/classify", FAIL).error(500, "internal");
    assert!(!message.contains("asked to fail"), "what failed is for the log: {message}");
    assert_eq!(server.post("/classify", &png(1)).status, 200);
    assert_eq!(server.metric("anywidth_worker_panics_total"), Some(1.0));
    server.post("/classify", FAIL_AT_ONCE).error(500, "internal");
    assert_eq!(server.post("/classify", &png(1)).status, 200);
    assert_eq!(server.metric("anywidth_worker_panics_total"), Some(2.0));
    assert_eq!(server.get("/readyz").status, 200);
}

#[test]
fn scores_that_are_no_numbers_are_a_fault_and_no_answer() {
    // Overflows where a black row lies above a white one, which no image of the warm-up has.
    let mut file = OnnxFile::new([1, 8, 8], "N", 17);
    let (edge, bias) = (file.constant(&[1, 1, 2, 1], vec![-1.0, 1.0]), file.constant(&[1], vec![-0.97]));
    file.operator("Conv", vec![edge, bias], vec![], [1, 7, 8]).node("Relu").rescale("Mul", 1e20).node("Flatten");
    let weights = file.constant(&[56, 2], vec![1e20; 112]);
    file.operator("MatMul", vec![weights], vec![], [2, 1, 1]);
    let models = vec![ServedModel::from_onnx("edges", 1, &file.bytes()).unwrap()];
    let server = Server::with(Options { models, ..Options::default() });
    server.await_ready();

    let grey = |shade: fn(u32) -> u8| {
        let mut png = Cursor::new(Vec::new());
        GrayImage::from_fn(8, 8, |_, y| Luma([shade(y)])).write_to(&mut png, ImageFormat::Png).unwrap();
        png.into_inner()
    };
    let (even, edge) = (grey(|_| 200), grey(|y| if y < 4 { 0 } else { 255 }));
    let said = server.post("/classify", &edge).error(500, "internal");
    assert!(said.contains("not finite"), "{said}");
    // No other request suffers, but a form is one answer.
    assert_eq!(server.post("/classify", &even).status, 200);
    let form = server.post_files("/classify", &[("even.png", &even), ("edge.png", &edge)]);
    assert_eq!(form.json()["file"], json!({"index": 1, "name": "edge.png"}));
    assert_eq!(form.status, 500);
    assert_eq!(server.post("/classify?all_widths=true", &edge).status, 500);
}

#[test]
fn requests_are_counted_by_model_step_and_status() {
    let server = Server::start();
    server.post("/classify?width=0.51", &png(1));
    server.post("/classify?width=0.51&model=grey", &png(1));
    server.post("/classify?width=0.5", b"text");
    server.post("/classify?width=2", &png(1));
    let text = server.get("/metrics").text;
    let listed = server.get("/models").json();
    let steps = listed["models"][1]["widths"].as_array().unwrap();
    let step = steps.iter().map(|step| step.as_f64().unwrap()).find(|&step| step >= 0.51).unwrap();
    for line in [
        format!("anywidth_requests_total{{code=\"200\",model=\"tiny\",width=\"{step}\"}} 1"),
        "anywidth_requests_total{code=\"400\",model=\"none\",width=\"none\"} 1".to_owned(),
        format!("anywidth_request_duration_seconds_count{{model=\"tiny\",width=\"{step}\"}} 1"),
        format!("anywidth_inference_duration_seconds_count{{model=\"tiny\",width=\"{step}\"}} 1"),
        "anywidth_batch_size_sum{model=\"grey\"} 1".to_owned(),
        format!("anywidth_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.contains("code=\"415\",model=\"tiny\""), "{text}");
}

#[test]
fn demand_and_capacity_are_told_and_what_never_happened_is_zero() {
    let (server, gate) = gated(|options| {
        options.scheduler = QueueSettings { max_batch: 1, max_queue: 1, ..SETTINGS };
    });
    for begins in [
        "anywidth_images_total{model=\"grey\"}",
        "anywidth_deadline_misses_total{how=\"shed\",model=\"tiny\"}",
        "anywidth_deadline_misses_total{how=\"late\",model=\"tiny\"}",
        "anywidth_refusals_total{reason=\"memory_full\"}",
        "anywidth_refusals_total{reason=\"queue_full\"}",
    ] {
        assert_eq!(server.metric(begins), Some(0.0), "{begins}");
    }
    assert_eq!(server.metric("anywidth_width_ceiling"), Some(1.0));
    let mut waiting = vec![send_only(&server)];
    assert_eq!(gate.arrived.recv(), Ok(GateStep::Batch(1)));
    waiting.push(send_only(&server));
    server.until(|| server.metric("anywidth_queue_length") == Some(1.0));
    server.post("/classify", &png(1)).error(503, "queue_full");
    // Two were accepted, one was refused: all three were wanted.
    assert_eq!(server.metric("anywidth_images_total{model=\"tiny\"}"), Some(3.0));
    for _ in 0..2 {
        gate.open.send(()).unwrap();
    }
    for stream in waiting {
        assert!(answer_of(stream).starts_with("HTTP/1.1 200 "));
    }
    // The batch that ran last may still be on its way into both.
    server.until(|| {
        let profile = server.get("/profile").json();
        let tiny = profile["models"].as_array().unwrap().iter().find(|model| model["version"] == "2").unwrap();
        let told = tiny["capacity_at_full_width"].as_f64().unwrap();
        let capacity = server.metric("anywidth_capacity_images_per_second{model=\"tiny\"}").unwrap();
        capacity > 0.0 && (capacity / told - 1.0).abs() < 1e-9
    });
}

#[test]
fn readiness_is_a_metric_as_well() {
    let (gate, wrap) = Gated::behind_gate();
    let server = Server::with(Options { wrap: Box::new(wrap), ..Options::default() });
    assert_eq!(gate.arrived.recv(), Ok(GateStep::WarmUp));
    assert_eq!(server.metric("anywidth_ready"), Some(0.0));
    gate.open.send(()).unwrap();
    server.await_ready();
    assert_eq!(server.metric("anywidth_ready"), Some(1.0));
}

#[test]
fn the_models_are_listed_with_what_they_read_and_answer() {
    let server = Server::start();
    let body = server.get("/models").json();
    assert_eq!((&body["default"], &body["rejected"]), (&json!("tiny"), &json!([])));
    let tiny = &body["models"][1];
    assert_eq!((&tiny["name"], &tiny["versions"], &tiny["version"]), (&json!("tiny"), &json!(["1", "2"]), &json!("2")));
    assert_eq!(tiny["input"], json!({ "channels": 3, "height": 32, "width": 32 }));
    assert_eq!(tiny["preprocessing"], json!({ "crop": 1.0, "range": [0.0, 1.0] }));
    assert_eq!((&tiny["classes"], &tiny["labels"][9]), (&json!(10), &json!("class 9")));
    assert_eq!(tiny["accuracy"], json!([{ "width": 0.5, "accuracy": 0.6 }, { "width": 1, "accuracy": 0.75 }]));
    assert_eq!(tiny["evaluation"], json!({ "split": "validation", "images": 2000 }));
    assert_eq!(body["models"][0]["evaluation"], json!(null));
    assert_eq!(tiny["widths"].as_array().unwrap().last().unwrap().as_f64(), Some(1.0));

    let home = server.get("/").json();
    assert_eq!((&home["name"], &home["models"]), (&json!("anywidth"), &json!(["grey", "tiny"])));
    for path in ["/", "/models", "/profile", "/metrics", "/livez", "/readyz"] {
        let head = server.send("HEAD", path, &[], &[]);
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
    }
}

#[test]
fn every_answer_has_a_request_id_the_callers_own_where_it_can_be_logged() {
    let server = Server::start();
    let id =
        |sent: &str| server.send("GET", "/livez", &[("x-request-id", sent)], &[]).header("x-request-id").to_owned();
    assert_eq!(id("abc-123"), "abc-123");
    assert_eq!(server.send("GET", "/nowhere", &[("x-request-id", "abc")], &[]).header("x-request-id"), "abc");
    assert_ne!(id(&"x".repeat(129)).len(), 129);
    assert_ne!(id("two words"), "two words");
    let (one, two) = (server.get("/livez"), server.get("/livez"));
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
}

#[test]
fn at_the_end_requests_under_way_are_answered() {
    let (mut server, gate) = gated(|_| {});
    let under_way = send_only(&server);
    assert_eq!(gate.arrived.recv(), Ok(GateStep::Batch(1)));
    server.stop();
    server.until(|| TcpStream::connect(server.address).is_err());
    gate.open.send(()).unwrap();
    assert!(answer_of(under_way).starts_with("HTTP/1.1 200 "));
    server.stopped();
}

#[test]
fn until_the_wait_is_over_the_server_only_says_that_it_is_not_ready() {
    let mut server = Server::with(Options { drain: Drain { wait: FOREVER, ..DRAIN }, ..Options::default() });
    server.await_ready();
    assert!(server.get("/livez").headers.get("connection").is_none());
    server.stop();
    server.until(|| server.get("/readyz").status == 503);
    for answer in [server.get("/livez"), server.post("/classify", &png(1))] {
        assert_eq!((answer.status, answer.header("connection")), (200, "close"));
    }
}

#[test]
fn what_the_system_has_accepted_is_answered_at_the_end() {
    // One connection is for the metrics, and stays open; one is left, and the second request waits with the system.
    let (mut server, gate) = gated(|options| options.limits.max_connections = 2);
    let first = send_only(&server);
    assert_eq!(gate.arrived.recv(), Ok(GateStep::Batch(1)));
    let second = send_only(&server);
    server.stop();
    server.until(|| TcpStream::connect(server.address).is_err());
    for stream in [first, second] {
        gate.open.send(()).unwrap();
        assert!(answer_of(stream).starts_with("HTTP/1.1 200 "));
    }
    server.stopped();
}

#[test]
fn requests_that_come_with_the_end_are_answered() {
    for _ in 0..10 {
        let mut server = Server::start();
        let sent: Vec<_> = (0..8).map(|_| send_only(&server)).collect();
        server.stop();
        for stream in sent {
            assert!(answer_of(stream).starts_with("HTTP/1.1 200 "));
        }
        server.stopped();
    }
}

#[test]
fn at_the_bound_new_connections_wait_until_one_ends() {
    // One is for the metrics, and stays open; one is left.
    let (server, gate) = gated(|options| options.limits.max_connections = 2);
    let first = send_only(&server);
    assert_eq!(gate.arrived.recv(), Ok(GateStep::Batch(1)));
    let second = send_only(&server);
    for _ in 0..100 {
        assert_eq!(server.metric("anywidth_requests_in_flight"), Some(1.0));
    }
    gate.open.send(()).unwrap();
    assert!(answer_of(first).starts_with("HTTP/1.1 200 "));
    assert_eq!(gate.arrived.recv(), Ok(GateStep::Batch(1)));
    gate.open.send(()).unwrap();
    assert!(answer_of(second).starts_with("HTTP/1.1 200 "));
}

#[test]
fn the_end_does_not_wait_for_callers_who_ask_nothing() {
    let (mut server, _gate) = gated(|_| {});
    let mut idle = TcpStream::connect(server.address).unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    let mut status = [0; 12];
    idle.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    server.stop();
    server.stopped();
    let mut rest = String::new();
    idle.read_to_string(&mut rest).unwrap();
}

#[test]
fn the_end_does_not_wait_longer_than_it_may() {
    let (mut server, gate) = gated(|options| options.drain.timeout = Duration::ZERO);
    let _under_way = send_only(&server);
    assert_eq!(gate.arrived.recv(), Ok(GateStep::Batch(1)));
    server.stop();
    server.stopped();
}
