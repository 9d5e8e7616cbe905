//! An inference server for Any-Width Networks: one ONNX file, one packed copy of its weights, and every request
//! answered at the width that it asks for.
//!
//! # Map
//!
//! Each module uses only those above it.
//!
//! | module | what it does | what it must not know |
//! |---|---|---|
//! | [`engine`] | runs a network at any width | clocks, threads, files, images |
//! | [`image`] | a stranger's bytes become a model's input | models, requests |
//! | [`policy`] | says which width, which batch, and whether at all | clocks, threads, the queue |
//! | [`dataset`] | lists a folder of labelled images | what an image is, models |
//! | [`system_files`] | says which names in a folder nobody means | what the folder holds |
//! | [`telemetry`] | the table of metrics, the logs | who counts what |
//! | [`repository`] | models by name and version | requests |
//! | [`scheduler`] | one bounded queue, the earliest deadline first, worker threads, replies | protocols, status codes |
//! | [`server`] | HTTP: wire types and status codes | how anything is computed |
//! | [`config`] | settings, typed and validated | how they are used |
//! | [`cli`] | the subcommands of the binary | |
//!
//! The first five are all there is without the feature `server`: the exporter uses them so. `engine`, `image` and
//! `policy` are pure.
//!
//! A request's way: `server::http::classify` reads it and hands its images to [`scheduler::Scheduler::submit`]; worker
//! threads do what [`policy::WidestFit`] says: they decode with [`image::Image`], run batches with [`engine::Pass`], and
//! reply to the handler, which writes the answer.

pub mod dataset;
pub mod engine;
pub mod image;
pub mod policy;
pub mod system_files;

#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
mod nearest;
#[cfg(feature = "server")]
pub mod repository;
#[cfg(feature = "server")]
pub mod scheduler;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod telemetry;

// Unit tests share with the tests in `tests/` the builder of model files, and the workers.
#[cfg(test)]
extern crate self as anywidth;
#[cfg(test)]
#[path = "../tests/support/onnx.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod test_onnx;
#[cfg(all(test, feature = "server"))]
#[path = "../tests/support/workers.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod test_workers;
