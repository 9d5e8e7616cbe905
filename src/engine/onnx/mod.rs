//! Reads ONNX files into a [`Graph`] and [`Metadata`]. The file is untrusted: no input causes a panic.
//!
//! [`parse`] decodes the file through tract and is the only file that names tract. It returns plain [`node`]s and
//! [`tensor`]s. [`lower`] turns them into layers: it tracks the [`axes`] of activations, and computes constants with
//! [`fold`].

mod axes;
mod element;
mod external;
mod fold;
mod format;
mod lower;
mod node;
mod parse;
mod tensor;
mod text;

use thiserror::Error;

use super::graph::Graph;
use super::metadata::{Metadata, MetadataError};
use super::triangular::NotTriangular;

pub use external::DataFiles;
pub(crate) use text::clip;

/// Maximum bytes of a model file, including its data files.
pub const MAX_FILE_BYTES: usize = 512 << 20;
/// Maximum nodes of a graph.
const MAX_NODES: usize = 4096;
/// Maximum channels of a layer, or outputs of a linear layer. Widths are exact up to this count.
const MAX_CHANNELS: usize = 1_000_000;
/// Maximum rows or columns of an image.
const MAX_SIDE: usize = 4096;
/// Maximum packed weights: several times those of a file, because transformed ones are more.
pub(super) const MAX_PACKED: usize = 1 << 29;
/// Maximum floats of memory per image: 128 MiB.
pub(super) const MAX_ITEM_LEN: usize = 1 << 25;
/// Maximum multiplications and comparisons per image at full width: tens of seconds on one core, and more than three
/// times the largest ImageNet networks.
const MAX_WORK: usize = 1 << 37;
/// Maximum weights of all layers. No file holds more, but layers may share weights.
const MAX_WEIGHTS: usize = MAX_FILE_BYTES / size_of::<f32>();
/// Maximum axes of a value.
const MAX_RANK: usize = 32;
/// Maximum numbers in all computed constants of a file.
const MAX_FOLDED: usize = 1 << 28;
/// The limit for a file: a multiple of the numbers that it holds, plus a constant, so that a small file takes little memory.
const FOLDED_PER_NUMBER: usize = 32;
const FOLDED_ALWAYS: usize = 1 << 20;

/// The names of the network's input and output in its file; two different names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorNames {
    /// The image, `[N, C, H, W]`.
    pub input: String,
    /// The logits, `[N, classes]`.
    pub output: String,
}

impl Default for TensorNames {
    /// The names in the files that the exporter writes.
    fn default() -> TensorNames {
        TensorNames { input: "image".into(), output: "logits".into() }
    }
}

/// The contents of a model file.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) graph: Graph,
    pub(super) metadata: Metadata,
    pub(super) tensors: TensorNames,
    /// Parts that were left out because they change no prediction, one sentence each.
    pub(super) notes: Vec<String>,
}

/// Why a model file was rejected. Every message has at most 300 characters.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file is larger than [`MAX_FILE_BYTES`].
    #[error("the file has {0} bytes; at most {MAX_FILE_BYTES} are read")]
    TooLarge(usize),
    /// The bytes are not an ONNX model, or a broken one.
    #[error("not a readable ONNX file: {0}")]
    NotOnnx(String),
    /// A node uses an operator, or an option of an operator, that the engine does not support.
    #[error("node {node}: {what} is not supported; {allowed}")]
    Unsupported {
        /// Name of the node.
        node: String,
        /// The operator or option.
        what: String,
        /// What is supported instead, or what to do.
        allowed: String,
    },
    /// A node is inconsistent in itself or with its neighbours.
    #[error("node {node}: {what}")]
    Malformed {
        /// Name of the node.
        node: String,
        /// The problem.
        what: String,
    },
    /// The graph as a whole is not a supported image classifier.
    #[error("{0}")]
    NotAClassifier(String),
    /// A count or size exceeds a limit.
    #[error("{what} is {value}; at most {limit} is served")]
    Limit {
        /// The quantity.
        what: String,
        /// Its value.
        value: usize,
        /// The limit.
        limit: usize,
    },
    /// A hidden layer reads a channel that a narrower width lacks.
    #[error(transparent)]
    NotTriangular(#[from] NotTriangular),
    /// The metadata are invalid or contradict the model.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

impl LoadError {
    /// The node or tensor `name` is malformed.
    fn malformed(name: &str, what: impl AsRef<str>) -> LoadError {
        LoadError::Malformed { node: text::name(name), what: text::clip(what.as_ref(), 220) }
    }
}

/// Reads a model file. `files` reads the data files beside it, if it has a folder.
///
/// # Errors
/// [`LoadError`] names the problem and its position.
pub(super) fn read(bytes: &[u8], files: Option<&mut dyn DataFiles>) -> Result<Contents, LoadError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(LoadError::TooLarge(bytes.len()));
    }
    let mut file = parse::parse(bytes, files)?;
    let entries = std::mem::take(&mut file.metadata);
    let (graph, notes) = lower::lower(&file)?;
    let metadata = Metadata::read(&entries, graph.head.linear.bias.len())?;
    let tensors = TensorNames { input: file.image, output: file.output };
    Ok(Contents { graph, metadata, tensors, notes })
}

pub(super) fn at_most(what: impl Into<String>, value: usize, limit: usize) -> Result<(), LoadError> {
    if value <= limit { Ok(()) } else { Err(LoadError::Limit { what: what.into(), value, limit }) }
}
