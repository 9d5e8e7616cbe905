//! Connections, byte by byte: when they are kept, when they end, and what those hear whose request cannot be read.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::support::images::png;
use crate::support::server::{Options, Server};
use crate::support::workers::{GateStep, Gated};

/// Longer than any test.
const FOREVER: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(20);
const LIVE: &[u8] = b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n";

/// A request to classify, with these lines more in its head.
fn classify(lines: &str) -> Vec<u8> {
    let image = png(1);
    let head = format!("POST /classify HTTP/1.1\r\nHost: here\r\n{lines}Content-Length: {}\r\n\r\n", image.len());
    [head.as_bytes(), &image].concat()
}

fn connect(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// All that comes until the server ends the connection.
fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// One answer with a length, and no more.
fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut read = |bytes: &mut Vec<u8>, upto: usize| {
        bytes.resize(upto, 0);
        let at = upto - 1;
        stream.read_exact(&mut bytes[at..]).unwrap();
    };
    while !bytes.ends_with(b"\r\n\r\n") {
        let upto = bytes.len() + 1;
        read(&mut bytes, upto);
    }
    let head = String::from_utf8(bytes.clone()).unwrap().to_lowercase();
    let length = head.split_once("content-length: ").unwrap().1.split_once('\r').unwrap().0;
    for _ in 0..length.parse::<usize>().unwrap() {
        let upto = bytes.len() + 1;
        read(&mut bytes, upto);
    }
    String::from_utf8(bytes).unwrap()
}

