//! What one request may take, all of them together, and how long they get when the server stops.

use std::time::Duration;

/// The limits of a request, and of all requests together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Bytes of its body.
    pub max_body_bytes: usize,
    /// Files in its body.
    pub max_files: usize,
    /// Time that its headers may take to arrive, and then its body.
    pub read_timeout: Duration,
    /// Time that a connection may be open without a request.
    pub keep_alive_timeout: Duration,
    /// Bytes of all bodies in progress together; at least as many as one body may have.
    pub max_bytes_in_flight: usize,
    /// Connections open at once; at least one.
    pub max_connections: usize,
}

/// How the server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// How long it still takes connections and requests, while it says that it is not ready.
    pub wait: Duration,
    /// How long requests in progress then get to finish.
    pub timeout: Duration,
}
