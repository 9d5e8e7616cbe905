//! Width-sliced inference of Any-Width Networks: pure computation, no clock, no runtime, no network.
//!
//! A file becomes a [`graph`] of layers ([`onnx`]), whose weights are proved [`triangular`], and then a [`plan`] of steps
//! with [`pack`]ed weights and a [`buffer`] in memory for every value. A [`Pass`] runs the plan's [`kernel`]s: *widen these
//! items from the widths they have to the widths they want* is all it can do, and all that anybody needs.

mod buffer;
mod graph;
mod kernel;
mod metadata;
mod model;
mod onnx;
mod pack;
mod pass;
mod plan;
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

pub use graph::Shape;
pub use kernel::simd::InstructionSet;
pub use metadata::{Evaluation, Metadata, MetadataError};
pub use model::Model;
pub use onnx::{DataFiles, LoadError, MAX_FILE_BYTES};
pub use pass::Pass;
pub use prediction::{Prediction, predict};
pub use probability::probabilities;
pub use summary::{LayerKind, LayerSummary, WidthCost};
pub use triangle::Triangle;
pub use triangular::NotTriangular;
pub use width::{Width, WidthError};
