//! The log: whoever should read it and does not, or has gone, holds up nobody.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Write};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::support::binary::anywidth;
use crate::support::images::png;

/// A pipe that has no room left.
fn full_pipe() -> (PipeReader, PipeWriter) {
    const O_NONBLOCK: i32 = 0o4000;
    let (reader, writer) = io::pipe().unwrap();
    // Another handle of the same pipe, which says that it is full instead of waiting.
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let mut filler = OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(path).unwrap();
    let full = loop {
        if let Err(error) = filler.write(b"x") {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    (reader, writer)
}

/// A server whose standard output and standard error both are this pipe; it ends with the test.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(output: PipeWriter) -> Server {
        Server::start_with(|command| with_output(command, output))
    }

    fn start_with(change: impl FnOnce(Command) -> Command) -> Server {
        // Where it listens is not to be read from its output. No other test takes ports of this address.
        const HOST: &str = "127.0.0.2";
        let port = TcpListener::bind((HOST, 0)).unwrap().local_addr().unwrap().port().to_string();
        let place = ["serve", "--host", HOST, "--port", &port];
        let options = ["--threads", "1", "--log", "debug", "--default-budget-ms", "600000"];
        let process = change(anywidth(&[&place[..], &options].concat())).spawn().unwrap();
        let server = Server { process, url: format!("http://{HOST}:{port}") };
        let began = Instant::now();
        while ureq::get(format!("{}/readyz", server.url)).call().is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "it is not ready");
        }
        server
    }

    /// Lines that were dropped, as its metrics tell.
    fn dropped(&self) -> u64 {
        let mut metrics = ureq::get(format!("{}/metrics", self.url)).call().unwrap();
        let text = metrics.body_mut().read_to_string().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("anywidth_log_lines_dropped_total ")).unwrap();
        line.parse().unwrap()
    }

    fn classify(&self) {
        assert_eq!(ureq::post(format!("{}/classify", self.url)).send(&png(1)[..]).unwrap().status(), 200);
    }

    /// Asks it to stop, and gives its exit code.
    fn stop(mut self) -> Option<i32> {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.process.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn with_output(mut command: Command, output: PipeWriter) -> Command {
    command.stdout(output.try_clone().unwrap()).stderr(output);
    command
}

#[test]
fn a_server_whose_output_nobody_reads_answers_counts_what_it_drops_and_stops() {
    let (_reader, writer) = full_pipe();
    let server = Server::start(writer);
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    // More than may wait to be written.
    for _ in 0..5000 {
        assert_eq!(agent.get(format!("{}/nowhere", server.url)).call().unwrap().status(), 404);
    }
    server.classify();
    assert!(server.dropped() > 0);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_server_whose_output_is_closed_answers_counts_what_is_lost_and_stops() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let server = Server::start(writer);
    server.classify();
    let began = Instant::now();
    while server.dropped() == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing is counted");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_server_whose_log_may_not_grow_answers_counts_what_is_lost_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let log = File::create(folder.path().join("log")).unwrap();
    let server = Server::start_with(|mut command| {
        // In units of 512 or 1024 bytes, as the shell has it: a few lines.
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -f 1; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
        command = limited;
        command.stdout(log.try_clone().unwrap()).stderr(log.try_clone().unwrap());
        command
    });
    let began = Instant::now();
    while server.dropped() == 0 {
        server.classify();
        assert!(began.elapsed() < Duration::from_secs(60), "nothing is counted");
    }
    server.classify();
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_command_ends_although_nobody_takes_its_error() {
    let (_reader, full) = full_pipe();
    let (reader, closed) = io::pipe().unwrap();
    drop(reader);
    for output in [full, closed] {
        for arguments in [&["serve", "--model", "/nowhere"][..], &["inspect", "/nowhere/a.onnx"]] {
            let status = with_output(anywidth(arguments), output.try_clone().unwrap()).status().unwrap();
            assert_eq!(status.code(), Some(1), "{arguments:?}");
        }
    }
}
