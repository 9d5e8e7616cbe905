//! The table of settings: the only place that declares a setting's name, type, unit, default, limits and purpose.

use std::path::PathBuf;

use super::DefaultValue::{Depends, Fixed};
use super::setting::Bounds::{AboveZero, Range};
use super::setting::Kind;
use super::{Setting, Sources, ValueError};
use crate::engine::Width;
use crate::policy::PolicyKind;
use crate::repository::Precisions;
use crate::server::{CorsOrigin, ModelControlMode};
use crate::telemetry::{LogFilter, LogFormat};

const HOUR_MS: u64 = 3_600_000;

/// Declares the settings, by section of the help. The braces hold fields of [`Setting`].
macro_rules! settings {
    ($($section:literal { $($key:ident: $type:ty { $($field:ident: $value:expr,)* })* })*) => {
        /// Every setting, in the order of the help and of docs/configuration.md.
        pub static SETTINGS: &[Setting] = &[$($(Setting {
            key: stringify!($key),
            section: $section,
            $($field: $value,)*
            ..Setting::of(Kind::of::<$type>())
        },)*)*];

        /// The value of every setting.
        pub(super) struct Values { $($(pub(super) $key: $type,)*)* }

        impl Values {
            pub(super) fn read(sources: &Sources) -> Result<Values, ValueError> {
                Ok(Values { $($($key: sources.read(stringify!($key))?,)*)* })
            }
        }
    };
}

