//! Settings, typed and validated before any port is bound.
//!
//! [`Flags`] is the one list of settings: a flag, its `ANYWIDTH_*` variable, and its key in a file ([`File`]), which clap
//! is told as defaults, so that a flag beats a variable, and a variable the file. [`Config`] is what holds, [`Origins`] says
//! where each came from.

mod cors;
mod file;
mod flags;
mod origin;
mod setting;
mod variables;

use std::time::Duration;

use thiserror::Error;
use tracing_subscriber::EnvFilter;

use crate::engine::Width;
use crate::image::ImageLimits;
use crate::policy::QueueSettings;
use crate::repository::Source;
use crate::telemetry::{LogFilterError, LogFormat, log_filter};

pub use cors::{CorsOrigin, NotAnOrigin};
pub use file::{File, FileError, Problem};
pub use flags::{Address, Flags};
pub use origin::{Origin, Origins};
pub use setting::Setting;
pub(crate) use setting::width;
pub use variables::unknown_variables;

/// Settings that hold.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub address: Address,
    /// Where the models come from.
    pub source: Source,
    /// The model that answers when none is named.
    pub default_model: Option<String>,
    /// Threads, batches and queue.
    pub scheduler: QueueSettings,
    /// The narrowest width that load may choose.
    pub narrowest: Width,
    /// What one image may be.
    pub image: ImageLimits,
    /// What one request may be.
    pub request: RequestLimits,
    /// Whose pages may ask, where they are not the server's own.
    pub cors_origins: Vec<CorsOrigin>,
    /// How the server ends.
    pub drain: Drain,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_filter: EnvFilter,
}

/// What a request may be at most, and all of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Bytes of its body.
    pub max_body_bytes: usize,
    /// Files in its body.
    pub max_files: usize,
    /// Time that its head may take to arrive, and then its body.
    pub read_timeout: Duration,
    /// Time that a connection may be open without a request.
    pub keep_alive_timeout: Duration,
    /// Bytes of all bodies under way together; at least as many as one body may have.
    pub max_bytes_in_flight: usize,
    /// Connections open at once; at least one.
    pub max_connections: usize,
}

/// How the server ends once it is asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// How long it still takes connections and requests, while it says that it is not ready.
    pub wait: Duration,
    /// How long requests under way then get to finish.
    pub timeout: Duration,
}

/// Why settings do not hold.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A number outside its range.
    #[error("{flag} is {value}: it must be from {least} to {most}")]
    Range {
        /// The flag that sets it.
        flag: &'static str,
        /// What it is.
        value: u64,
        /// The least allowed.
        least: u64,
        /// The most allowed.
        most: u64,
    },
    /// A time of nothing, or beyond an hour.
    #[error("--default-budget-ms is {0}: it must be above 0 and up to {HOUR_MS}")]
    Budget(f64),
    /// Both a folder and a file to serve.
    #[error("models come from a folder (--models, ANYWIDTH_MODELS) or one file (--model, ANYWIDTH_MODEL), not both")]
    TwoSources,
    /// A request that could never be taken.
    #[error("--max-files is {max_files}, but only {queue_limit} images may wait (--queue-limit)")]
    FilesBeyondQueue {
        /// Files that one request may have.
        max_files: usize,
        /// Images that may wait.
        queue_limit: usize,
    },
    /// The log filter cannot be read.
    #[error("--log: {0}")]
    Log(#[from] LogFilterError),
}

impl ConfigError {
    /// The flag whose value it is, where it is the value of one.
    pub fn flag(&self) -> Option<&'static str> {
        match self {
            ConfigError::Range { flag, .. } => Some(flag),
            ConfigError::Budget(_) => Some("--default-budget-ms"),
            ConfigError::Log(_) => Some("--log"),
            ConfigError::TwoSources | ConfigError::FilesBeyondQueue { .. } => None,
        }
    }
}

const MOST_THREADS: u64 = 1024;
const HOUR_MS: u64 = 3_600_000;

