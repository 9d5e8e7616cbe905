//! The binary: run to its end, or as a server that ends with the test.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};

/// The binary with these arguments, and no variable of whoever runs the tests.
pub fn anywidth(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anywidth"));
    command.args(arguments).env_clear();
    command
}

pub fn run(arguments: &[&str]) -> Output {
    anywidth(arguments).output().unwrap()
}

/// Checks that the command ends with this code, and gives what it wrote on standard error.
pub fn fails(arguments: &[&str], code: i32) -> String {
    failed(&run(arguments), code)
}

/// Checks that a command ended with this code, and gives what it wrote on standard error.
pub fn failed(output: &Output, code: i32) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

/// A server that is ended with the test, whatever happens.
pub struct Running {
    process: Child,
    /// Where it listens.
    pub url: String,
    /// What it says of its models, and what to try.
    pub greeting: String,
}

impl Running {
    /// Starts a command that serves, and reads what it says first.
    pub fn start(mut command: Command) -> Running {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let lines: Vec<String> = lines.take_while(|line| !line.starts_with("Stop:")).collect();
        let mut running = Running { process, url: String::new(), greeting: lines.join("\n") };
        let Some((_, url)) = lines.first().and_then(|line| line.split_once("listens on ")) else {
            let log: Vec<_> = running.log().lines().map_while(Result::ok).collect();
            panic!("it does not listen: {log:?}");
        };
        running.url = url.to_owned();
        running
    }

    pub fn port(&self) -> &str {
        self.url.rsplit(':').next().unwrap()
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }

    /// What it wrote on standard error, to be read once it has ended.
    pub fn log(&mut self) -> BufReader<ChildStderr> {
        BufReader::new(self.process.stderr.take().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