settings! {
    "" {
        host: String {
            unit: "address", default: Fixed("127.0.0.1"),
            meaning: "Address to listen on.",
            advice: "Set 0.0.0.0 to accept connections from other machines.",
        }
        port: u16 {
            unit: "port", default: Fixed("8080"), bounds: Range(0, 65535),
            meaning: "Port to listen on.",
            advice: "Set 0 to let the system choose a free one.",
        }
        cors_origin: Vec<CorsOrigin> {
            unit: "origin", default: Depends("only the server's own page"),
            meaning: "Origin whose pages may send requests from a browser, such as https://example.com.",
            advice: "Name the origin of each site that calls the server, or set * to allow all.",
        }
    }
    "Models" {
        models: Option<PathBuf> {
            unit: "folder", default: Depends("the built-in models"),
            meaning: "Folder of models, laid out as <NAME>/<VERSION>/model.onnx.",
            advice: "Set it to serve your own models.",
        }
        model: Option<PathBuf> {
            unit: "file",
            meaning: "One ONNX file to serve instead of a folder.",
            advice: "Set it to try a single model.",
        }
        watch_models_ms: u64 {
            unit: "ms", default: Fixed("0"), bounds: Range(0, HOUR_MS),
            meaning: "Pause between looks at the folder of models for new, changed and removed versions, which are then loaded beside the \
                running ones; 0 for none. SIGHUP is one look.",
            advice: "Set it where models are put into the folder while the server runs.",
        }
        model_control: ModelControlMode {
            unit: "mode", default: Fixed("none"),
            meaning: "Whether callers may load and unload models by the Open Inference Protocol: none or explicit.",
            advice: "Set explicit where only trusted callers reach the server.",
        }
        default_model: Option<String> {
            unit: "name", default: Depends("cifar10, else the first by name"),
            meaning: "Model that answers requests that name none.",
            advice: "Set it when another model should answer them.",
        }
    }
    "Width and load" {
        threads: Option<usize> {
            unit: "threads", default: Depends("all cores"), bounds: Range(1, 1024),
            meaning: "Worker threads, which decode images and run the network.",
            advice: "Lower it where other programs share the machine; more threads than cores only slow each other down.",
        }
        decoders: Option<usize> {
            unit: "threads", default: Depends("half of the threads, at least 1"), bounds: Range(1, 1024),
            meaning: "Worker threads that may decode large photographs at the same time.",
            advice: "Raise it if most images are large; the other threads stay free for small images and for the network.",
        }
        default_budget_ms: f64 {
            unit: "ms", default: Fixed("50"), bounds: AboveZero(HOUR_MS),
            meaning: "Latency target of requests that name no budget, but at least four times the service time of their images at \
                full width. These requests are answered even when they are late.",
            advice: "Lower it to narrow sooner, raise it to keep full width longer.",
        }
        narrowest: Width {
            unit: "width", default: Fixed("0.25"),
            meaning: "Narrowest width that load may choose.",
            advice: "Lower it to answer more requests in a burst, raise it to refuse requests rather than lose accuracy.",
        }
        precision: Precisions {
            unit: "precision", default: Fixed("auto"),
            meaning: "Numbers that models multiply: f32, bf16 or auto, which takes the fastest that this processor has and that loses at \
                most a quarter of a point of accuracy at any width, as the model's file says; for single models as NAME=PRECISION, \
                separated by commas.",
            advice: "Set f32 for the same scores on every processor.",
        }
        policy: PolicyKind {
            unit: "policy", default: Fixed("widest-fit"),
            meaning: "Policy that chooses widths and batches: widest-fit, fixed:WIDTH, slack-fit, max-accuracy, max-batch or \
                rate-table.",
            advice: "Set another one to compare it with widest-fit under your load; docs/policy.md describes them.",
        }
        audit_share: f64 {
            unit: "share", default: Fixed("0.01"), bounds: Range(0, 1),
            meaning: "Share of the workers' idle time in which images that stopped at a narrow width run at full width after \
                their answer, to check the model's gain table.",
            advice: "Raise it to notice drift sooner, set 0 for no such checks.",
        }
        max_batch: usize {
            unit: "images", default: Fixed("16"), bounds: Range(1, 1024),
            meaning: "Maximum number of images in one batch.",
            advice: "Raise it for throughput, lower it for a steadier latency.",
        }
        queue_limit: usize {
            unit: "images", default: Fixed("512"), bounds: Range(1, 1 << 20),
            meaning: "Maximum number of images in the queue.",
            advice: "Raise it to absorb longer bursts, lower it to refuse sooner.",
        }
    }
    "Limits" {
        max_connections: usize {
            unit: "connections", default: Fixed("1024"), bounds: Range(1, 1 << 20),
            meaning: "Maximum number of open connections; others wait until one closes.",
            advice: "Raise it for more concurrent clients, within the system's limit on open files.",
        }
        max_body_bytes: usize {
            unit: "bytes", default: Fixed("16777216"), bounds: Range(1, 1 << 32),
            meaning: "Largest request body.",
            advice: "Raise it for large photographs or for many files in one request.",
        }
        max_bytes_in_flight: usize {
            unit: "bytes", default: Fixed("1073741824"), bounds: Range(1, 1 << 40),
            meaning: "Maximum size of all request bodies in progress together, which bounds the memory that callers can fill.",
            advice: "Lower it on a machine with little memory, raise it for more concurrent uploads.",
        }
        max_pixels: u64 {
            unit: "pixels", default: Fixed("50000000"), bounds: Range(1, 1 << 32),
            meaning: "Largest image, as width times height.",
            advice: "Lower it to save memory: each worker may need up to 12 bytes per pixel.",
        }
        max_files: usize {
            unit: "files", default: Fixed("64"), bounds: Range(1, 1 << 20),
            meaning: "Maximum number of files in one request.",
            advice: "Raise it for clients that send more at once, up to the queue limit.",
        }
        read_timeout_ms: u64 {
            unit: "ms", default: Fixed("10000"), bounds: Range(1, HOUR_MS),
            meaning: "Longest time from the first byte of a request to the end of its headers, and from there to the end of its body.",
            advice: "Raise it for clients on slow connections.",
        }
        keep_alive_timeout_ms: u64 {
            unit: "ms", default: Fixed("75000"), bounds: Range(1, HOUR_MS),
            meaning: "Longest time that a connection may stay open without a request.",
            advice: "Set it above the idle timeout of the load balancer, so that the load balancer closes first.",
        }
    }
    "Stopping" {
        drain_wait_ms: u64 {
            unit: "ms", default: Fixed("0"), bounds: Range(0, HOUR_MS),
            meaning: "Time for which a stopping server still accepts requests, while /readyz says that it is not ready.",
            advice: "Behind a load balancer, set it above the time that the balancer takes to notice.",
        }
        drain_timeout_ms: u64 {
            unit: "ms", default: Fixed("10000"), bounds: Range(0, HOUR_MS),
            meaning: "Longest time that requests in progress then get to finish.",
            advice: "Set it above the longest budget that callers use.",
        }
    }
    "Log" {
        log_format: LogFormat {
            unit: "format", default: Fixed("text"),
            meaning: "Format of the log.",
            advice: "Set json where a program reads it.",
        }
        log: LogFilter {
            unit: "filter", default: Fixed("info"),
            meaning: "What to log: a level (error, warn, info, debug, trace), or levels by module.",
            advice: "Set debug to investigate a problem, for one module as in info,anywidth::server=debug.",
        }
    }
}