impl Flags {
    /// Checks every value. `cores` is how many worker threads there are by default.
    ///
    /// # Errors
    /// [`ConfigError`] names the flag, its value and what is allowed.
    pub fn validate(self, cores: usize) -> Result<Config, ConfigError> {
        let threads = self.threads.unwrap_or(cores);
        range("--threads", threads as u64, 1, MOST_THREADS)?;
        let decoders = self.decoders.unwrap_or((threads / 2).max(1));
        range("--decoders", decoders as u64, 1, threads as u64)?;
        if !(self.default_budget_ms > 0.0 && self.default_budget_ms <= HOUR_MS as f64) {
            return Err(ConfigError::Budget(self.default_budget_ms));
        }
        range("--max-batch", self.max_batch as u64, 1, 1024)?;
        range("--queue-limit", self.queue_limit as u64, 1, 1 << 20)?;
        range("--max-connections", self.max_connections as u64, 1, 1 << 20)?;
        range("--max-body-bytes", self.max_body_bytes as u64, 1, 1 << 32)?;
        range("--max-bytes-in-flight", self.max_bytes_in_flight as u64, self.max_body_bytes as u64, 1 << 40)?;
        range("--max-pixels", self.max_pixels, 1, 1 << 32)?;
        range("--max-files", self.max_files as u64, 1, 1 << 20)?;
        range("--read-timeout-ms", self.read_timeout_ms, 1, HOUR_MS)?;
        range("--keep-alive-timeout-ms", self.keep_alive_timeout_ms, 1, HOUR_MS)?;
        range("--drain-wait-ms", self.drain_wait_ms, 0, HOUR_MS)?;
        range("--drain-timeout-ms", self.drain_timeout_ms, 0, HOUR_MS)?;
        if self.max_files > self.queue_limit {
            let (max_files, queue_limit) = (self.max_files, self.queue_limit);
            return Err(ConfigError::FilesBeyondQueue { max_files, queue_limit });
        }
        let source = match (self.models, self.model) {
            (Some(_), Some(_)) => return Err(ConfigError::TwoSources),
            (Some(folder), None) => Source::Folder(folder),
            (None, Some(file)) => Source::File(file),
            (None, None) => Source::Embedded,
        };
        Ok(Config {
            address: self.address,
            source,
            default_model: self.default_model,
            scheduler: QueueSettings {
                workers: threads,
                decoders,
                max_batch: self.max_batch,
                max_queue: self.queue_limit,
                default_budget: Duration::from_secs_f64(self.default_budget_ms / 1e3),
            },
            narrowest: self.narrowest,
            image: ImageLimits { max_bytes: self.max_body_bytes, max_pixels: self.max_pixels },
            request: RequestLimits {
                max_body_bytes: self.max_body_bytes,
                max_files: self.max_files,
                read_timeout: Duration::from_millis(self.read_timeout_ms),
                keep_alive_timeout: Duration::from_millis(self.keep_alive_timeout_ms),
                max_bytes_in_flight: self.max_bytes_in_flight,
                max_connections: self.max_connections,
            },
            cors_origins: self.cors_origin,
            drain: Drain {
                wait: Duration::from_millis(self.drain_wait_ms),
                timeout: Duration::from_millis(self.drain_timeout_ms),
            },
            log_format: self.log_format,
            log_filter: log_filter(&self.log)?,
        })
    }
}

fn range(flag: &'static str, value: u64, least: u64, most: u64) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(ConfigError::Range { flag, value, least, most }) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        flags: Flags,
    }

    fn validate(arguments: &[&str]) -> Result<Config, ConfigError> {
        let arguments = std::iter::once("anywidth").chain(arguments.iter().copied());
        Command::try_parse_from(arguments).unwrap().flags.validate(4)
    }

    #[test]
    fn the_defaults_hold() {
        let config = validate(&[]).unwrap();
        assert_eq!(
            (config.address.host.as_str(), config.address.port, config.scheduler.workers),
            ("127.0.0.1", 8080, 4)
        );
        assert_eq!(config.image, ImageLimits::default());
        assert_eq!(config.source, Source::Embedded);
    }

    #[test]
    fn a_value_out_of_range_names_its_flag_and_what_is_allowed() {
        let error = |arguments: &[&str]| validate(arguments).unwrap_err().to_string();
        assert_eq!(error(&["--threads", "0"]), "--threads is 0: it must be from 1 to 1024");
        assert_eq!(error(&["--threads", "2", "--decoders", "3"]), "--decoders is 3: it must be from 1 to 2");
        for (text, says) in [("0", "0"), ("nan", "NaN"), ("3600001", "3600001")] {
            let message = format!("--default-budget-ms is {says}: it must be above 0 and up to 3600000");
            assert_eq!(error(&["--default-budget-ms", text]), message);
        }
        assert_eq!(error(&["--max-batch", "0"]), "--max-batch is 0: it must be from 1 to 1024");
        assert_eq!(error(&["--queue-limit", "10"]), "--max-files is 64, but only 10 images may wait (--queue-limit)");
        assert!(error(&["--log", "a=b=c"]).starts_with("--log: not a log filter"));
    }

    #[test]
    fn a_folder_and_a_file_exclude_each_other() {
        assert!(matches!(validate(&["--models", "a", "--model", "b"]), Err(ConfigError::TwoSources)));
        assert_eq!(validate(&["--model", "b.onnx"]).unwrap().source, Source::File("b.onnx".into()));
    }
}
