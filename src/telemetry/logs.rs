//! Structured logs on standard error, as text or JSON. Logging never waits for the reader.

use std::io::{IsTerminal, stderr};
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;

use super::Lines;

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LogFormat {
    /// Text, one line per event, coloured on a terminal.
    Text,
    /// One JSON object per line.
    Json,
}

/// Which events are logged: a level, or levels by module (`info`, `warn,anywidth::server=debug`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogFilter(String);

/// The text is not a log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a log format: text or json")]
pub struct LogFormatError;

/// The text is not a log filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a log filter, such as `info` or `anywidth=debug`")]
pub struct LogFilterError;

/// The subscriber that writes the log to `lines`, which must lead to standard error. Only the binary installs it.
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
