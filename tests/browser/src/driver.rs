//! The browser's driver as a child process on a free port.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

/// A running chromedriver; dropping it terminates it and its browsers.
#[derive(Debug)]
pub(crate) struct Driver {
    process: Child,
    port: u16,
}

/// The text before its port, printed once it listens.
const STARTED: &str = "started successfully on port ";
/// Timeout of its termination.
const END_TIMEOUT: Duration = Duration::from_secs(20);

impl Driver {
    pub(crate) fn start() -> Result<Driver> {
        // Runs in its own session, as on a desktop: Linux shares the processor between sessions first, so the browser
        // does not starve the low-priority workers.
        let mut process = Command::new("setsid")
            .args(["chromedriver", "--port=0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("chromedriver does not start: tests/browser/install.sh installs it")?;
        let said = process.stdout.take().context("it has an output")?;
        let port = BufReader::new(said).lines().map_while(|line| line.ok()).find_map(|line| port(&line));
        let port = port.context("chromedriver ended before it listened")?;
        Ok(Driver { process, port })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Requests the end of all sessions, and waits for it.
    fn shut_down(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(END_TIMEOUT))?;
        stream.write_all(b"GET /shutdown HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The process has ended after this, whatever the answer.
        let _ = self.shut_down();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn port(line: &str) -> Option<u16> {
    line.split_once(STARTED)?.1.trim_end_matches('.').trim().parse().ok()
}
