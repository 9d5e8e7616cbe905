//! `anywidth healthcheck`: checks whether the server on this machine is ready, for containers without a shell or `curl`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde::Deserialize;

use super::{Failure, print};
use crate::config::{Address, Sources};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Longest time to wait for the answer; raise it if probes fail on an overloaded machine
    #[arg(long, default_value_t = 1000, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    timeout_ms: u64,
}

/// The body of `/readyz`.
#[derive(Deserialize)]
struct Readiness {
    ready: bool,
    #[serde(default)]
    error: String,
}

/// Longest answer read. The real one has a few hundred bytes; a longer one is from another program.
const MAX_BYTES: u64 = 16 << 10;

pub(super) fn run(arguments: &Arguments, sources: &Sources) -> Result<(), Failure> {
    let address = Address::read(sources).map_err(|error| Failure::Usage(error.into()))?;
    if address.port == 0 {
        return Err(Failure::Usage(anyhow!("--port is 0: set the port that the server listens on")));
    }
    ask(&address, Duration::from_millis(arguments.timeout_ms))?;
    Ok(print("ready\n")?)
}

/// Fails unless the server reports within `timeout` that it is ready.
fn ask(address: &Address, timeout: Duration) -> anyhow::Result<()> {
    let address = resolve(address)?;
    let answer = exchange(address, Instant::now() + timeout).map_err(|error| match error.kind() {
        // Which of the two a timeout yields depends on the platform.
        ErrorKind::TimedOut | ErrorKind::WouldBlock => anyhow!("no answer from {address} within {timeout:?}"),
        ErrorKind::ConnectionRefused => anyhow!("nothing listens on {address}"),
        _ => anyhow!(error).context(format!("cannot reach {address}")),
    })?;
    let Some(Readiness { ready, error }) = readiness(&answer) else {
        bail!("the server on {address} is not anywidth");
    };
    if ready { Ok(()) } else { bail!("not ready: {error}") }
}

/// The address under which the same machine reaches a server that listens on `host` and `port`: an unspecified address
/// becomes loopback.
fn resolve(Address { host, port }: &Address) -> anyhow::Result<SocketAddr> {
    let mut addresses = (host.as_str(), *port).to_socket_addrs().with_context(|| format!("cannot resolve {host:?}"))?;
    let mut address = addresses.next().with_context(|| format!("{host:?} has no address"))?;
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(address)
}

/// Sends the request and reads the whole answer, all of it before the deadline.
fn exchange(address: SocketAddr, deadline: Instant) -> io::Result<Vec<u8>> {
    let left = || match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::Error::from(ErrorKind::TimedOut)),
        left => Ok(left),
    };
    let mut stream = TcpStream::connect_timeout(&address, left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    // One write, so that the server reads the whole request before it answers.
    stream.write_all(format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut stream = stream.take(MAX_BYTES);
    loop {
        stream.get_ref().set_read_timeout(Some(left()?))?;
        let mut piece = [0; 1024];
        match stream.read(&mut piece)? {
            0 => return Ok(answer),
            length => answer.extend_from_slice(&piece[..length]),
        }
    }
}

/// The readiness in an HTTP answer; `None` unless it is an answer of anywidth's `/readyz`.
fn readiness(answer: &[u8]) -> Option<Readiness> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let readiness: Readiness = serde_json::from_str(body).ok()?;
    let status = if readiness.ready { " 200 " } else { " 503 " };
    (head.starts_with("HTTP/1.1") && head[8..].starts_with(status)).then_some(readiness)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(answer: &str) -> Option<(bool, String)> {
        readiness(answer.as_bytes()).map(|Readiness { ready, error }| (ready, error))
    }

    #[test]
    fn only_an_answer_of_readyz_says_anything() {
        let ready = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"ready\":true}";
        assert_eq!(says(ready), Some((true, String::new())));
        let warming =
            "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"ready\":false,\"error\":\"warming\",\"code\":\"not_ready\"}";
        assert_eq!(says(warming), Some((false, "warming".to_owned())));
        for strange in [
            "",
            "SSH-2.0-OpenSSH_9.2\r\n",
            "HTTP/1.1 200 OK\r\n\r\nready",
            "HTTP/1.1 200 OK\r\n\r\n{}",
            "HTTP/1.1 404 Not Found\r\n\r\n{\"ready\":true}",
            "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"ready\":true}",
            "HTTP/1.1 200 OK\r\n\r\n{\"ready\":true} and more",
        ] {
            assert_eq!(says(strange), None, "{strange:?}");
        }
        assert!(readiness(b"HTTP/1.1 200 OK\r\n\r\n\xff").is_none());
    }

    #[test]
    fn a_server_that_listens_everywhere_is_asked_on_loopback() {
        let address =
            |host: &str| resolve(&Address { host: host.to_owned(), port: 80 }).map(|address| address.to_string());
        assert_eq!(address("0.0.0.0").unwrap(), "127.0.0.1:80");
        assert_eq!(address("::").unwrap(), "[::1]:80");
        assert_eq!(address("127.0.0.2").unwrap(), "127.0.0.2:80");
        assert!(address("").is_err());
    }
}
