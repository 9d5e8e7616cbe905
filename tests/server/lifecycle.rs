//! The binary as those see it who start it, ask whether it is ready, and stop it.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::binary::{Running, anywidth, failed, fails, run};
use crate::support::images::png;

/// Longer than any test, in milliseconds.
const FOREVER: &str = "3600000";

/// A server of an embedded model on a port of its own, with these arguments more.
fn serve(arguments: &[&str]) -> Running {
    Running::start(anywidth(&[&["serve", "--port", "0", "--threads", "1"], arguments].concat()))
}

fn healthcheck(port: &str) -> Output {
    run(&["healthcheck", "--port", port])
}

/// Asks until the outcome is this one. A busy machine takes seconds to start a server, none takes this long.
fn until(holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "it still does not hold");
    }
}

/// Checks that a healthcheck failed with one line on standard error, and gives the line.
fn unhealthy(output: &Output) -> String {
    let text = failed(output, 1);
    assert_eq!((text.lines().count(), output.stdout.len()), (1, 0), "{text}");
    text.trim_end().to_owned()
}

#[test]
fn a_healthcheck_says_ready_once_the_server_is() {
    let server = serve(&[]);
    until(|| healthcheck(server.port()).status.success());
    let output = healthcheck(server.port());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "ready\n");
    // As in a container, where one variable says it to both, and the server listens on every address.
    let output =
        anywidth(&["healthcheck"]).env("ANYWIDTH_PORT", server.port()).env("ANYWIDTH_HOST", "0.0.0.0").output();
    assert_eq!(output.unwrap().status.code(), Some(0));
}

#[test]
fn a_healthcheck_says_in_one_line_why_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let output = run(&["healthcheck", "--port", &port, "--timeout-ms", "50"]);
    assert_eq!(unhealthy(&output), format!("error: no answer from 127.0.0.1:{port} within 50ms"));
    // The one that gave up waits in the listener still.
    drop(listener.accept().unwrap());

    let stranger = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 256];
        let length = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready").unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    assert_eq!(unhealthy(&healthcheck(&port)), format!("error: the server on 127.0.0.1:{port} is not anywidth"));
    let request = stranger.join().unwrap();
    assert!(request.starts_with("GET /readyz HTTP/1.1\r\n"), "{request}");
    assert_eq!(unhealthy(&healthcheck(&port)), format!("error: nothing listens on 127.0.0.1:{port}"));

    let endless = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = endless.local_addr().unwrap().port().to_string();
    let flood = thread::spawn(move || {
        let (mut stream, _) = endless.accept().unwrap();
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    assert!(unhealthy(&healthcheck(&port)).ends_with("is not anywidth"));
    flood.join().unwrap();

    assert!(fails(&["healthcheck", "--port", "0"], 2).contains("--port is 0"));
    assert!(fails(&["healthcheck", "--timeout-ms", "0"], 2).contains("1..=60000"));
}

/// The process's own handlers of signals, as bits: without one, process 1 is not told.
#[cfg(target_os = "linux")]
fn handled(process: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_ends_every_command_at_once_before_it_has_read_anything() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe").to_str().unwrap().to_owned();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for arguments in [
        &["--config", &pipe][..],
        &["serve", "--config", &pipe],
        &["config", "--config", &pipe],
        &["healthcheck", "--config", &pipe],
        &["classify", &pipe],
        &["profile", &pipe],
    ] {
        for (name, number, code) in [("-TERM", 15, 143), ("-INT", 2, 130)] {
            let mut process = anywidth(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            // Opens as soon as the process does, which then waits for what is never written.
            let writer = OpenOptions::new().write(true).open(&pipe).unwrap();
            assert_eq!(handled(&process) >> (number - 1) & 1, 1, "{arguments:?} has no handler of {name}");
            assert!(Command::new("kill").args([name, &process.id().to_string()]).status().unwrap().success());
            assert_eq!(process.wait().unwrap().code(), Some(code), "{arguments:?}");
            drop(writer);
        }
    }
}

#[test]
fn who_is_asked_to_stop_is_not_ready_and_a_second_time_ends_it_at_once() {
    let mut server = serve(&["--drain-wait-ms", FOREVER, "--default-budget-ms", "60000"]);
    until(|| healthcheck(server.port()).status.success());
    server.terminate();
    until(|| !healthcheck(server.port()).status.success());
    let reason = unhealthy(&healthcheck(server.port()));
    assert_eq!(reason, "error: not ready: the server is warming up or stopping");
    assert_eq!(ureq::post(format!("{}/classify", server.url)).send(&png(1)[..]).unwrap().status(), 200);
    server.terminate();
    assert_eq!(server.wait().code(), Some(143));
}

#[test]
fn no_request_fails_before_the_server_is_gone() {
    // A line for each of so many requests would fill the log's pipe, which nobody reads before the end.
    let mut server = serve(&["--drain-wait-ms", "300", "--default-budget-ms", "60000", "--log", "warn"]);
    until(|| healthcheck(server.port()).status.success());
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let (url, address) = (format!("{}/classify", server.url), format!("127.0.0.1:{}", server.port()));
    let (answered, answers) = mpsc::channel();
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (agent, url, image, answered) = (agent.clone(), url.clone(), png(1), answered.clone());
            thread::spawn(move || {
                while let Ok(answer) = agent.post(&url).send(&image[..]) {
                    assert_eq!(answer.status(), 200);
                    let _ = answered.send(());
                }
            })
        })
        .collect();
    for _ in 0..100 {
        answers.recv().unwrap();
    }
    server.terminate();
    for caller in callers {
        caller.join().unwrap();
    }
    assert!(TcpStream::connect(address).is_err(), "a request failed although the server still listens");
    assert_eq!(server.wait().code(), Some(0));
}