/// Of an answer, status and body.
fn parts(answer: &str) -> (u16, Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(head.to_lowercase().contains("\r\ncontent-type: application/json"), "{head}");
    (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
}

#[track_caller]
fn assert_error(answer: &str, status: u16, code: &str) {
    let (found, body) = parts(answer);
    assert_eq!((found, body["code"].as_str()), (status, Some(code)), "{answer}");
    assert!(!body["error"].as_str().unwrap().is_empty());
}

fn limits(keep_alive_timeout: Duration, read_timeout: Duration) -> Options {
    let mut options = Options::default();
    (options.limits.keep_alive_timeout, options.limits.read_timeout) = (keep_alive_timeout, read_timeout);
    options
}

#[test]
fn who_ends_its_own_direction_is_answered() {
    let server = Server::start();
    let image = png(1);
    let chunked = [
        b"POST /classify HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        format!("{:x}\r\n", image.len()).into_bytes(),
        image.clone(),
        b"\r\n0\r\n\r\n".to_vec(),
    ];
    for (request, begins) in [
        (LIVE.to_vec(), "HTTP/1.1 200 OK\r\n"),
        (classify(""), "HTTP/1.1 200 OK\r\n"),
        (classify("Connection: close\r\n"), "HTTP/1.1 200 OK\r\n"),
        (chunked.concat(), "HTTP/1.1 200 OK\r\n"),
        (b"GET /livez HTTP/1.0\r\n\r\n".to_vec(), "HTTP/1.0 200 OK\r\n"),
        (classify("Expect: 100-continue\r\n"), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"),
        (b"GET /nowhere HTTP/1.1\r\nHost: here\r\n\r\n".to_vec(), "HTTP/1.1 404 Not Found\r\n"),
        (
            b"POST /classify HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\nhalf".to_vec(),
            "HTTP/1.1 400 Bad Request\r\n",
        ),
    ] {
        let stream = connect(&server, &request);
        stream.shutdown(Shutdown::Write).unwrap();
        let answer = rest(stream);
        assert!(answer.starts_with(begins), "{answer:?}");
        assert!(answer.ends_with('}'), "{answer:?}");
    }
}

#[test]
fn who_ends_its_own_direction_and_waits_long_is_answered_once() {
    for lines in ["", "Expect: 100-continue\r\n"] {
        let (gate, wrap) = Gated::behind_gate();
        let server = Server::with(Options { wrap: Box::new(wrap), ..Options::default() });
        assert_eq!(gate.arrived.recv(), Ok(GateStep::WarmUp));
        gate.open.send(()).unwrap();
        server.await_ready();
        let mut stream = connect(&server, &[classify(lines), classify("")].concat());
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(gate.arrived.recv(), Ok(GateStep::Batch(1)));
        // The server may ask whether somebody is there, in no other way than by the answer's beginning.
        let mut began = [0; 7];
        stream.read_exact(&mut began).unwrap();
        assert_eq!(&began, b"HTTP/1.");
        gate.open.send(()).unwrap();
        assert_eq!(gate.arrived.recv(), Ok(GateStep::Batch(1)));
        gate.open.send(()).unwrap();
        let answers = format!("HTTP/1.{}", rest(stream));
        let each: Vec<_> = answers.matches("HTTP/1.1 ").collect();
        let interim = usize::from(!lines.is_empty());
        assert_eq!((each.len(), answers.matches("HTTP/1.1 200 OK\r\n").count()), (2 + interim, 2), "{answers}");
        assert_eq!(answers.matches("\"predictions\"").count(), 2, "{answers}");
    }
}

#[test]
fn who_is_gone_is_not_answered_in_whatever_way_it_went() {
    let (gate, wrap) = Gated::behind_gate();
    let server = Server::with(Options { wrap: Box::new(wrap), ..Options::default() });
    assert_eq!(gate.arrived.recv(), Ok(GateStep::WarmUp));
    gate.open.send(()).unwrap();
    server.await_ready();
    let first = connect(&server, &classify("Connection: close\r\n"));
    assert_eq!(gate.arrived.recv(), Ok(GateStep::Batch(1)));
    let in_flight = |count| server.until(|| server.metric("anywidth_requests_in_flight") == Some(f64::from(count)));
    // One closes its connection.
    let closed = connect(&server, &classify(""));
    in_flight(2);
    drop(closed);
    in_flight(1);
    // One ends its own direction first, and closes before it hears of it.
    let half_closed = connect(&server, &classify(""));
    half_closed.shutdown(Shutdown::Write).unwrap();
    drop(half_closed);
    in_flight(1);
    // One is reset: it leaves something unread.
    let reset = connect(&server, &[LIVE, &classify("")].concat());
    in_flight(2);
    reset.peek(&mut [0]).unwrap();
    drop(reset);
    in_flight(1);
    gate.open.send(()).unwrap();
    assert!(rest(first).starts_with("HTTP/1.1 200 "));
    server.until(|| server.metric("anywidth_jobs_abandoned_total") == Some(3.0));
    assert_eq!(server.metric("anywidth_batch_size_sum{model=\"tiny\"}"), Some(1.0));
}

#[test]
fn a_connection_is_kept_for_the_next_request_until_the_keep_alive_timeout() {
    let server = Server::with(limits(SHORT, FOREVER));
    assert_eq!(rest(connect(&server, b"")), "");
    let mut stream = connect(&server, LIVE);
    assert_eq!(parts(&answer(&mut stream)).0, 200);
    assert_eq!(rest(stream), "");
}

#[test]
fn the_time_between_requests_is_not_a_slow_head() {
    let server = Server::with(limits(FOREVER, SHORT));
    let (mut new, mut used) = (connect(&server, b""), connect(&server, LIVE));
    assert_eq!(parts(&answer(&mut used)).0, 200);
    // They were there before this one, which waits for as long as a head may take.
    assert_error(&rest(connect(&server, b"POST /classify HTTP/1.1\r\nHost: he")), 408, "slow_head");
    for stream in [&mut new, &mut used] {
        stream.write_all(LIVE).unwrap();
        assert_eq!(parts(&answer(stream)).0, 200);
    }
    // The next head of a connection is as slow as the first.
    used.write_all(b"G").unwrap();
    assert_error(&rest(used), 408, "slow_head");
}

#[test]
fn a_head_that_comes_byte_by_byte_does_not_hold_a_connection() {
    let server = Server::with(limits(FOREVER, SHORT));
    let stream = connect(&server, b"GET / HTTP/1.1\r\nHost: ");
    let mut slow = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || while slow.write_all(b"a").is_ok() {});
    let mut answer = Vec::new();
    let _ = { stream }.read_to_end(&mut answer);
    writing.join().unwrap();
    let answer = String::from_utf8(answer).unwrap();
    // So many bytes may come in the time that the head is too large before it is too slow.
    let code = if answer.contains("slow_head") { (408, "slow_head") } else { (431, "head_too_large") };
    assert_error(&answer, code.0, code.1);
}

#[test]
fn what_no_request_can_be_read_from_is_answered_like_all_errors() {
    let server = Server::start();
    let get = |target: &str, lines: &str| format!("GET {target} HTTP/1.1\r\nHost: here\r\n{lines}\r\n").into_bytes();
    let long = "a".repeat(70_000);
    let many: String = (0..150).map(|line| format!("x-{line}: a\r\n")).collect();
    for (request, status, code) in [
        (b"no request at all\r\n\r\n".to_vec(), 400, "bad_head"),
        (b"GET / HTTP/9.9\r\n\r\n".to_vec(), 400, "bad_head"),
        (get("/livez", "no colon\r\n"), 400, "bad_head"),
        (get("/livez", "Content-Length: many\r\n"), 400, "bad_head"),
        (get("/livez", "Content-Length: 1\r\nContent-Length: 2\r\n"), 400, "bad_head"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), 400, "bad_head"),
        (get(&format!("/{long}"), ""), 414, "target_too_long"),
        (get("/livez", &many), 431, "head_too_large"),
        (get("/livez", &format!("x-long: {}\r\n", long.repeat(10))), 431, "head_too_large"),
    ] {
        let answer = rest(connect(&server, &request));
        assert_error(&answer, status, code);
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        // Behind another request on the same connection as well.
        let mut kept = connect(&server, LIVE);
        assert_eq!(parts(&self::answer(&mut kept)).0, 200);
        kept.write_all(&request).unwrap();
        assert_error(&rest(kept), status, code);
    }
    let together = connect(&server, &[LIVE, b"no request at all\r\n\r\n"].concat());
    let answers = rest(together);
    let (first, second) = answers.split_at(answers.rfind("HTTP/1.1 ").unwrap());
    assert_eq!(parts(first).0, 200);
    assert_error(second, 400, "bad_head");
}

