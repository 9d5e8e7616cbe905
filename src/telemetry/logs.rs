//! Structured logs on standard error: text for people, JSON for machines. Nobody who logs a line waits for whoever reads it.

use std::io::{IsTerminal, stderr};

use thiserror::Error;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;

use super::Lines;

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LogFormat {
    /// For people: one line, coloured on a terminal.
    Text,
    /// For machines: one JSON object per line.
    Json,
}

/// Why a text does not say what to log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a log filter, such as `info` or `anywidth=debug`")]
pub struct LogFilterError;

/// Reads what to log: a level, or levels per module (`info`, `warn,anywidth::server=debug`).
///
/// # Errors
/// [`LogFilterError`] when the text is none of these.
pub fn log_filter(text: &str) -> Result<EnvFilter, LogFilterError> {
    EnvFilter::builder().parse(text).map_err(|_| LogFilterError)
}

/// What writes the log to `lines`, which lead to standard error; the binary installs it, tests need none.
pub fn subscriber(format: LogFormat, filter: EnvFilter, lines: Lines) -> Box<dyn Subscriber + Send + Sync> {
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(lines);
    match format {
        LogFormat::Text => Box::new(registry.with(lines.with_ansi(stderr().is_terminal()))),
        LogFormat::Json => Box::new(registry.with(lines.json().flatten_event(true))),
    }
}
