//! Typed settings, validated before the server binds a port.
//!
//! [`SETTINGS`] declares every setting once: flags, variables, the file's keys, the help, `anywidth config` and
//! docs/configuration.md derive from it. [`Sources`] collects the values: a flag overrides a variable, and a variable overrides
//! the file. [`Config`] is the validated result.

mod file;
mod setting;
mod sources;
mod table;
mod value;
mod variables;

use std::time::Duration;

use crate::engine::Width;
use crate::image::ImageLimits;
use crate::policy::{PolicyKind, QueueSettings};
use crate::repository::{Precisions, Source};
use crate::server::{CorsOrigin, Drain, ModelControlMode, RequestLimits};
use crate::telemetry::{LogFilter, LogFormat};
use table::Values;

pub use file::{FileError, Mistake};
pub use setting::{DefaultValue, Setting, ValueError};
pub use sources::{Sources, flags};
pub use table::SETTINGS;
pub(crate) use value::width;
pub use variables::unknown_variables;

/// The configuration of a server.
#[derive(Debug)]
pub struct Config {
    /// The address to listen on.
    pub address: Address,
    /// The source of the models.
    pub source: Source,
    /// The pause between looks at the folder of models; zero for none.
    pub watch_models: Duration,
    /// Whether callers may load and unload models.
    pub model_control: ModelControlMode,
    /// The model for requests that name none.
    pub default_model: Option<String>,
    /// The numbers that models multiply.
    pub precisions: Precisions,
    /// The policy that chooses widths and batches.
    pub policy: PolicyKind,
    /// The share of idle time that audits may take, from 0 to 1.
    pub audit_share: f64,
    /// Threads, batch size and queue length.
    pub queue: QueueSettings,
    /// The narrowest width that load may choose.
    pub narrowest: Width,
    /// Limits of one image.
    pub image: ImageLimits,
    /// Limits of one request.
    pub request: RequestLimits,
    /// Other origins whose pages may send requests.
    pub cors_origins: Vec<CorsOrigin>,
    /// How the server shuts down.
    pub drain: Drain,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// The log filter.
    pub log_filter: LogFilter,
}

/// The address that a server listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A host name or an IP address.
    pub host: String,
    /// The port; 0 for any free port.
    pub port: u16,
}

impl Config {
    /// Checks every value. `cores` is the default number of worker threads.
    ///
    /// # Errors
    /// [`ValueError`] names the setting, the origin of its value, and what is allowed.
    pub fn read(sources: &Sources, cores: usize) -> Result<Config, ValueError> {
        let values = Values::read(sources)?;
        let workers = values.threads.unwrap_or(cores);
        let decoders = values.decoders.unwrap_or((workers / 2).max(1));
        let (max_body_bytes, max_bytes_in_flight) = (values.max_body_bytes, values.max_bytes_in_flight);
        let (max_files, queue_limit) = (values.max_files, values.queue_limit);
        if decoders > workers {
            return Err(sources.invalid("decoders", format!("it must be from 1 to {workers}")));
        }
        if max_bytes_in_flight < max_body_bytes {
            let reason = format!("it must be at least {max_body_bytes} (--max-body-bytes)");
            return Err(sources.invalid("max_bytes_in_flight", reason));
        }
        if max_files > queue_limit {
            return Err(sources.invalid("max_files", format!("it must be at most {queue_limit} (--queue-limit)")));
        }
        let watches = values.watch_models_ms > 0;
        if watches && values.models.is_none() {
            return Err(sources.invalid("watch_models_ms", "it needs a folder of models (--models)".to_owned()));
        }
        let source = match (values.models, values.model) {
            (Some(_), Some(_)) => {
                let reason = "models come from one file or from a folder (--models), not both";
                return Err(sources.invalid("model", reason.to_owned()));
            }
            (Some(folder), None) => Source::Folder(folder),
            (None, Some(file)) => Source::File(file),
            (None, None) => Source::Embedded,
        };
        let default_budget = Duration::from_secs_f64(values.default_budget_ms / 1e3);
        Ok(Config {
            address: Address { host: values.host, port: values.port },
            source,
            watch_models: Duration::from_millis(values.watch_models_ms),
            model_control: values.model_control,
            default_model: values.default_model,
            precisions: values.precision,
            policy: values.policy,
            audit_share: values.audit_share,
            queue: QueueSettings {
                workers,
                decoders,
                max_batch: values.max_batch,
                max_queue: queue_limit,
                default_budget,
            },
            narrowest: values.narrowest,
            image: ImageLimits { max_bytes: max_body_bytes, max_pixels: values.max_pixels },
            request: RequestLimits {
                max_body_bytes,
                max_files,
                read_timeout: Duration::from_millis(values.read_timeout_ms),
                keep_alive_timeout: Duration::from_millis(values.keep_alive_timeout_ms),
                max_bytes_in_flight,
                max_connections: values.max_connections,
            },
            cors_origins: values.cors_origin,
            drain: Drain {
                wait: Duration::from_millis(values.drain_wait_ms),
                timeout: Duration::from_millis(values.drain_timeout_ms),
            },
            log_format: values.log_format,
            log_filter: values.log,
        })
    }
}

