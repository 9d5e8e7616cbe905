//! The list of settings: what each is called, what it is by default, and when to change it.

use std::cmp::Ordering;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Args, Command};
use serde::Serialize;

use super::{CorsOrigin, Origins, Setting};
use crate::engine::Width;
use crate::telemetry::LogFormat;

// The headings of `anywidth serve --help`, in its order; what has none comes first.
const MODELS: &str = "Models";
const LOAD: &str = "Width and load";
const LIMITS: &str = "Limits";
const STOPPING: &str = "Stopping";
const LOG: &str = "Log";

/// Where the server is: what it listens on, and what whoever asks it must know.
#[derive(Debug, Clone, PartialEq, Args, Serialize)]
pub struct Address {
    /// File of settings, in TOML; its keys are the flags' names, as in `max_batch = 8`. A variable beats it, and a flag both
    #[arg(long, env = "ANYWIDTH_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Address to listen on; 0.0.0.0 to be reached from other machines
    #[arg(long, env = "ANYWIDTH_HOST", default_value = "127.0.0.1")]
    pub host: String,

    /// Port to listen on; 0 lets the system choose one
    #[arg(long, env = "ANYWIDTH_PORT", default_value_t = 8080)]
    pub port: u16,
}

/// The settings of the server, each a flag, a variable and a key of a file. Its names here are the keys.
#[derive(Debug, Clone, PartialEq, Args, Serialize)]
pub struct Flags {
    /// Where to listen.
    #[command(flatten)]
    #[serde(flatten)]
    pub address: Address,

    /// Folder of models, <NAME>/<VERSION>/model.onnx in it; without this the built-in models are served
    #[arg(long, env = "ANYWIDTH_MODELS", value_name = "FOLDER")]
    #[arg(help_heading = MODELS)]
    pub models: Option<PathBuf>,

    /// Serve this one ONNX file instead of a folder
    #[arg(long, env = "ANYWIDTH_MODEL", value_name = "FILE")]
    #[arg(help_heading = MODELS)]
    pub model: Option<PathBuf>,

    /// Model that answers when a request names none [default: cifar10, else the first by name]
    #[arg(long, env = "ANYWIDTH_DEFAULT_MODEL", value_name = "NAME")]
    #[arg(help_heading = MODELS)]
    pub default_model: Option<String>,

    /// Worker threads, which decode and run, up to 1024; fewer where other programs share the machine; more than cores only slow
    /// each other down [default: all cores]
    #[arg(long, env = "ANYWIDTH_THREADS", value_name = "N")]
    #[arg(help_heading = LOAD)]
    pub threads: Option<usize>,

    /// Worker threads that may decode large photographs at once; the others stay free for small ones and for the network
    /// [default: half of the threads, at least 1]
    #[arg(long, env = "ANYWIDTH_DECODERS", value_name = "N")]
    #[arg(help_heading = LOAD)]
    pub decoders: Option<usize>,

    /// Latency target of requests that name no budget, and at least four times what their images take at full width: less to
    /// narrow sooner, more to keep full width longer. Such requests are answered even if they are late
    #[arg(long, env = "ANYWIDTH_DEFAULT_BUDGET_MS", default_value_t = 50.0, value_name = "MS")]
    #[arg(help_heading = LOAD)]
    pub default_budget_ms: f64,

    /// Narrowest width that load may choose; lower to answer more in a burst, higher to refuse instead of being wrong
    #[arg(long, env = "ANYWIDTH_NARROWEST", default_value = "0.25", value_name = "WIDTH", value_parser = super::width)]
    #[arg(help_heading = LOAD)]
    pub narrowest: Width,

    /// Most images that run together; more for throughput, fewer for an even latency
    #[arg(long, env = "ANYWIDTH_MAX_BATCH", default_value_t = 16, value_name = "N")]
    #[arg(help_heading = LOAD)]
    pub max_batch: usize,

    /// Most images that may wait; more to ride out longer bursts, fewer to refuse sooner
    #[arg(long, env = "ANYWIDTH_QUEUE_LIMIT", default_value_t = 512, value_name = "N")]
    #[arg(help_heading = LOAD)]
    pub queue_limit: usize,

