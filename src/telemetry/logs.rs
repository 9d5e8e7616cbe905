//! Structured logs on standard error: text for people, JSON for machines. Nobody who logs a line waits for whoever reads it.

use std::io::{IsTerminal, stderr};
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;

use super::Lines;

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LogFormat {
    /// For people: one line, coloured on a terminal.
    Text,
    /// For machines: one JSON object per line.
    Json,
}

/// What is logged: a level, or levels by module (`info`, `warn,anywidth::server=debug`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogFilter(String);

/// A text that names no log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a log format: text or json")]
pub struct LogFormatError;

/// A text that is no log filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a log filter, such as `info` or `anywidth=debug`")]
pub struct LogFilterError;

/// What writes the log to `lines`, which lead to standard error; the binary installs it, tests need none.
pub fn subscriber(format: LogFormat, filter: &LogFilter, lines: Lines) -> Box<dyn Subscriber + Send + Sync> {
    let registry = tracing_subscriber::registry().with(EnvFilter::builder().parse_lossy(&filter.0));
    let lines = tracing_subscriber::fmt::layer().with_writer(lines);
    match format {
        LogFormat::Text => Box::new(registry.with(lines.with_ansi(stderr().is_terminal()))),
        LogFormat::Json => Box::new(registry.with(lines.json().flatten_event(true))),
    }
}

impl FromStr for LogFormat {
    type Err = LogFormatError;

    fn from_str(text: &str) -> Result<LogFormat, LogFormatError> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(LogFormatError),
        }
    }
}

impl FromStr for LogFilter {
    type Err = LogFilterError;

    fn from_str(text: &str) -> Result<LogFilter, LogFilterError> {
        let filter = EnvFilter::builder().parse(text);
        filter.map(|_| LogFilter(text.to_owned())).map_err(|_| LogFilterError)
    }
}
