//! Settings, typed and validated before any port is bound.
//!
//! [`Flags`] is what was typed, on the command line or in `ANYWIDTH_*` variables; [`Config`] is what holds. Later
//! sources (a file) join in between. Reads nothing itself: clap is handed the arguments.

use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use thiserror::Error;
use tracing_subscriber::EnvFilter;

use crate::engine::Width;
use crate::picture::Limits;
use crate::repository::Source;
use crate::scheduler::Settings;
use crate::telemetry::{LogFilterError, LogFormat, log_filter};

/// The flags of the server, each with its environment variable.
#[derive(Debug, Clone, Args)]
pub struct Flags {
    /// Address to listen on; 0.0.0.0 to be reached from other machines
    #[arg(long, env = "ANYWIDTH_HOST", default_value = "127.0.0.1")]
    pub host: String,

    /// Port to listen on; 0 lets the system choose one
    #[arg(long, env = "ANYWIDTH_PORT", default_value_t = 8080)]
    pub port: u16,

    /// Folder of models, <NAME>/<VERSION>/model.onnx in it; without this the built-in models are served
    #[arg(long, env = "ANYWIDTH_MODELS", value_name = "FOLDER")]
    pub models: Option<PathBuf>,

    /// Serve this one ONNX file instead of a folder
    #[arg(long, env = "ANYWIDTH_MODEL", value_name = "FILE")]
    pub model: Option<PathBuf>,

    /// Model that answers when a request names none [default: cifar10, else the first by name]
    #[arg(long, env = "ANYWIDTH_DEFAULT_MODEL", value_name = "NAME")]
    pub default_model: Option<String>,

    /// Worker threads, which decode and run; fewer where other programs share the machine, never more than cores
    /// [default: all cores]
    #[arg(long, env = "ANYWIDTH_THREADS", value_name = "N")]
    pub threads: Option<usize>,

    /// Worker threads that may decode large photographs at once; the others stay free for small ones and for the network
    /// [default: half of the threads, at least 1]
    #[arg(long, env = "ANYWIDTH_DECODERS", value_name = "N")]
    pub decoders: Option<usize>,

    /// Latency budget of requests that name none, and at least four times what their images take at full width; less to
    /// narrow sooner, more to keep full width longer
    #[arg(long, env = "ANYWIDTH_DEFAULT_BUDGET_MS", default_value_t = 50.0, value_name = "MS")]
    pub default_budget_ms: f64,

    /// Narrowest width that load may choose; lower to answer more in a burst, higher to refuse instead of being wrong
    #[arg(long, env = "ANYWIDTH_NARROWEST", default_value = "0.25", value_name = "WIDTH")]
    pub narrowest: Width,

    /// Most images that run together; more for throughput, fewer for an even latency
    #[arg(long, env = "ANYWIDTH_MAX_BATCH", default_value_t = 16, value_name = "N")]
    pub max_batch: usize,

    /// Most images that may wait; more to ride out longer bursts, fewer to refuse sooner
    #[arg(long, env = "ANYWIDTH_QUEUE_LIMIT", default_value_t = 512, value_name = "N")]
    pub queue_limit: usize,

    /// Most connections open at once, others wait until one ends; within what the system lets a process open
    #[arg(long, env = "ANYWIDTH_MAX_CONNECTIONS", default_value_t = 1024, value_name = "N")]
    pub max_connections: usize,

    /// Largest request body; raise it for large photographs or many files at once
    #[arg(long, env = "ANYWIDTH_MAX_BODY_BYTES", default_value_t = 16 << 20, value_name = "BYTES")]
    pub max_body_bytes: usize,

    /// Most bytes that all bodies under way may take together; it bounds the memory that callers can fill
    #[arg(long, env = "ANYWIDTH_MAX_BYTES_IN_FLIGHT", default_value_t = 1 << 30, value_name = "BYTES")]
    pub max_bytes_in_flight: usize,

    /// Largest image, width times height; each worker may need up to 12 bytes of memory per pixel
    #[arg(long, env = "ANYWIDTH_MAX_PIXELS", default_value_t = 50_000_000, value_name = "N")]
    pub max_pixels: u64,

    /// Most files in one request
    #[arg(long, env = "ANYWIDTH_MAX_FILES", default_value_t = 64, value_name = "N")]
    pub max_files: usize,

    /// Longest time to wait for a request's head, and then for its body; raise it for callers with slow connections
    #[arg(long, env = "ANYWIDTH_READ_TIMEOUT_MS", default_value_t = 10_000, value_name = "MS")]
    pub read_timeout_ms: u64,

    /// Longest time that requests under way get to finish when the server is asked to stop
    #[arg(long, env = "ANYWIDTH_DRAIN_TIMEOUT_MS", default_value_t = 10_000, value_name = "MS")]
    pub drain_timeout_ms: u64,

    /// How log lines are written; json where a machine reads them
    #[arg(long, env = "ANYWIDTH_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// What to log: a level (error, warn, info, debug, trace), or levels by module
    #[arg(long, env = "ANYWIDTH_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
}

/// Settings that hold.
#[derive(Debug)]
pub struct Config {
    /// Host name or address to listen on.
    pub host: String,
    /// Port to listen on; 0 for any.
    pub port: u16,
    /// Where the models come from.
    pub source: Source,
    /// The model that answers when none is named.
    pub default_model: Option<String>,
    /// Threads, batches and queue.
    pub scheduler: Settings,
    /// The narrowest width that load may choose.
    pub narrowest: Width,
    /// What one image may be.
    pub picture: Limits,
    /// What one request may be.
    pub request: RequestLimits,
    /// How long requests under way get to finish at the end.
    pub drain_timeout: Duration,
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
    /// Bytes of all bodies under way together; at least as many as one body may have.
    pub max_bytes_in_flight: usize,
    /// Connections open at once; at least one.
    pub max_connections: usize,
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

const MOST_THREADS: u64 = 1024;
const HOUR_MS: u64 = 3_600_000;

impl Flags {
    /// Of a folder and a file, drops the one that only a variable names where the other was typed.
    pub fn prefer_typed(mut self, matches: &ArgMatches) -> Flags {
        let typed = |flag| matches.value_source(flag) == Some(ValueSource::CommandLine);
        match (typed("models"), typed("model")) {
            (true, false) => self.model = None,
            (false, true) => self.models = None,
            _ => {}
        }
        self
    }

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
            host: self.host,
            port: self.port,
            source,
            default_model: self.default_model,
            scheduler: Settings {
                workers: threads,
                decoders,
                max_batch: self.max_batch,
                queue_limit: self.queue_limit,
                default_budget: Duration::from_secs_f64(self.default_budget_ms / 1e3),
            },
            narrowest: self.narrowest,
            picture: Limits { max_bytes: self.max_body_bytes, max_pixels: self.max_pixels },
            request: RequestLimits {
                max_body_bytes: self.max_body_bytes,
                max_files: self.max_files,
                read_timeout: Duration::from_millis(self.read_timeout_ms),
                max_bytes_in_flight: self.max_bytes_in_flight,
                max_connections: self.max_connections,
            },
            drain_timeout: Duration::from_millis(self.drain_timeout_ms),
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
        assert_eq!((config.host.as_str(), config.port, config.scheduler.workers), ("127.0.0.1", 8080, 4));
        assert_eq!(config.picture, Limits::default());
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