    /// Most connections open at once, others wait until one ends; within what the system lets a process open
    #[arg(long, env = "ANYWIDTH_MAX_CONNECTIONS", default_value_t = 1024, value_name = "N")]
    #[arg(help_heading = LIMITS)]
    pub max_connections: usize,

    /// Largest request body; raise it for large photographs or many files at once
    #[arg(long, env = "ANYWIDTH_MAX_BODY_BYTES", default_value_t = 16 << 20, value_name = "BYTES")]
    #[arg(help_heading = LIMITS)]
    pub max_body_bytes: usize,

    /// Most bytes that all bodies under way may take together; it bounds the memory that callers can fill
    #[arg(long, env = "ANYWIDTH_MAX_BYTES_IN_FLIGHT", default_value_t = 1 << 30, value_name = "BYTES")]
    #[arg(help_heading = LIMITS)]
    pub max_bytes_in_flight: usize,

    /// Largest image, width times height; each worker may need up to 12 bytes of memory per pixel
    #[arg(long, env = "ANYWIDTH_MAX_PIXELS", default_value_t = 50_000_000, value_name = "N")]
    #[arg(help_heading = LIMITS)]
    pub max_pixels: u64,

    /// Most files in one request
    #[arg(long, env = "ANYWIDTH_MAX_FILES", default_value_t = 64, value_name = "N")]
    #[arg(help_heading = LIMITS)]
    pub max_files: usize,

    /// Longest time to wait for a request's head once it has begun, and then for its body; raise it for callers with slow
    /// connections
    #[arg(long, env = "ANYWIDTH_READ_TIMEOUT_MS", default_value_t = 10_000, value_name = "MS")]
    #[arg(help_heading = LIMITS)]
    pub read_timeout_ms: u64,

    /// Longest time that a connection may be open without a request; longer than the load balancer before it keeps it, so that
    /// it is the one that closes
    #[arg(long, env = "ANYWIDTH_KEEP_ALIVE_TIMEOUT_MS", default_value_t = 75_000, value_name = "MS")]
    pub keep_alive_timeout_ms: u64,

    /// Origin whose pages may ask from browsers, as in https://example.com; repeat it for several, or say * for all. Without it
    /// only the server's own page can
    #[arg(long, env = "ANYWIDTH_CORS_ORIGIN", value_delimiter = ',', value_name = "ORIGIN")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cors_origin: Vec<CorsOrigin>,

    /// How long the server goes on as before when it is asked to stop, only /readyz says no; behind a load balancer, longer
    /// than that takes to notice
    #[arg(long, env = "ANYWIDTH_DRAIN_WAIT_MS", default_value_t = 0, value_name = "MS")]
    #[arg(help_heading = STOPPING)]
    pub drain_wait_ms: u64,

    /// Longest time that requests under way then get to finish; more than the longest budget that callers have
    #[arg(long, env = "ANYWIDTH_DRAIN_TIMEOUT_MS", default_value_t = 10_000, value_name = "MS")]
    #[arg(help_heading = STOPPING)]
    pub drain_timeout_ms: u64,

    /// How log lines are written; json where a machine reads them
    #[arg(long, env = "ANYWIDTH_LOG_FORMAT", default_value = "text")]
    #[arg(help_heading = LOG)]
    pub log_format: LogFormat,

    /// What to log: a level (error, warn, info, debug, trace), or levels by module
    #[arg(long, env = "ANYWIDTH_LOG", default_value = "info", value_name = "FILTER")]
    #[arg(help_heading = LOG)]
    pub log: String,
}

impl Flags {
    /// Every setting, in the order of the flags. The flag that names the file is none.
    pub fn list() -> Vec<Setting> {
        let command = Flags::augment_args(Command::new("anywidth"));
        command.get_arguments().filter(|flag| flag.get_id() != "config").map(Setting::of).collect()
    }

    /// The flags alone, which no variable changes.
    pub(super) fn command_without_variables() -> Command {
        Flags::augment_args(Command::new("anywidth")).mut_args(|flag| flag.env(Resettable::Reset))
    }

    /// Of a folder and a file to serve, drops the one that is said in the weaker place.
    #[must_use]
    pub fn prefer_stronger(mut self, origins: &Origins) -> Flags {
        match origins.of("models").cmp(&origins.of("model")) {
            Ordering::Greater => self.model = None,
            Ordering::Less => self.models = None,
            Ordering::Equal => {}
        }
        self
    }
}