impl Address {
    /// Reads and checks only the address; other settings may be invalid.
    ///
    /// # Errors
    /// [`ValueError`], as for [`Config::read`].
    pub fn read(sources: &Sources) -> Result<Address, ValueError> {
        Ok(Address { host: sources.read("host")?, port: sources.read("port")? })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::Command;

    use super::*;

    fn read(arguments: &[&str], variable: Option<(&str, &str)>) -> Result<Config, ValueError> {
        let arguments = std::iter::once("anywidth").chain(arguments.iter().copied());
        let matches = Command::new("anywidth").args(flags()).try_get_matches_from(arguments).unwrap();
        let value = |name: &str| variable.filter(|(set, _)| *set == name).map(|(_, value)| OsString::from(value));
        Config::read(&Sources::collect(&matches, value).unwrap(), 4)
    }

    #[test]
    fn the_defaults_hold() {
        let config = read(&[], None).unwrap();
        assert_eq!(config.address, Address { host: "127.0.0.1".to_owned(), port: 8080 });
        assert_eq!((config.queue.workers, config.queue.decoders), (4, 2));
        assert_eq!(config.image, ImageLimits::default());
        assert_eq!(config.source, Source::Embedded);
    }

    #[test]
    fn a_value_out_of_range_names_its_flag_and_what_is_allowed() {
        let error = |arguments: &[&str]| read(arguments, None).unwrap_err().to_string();
        assert_eq!(error(&["--threads", "0"]), "--threads is 0: it must be from 1 to 1024");
        assert_eq!(error(&["--threads", "2", "--decoders", "3"]), "--decoders is 3: it must be from 1 to 2");
        for text in ["0", "nan", "3600001"] {
            let message = format!("--default-budget-ms is {text}: it must be above 0 and up to 3600000");
            assert_eq!(error(&["--default-budget-ms", text]), message);
        }
        assert_eq!(error(&["--max-batch", "0"]), "--max-batch is 0: it must be from 1 to 1024");
        assert_eq!(error(&["--queue-limit", "10"]), "--max-files is 64: it must be at most 10 (--queue-limit)");
        assert_eq!(
            error(&["--max-bytes-in-flight", "9"]),
            "--max-bytes-in-flight is 9: it must be at least 16777216 (--max-body-bytes)"
        );
        assert!(error(&["--log", "a=b=c"]).starts_with("--log is \"a=b=c\": not a log filter"));
    }

    #[test]
    fn a_value_that_another_setting_forbids_names_its_origin() {
        let error = read(&["--threads", "2"], Some(("ANYWIDTH_DECODERS", "3"))).unwrap_err().to_string();
        assert_eq!(error, "ANYWIDTH_DECODERS: --decoders is 3: it must be from 1 to 2");
    }

    #[test]
    fn a_folder_and_a_file_exclude_each_other() {
        let (typed, variable) = (["--models", "a", "--model", "b"], ("ANYWIDTH_MODELS", "a"));
        let error = read(&typed, None).unwrap_err().to_string();
        assert_eq!(error, "--model is \"b\": models come from one file or from a folder (--models), not both");
        assert_eq!(read(&["--model", "b.onnx"], Some(variable)).unwrap().source, Source::File("b.onnx".into()));
    }
}
