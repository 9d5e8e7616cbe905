//! Inference of Any-Width Networks at any width, from one packed copy of the weights.
//!
//! The module is pure: no clock, threads, files or environment. It must not know images, requests or policies.
//!
//! A model file is read into a [`graph`] of layers ([`onnx`]), its weights are proved [`triangular`], and a [`plan`] of
//! steps is made with [`pack`]ed weights and one [`buffer`] per value. A [`Pass`] runs the plan's [`kernel`]s. Its one
//! primitive is [`Pass::widen`]: compute the channels that the items of a batch lack at their target widths.

mod buffer;
mod gain_table;
mod graph;
mod kernel;
mod memory;
mod metadata;
mod model;
mod onnx;
mod pack;
mod pass;
mod plan;
mod precision;
mod prediction;
mod probability;
#[cfg(test)]
mod reference;
mod summary;
#[cfg(test)]
mod tests;
mod triangle;
mod triangular;
mod width;

pub use gain_table::{GainRow, GainTable, GainTableError, Outcome};
pub use graph::Shape;
pub use kernel::simd::InstructionSet;
pub use metadata::{Evaluation, Metadata, MetadataError};
pub use model::{Model, ModelFile};
pub use onnx::{DataFiles, LoadError, MAX_FILE_BYTES, TensorNames};
pub use pass::Pass;
pub use precision::{MAX_LOSS, Precision, PrecisionChoice, UnknownPrecision};
pub use prediction::{Prediction, Scores, predict};
pub use probability::{probabilities, top_probability};
pub use summary::{LayerKind, LayerSummary, WidthCost};
pub use triangle::Triangle;
pub use triangular::NotTriangular;
pub use width::{Width, WidthError};
