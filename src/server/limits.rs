//! Limits of one request and of all together, and the timing of a shutdown.

use std::time::Duration;

/// Limits of one request, and of all requests together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Maximum size of a body.
    pub max_body_bytes: usize,
    /// Maximum number of files in a form.
    pub max_files: usize,
    /// Longest time for the headers to arrive, and then for the body.
    pub read_timeout: Duration,
    /// Longest time that a connection may be idle.
    pub keep_alive_timeout: Duration,
    /// Maximum size of all bodies in progress together; at least `max_body_bytes`.
    pub max_bytes_in_flight: usize,
    /// Maximum number of open connections; at least one.
    pub max_connections: usize,
}

/// The timing of a shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// How long the server still accepts connections and requests while it reports that it is not ready.
    pub wait: Duration,
    /// How long requests in progress then have to finish.
    pub timeout: Duration,
}
