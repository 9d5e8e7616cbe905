//! An inference server for Any-Width Networks (AWN, Vu et al., CVPRW 2020): image classifiers in which any leading share of
//! the channels is a complete network. One ONNX file and one packed copy of its weights serve every request at the width that
//! its caller, its deadline or the load asks for.
//!
//! # Example
//!
//! A [`Pass`](engine::Pass) runs a batch of images, each at its own width. [`Pass::widen`](engine::Pass::widen) computes only
//! the channels that an image lacks, and [`Pass::logits_by_width`](engine::Pass::logits_by_width) reads all narrower widths
//! from the same activations.
//!
//! ```
//! use std::sync::Arc;
//!
//! use anywidth::engine::{Model, Pass, Width, probabilities};
//!
//! let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/mnist/1/model.onnx"))?;
//! let model = Arc::new(Model::from_onnx(&file)?);
//! let image = vec![0.5; model.input().len()]; // [C, H, W], values in 0..1
//! let (quarter, half): (Width, Width) = ("0.25".parse()?, "0.5".parse()?);
//!
//! // One batch, three widths.
//! let mut pass = Pass::new(model.clone(), 3);
//! for _ in 0..3 {
//!     pass.push(&image);
//! }
//! pass.widen(&[quarter, half, Width::FULL]);
//! assert_ne!(pass.logits(0), pass.logits(2));
//!
//! // Item 0, widened step by step: the same bits as at once.
//! pass.widen(&[half, half, Width::FULL]);
//! assert_eq!(pass.logits(0), pass.logits(1));
//! pass.widen(&[Width::FULL, half, Width::FULL]);
//! assert_eq!(pass.logits(0), pass.logits(2));
//!
//! // The logits of item 2 at all widths, without another pass.
//! let by_width = pass.logits_by_width(2, model.grid());
//! assert_eq!(by_width.len(), model.grid().len());
//! for (width, logits) in by_width {
//!     let probabilities = probabilities(&logits, model.metadata().temperature_at(width));
//!     let class = (0..model.classes()).max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b])).unwrap();
//!     println!("{width}: {} ({:.3})", model.metadata().label(class), probabilities[class]);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Modules
//!
//! Each module uses only those above it.
//!
//! | module | purpose | must not know |
//! |---|---|---|
//! | [`engine`] | runs a network at any width | clocks, threads, files, images |
//! | [`image`] | converts an image file to a model's input | models, requests |
//! | [`policy`] | the job queue: admission, width, batch, shedding | clocks, threads, locks |
//! | [`system_files`] | recognises names to ignore in folders | the contents of the folder |
//! | [`dataset`] | lists a folder of labelled images | image formats, models |
//! | [`telemetry`] | metrics and logs | who records them |
//! | [`repository`] | models by name and version | requests, threads |
//! | [`scheduler`] | worker threads around the job queue, replies | protocols, status codes |
//! | [`server`] | HTTP: connections, routes, wire types, status codes | how a model runs |
//! | [`config`] | settings, typed and validated | how they are used |
//! | [`cli`] | the subcommands of the binary | |
//!
//! The first five compile without the feature `server`, which is on by default. `engine`, `image` and `policy` are pure:
//! no clock, threads, network or environment.
//!
//! A request passes these stages: `server::http::classify` parses it and submits its images to
//! [`scheduler::Scheduler::submit`]; worker threads take tasks from the [`policy::JobQueue`], decode with [`image::Image`]
//! and run batches with [`engine::Pass`]; the handler writes the response.

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

// Support code that unit tests share with `tests/`: the builder of model files, and the workers.
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