#[test]
fn at_the_end_connections_without_a_request_are_closed_at_once() {
    let mut server = Server::with(limits(FOREVER, FOREVER));
    let (new, mut used) = (connect(&server, b""), connect(&server, LIVE));
    assert_eq!(parts(&answer(&mut used)).0, 200);
    server.stop();
    assert_eq!((rest(new), rest(used)), (String::new(), String::new()));
    server.stopped();
}

#[test]
fn a_connection_speaks_the_protocol_that_it_begins_with() {
    let server = Server::with(limits(SHORT, FOREVER));
    // HTTP/2's preface, and an empty SETTINGS frame.
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for whole in [true, false] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_nodelay(true).unwrap();
        PREFACE.chunks(if whole { PREFACE.len() } else { 1 }).for_each(|part| stream.write_all(part).unwrap());
        let mut frame = [0; 9];
        stream.read_exact(&mut frame).unwrap();
        assert_eq!(frame[3], 4, "a SETTINGS frame answers");
        // Without a request it is closed.
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    // Methods that begin like the preface are HTTP/1's.
    for method in ["PUT", "PROPFIND", "P"] {
        let mut stream = connect(&server, b"");
        let head = format!("{method} /livez HTTP/1.1\r\nHost: here\r\n\r\n");
        head.as_bytes().iter().for_each(|byte| stream.write_all(&[*byte]).unwrap());
        assert_error(&answer(&mut stream), 405, "no_such_method");
    }
    let mut answer = Vec::new();
    // A reset, for the server has not read it.
    let _ = connect(&server, b"PR").read_to_end(&mut answer);
    assert!(answer.is_empty(), "half a preface is closed");
}
