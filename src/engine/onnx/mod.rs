//! ONNX files in, [`Graph`] and [`Metadata`] out; nothing in a file is trusted.
//!
//! [`parse`] decodes the file through tract and is the only place that names it; what comes out are plain [`node`]s and
//! [`tensor`]s. [`lower`] turns them into layers: it follows the [`axes`] of what depends on the image, and computes with
//! [`fold`] what does not. No input makes any of it panic.

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

/// Largest model file that is read, in bytes, its data files included.
pub const MAX_FILE_BYTES: usize = 512 << 20;
/// Most nodes in a graph.
const MAX_NODES: usize = 4096;
/// Most channels of a layer, or outputs of a linear layer: widths are exact for so many.
const MAX_CHANNELS: usize = 1_000_000;
/// Most rows or columns of an image.
const MAX_SIDE: usize = 4096;
/// Most numbers that the memory of one image may hold: 128 MiB.
pub(super) const MAX_ITEM_LEN: usize = 1 << 25;
/// Most multiplications or comparisons that one image may take at full width: tens of seconds on one core, where the largest
/// network of ImageNet takes less than a third.
const MAX_WORK: usize = 1 << 37;
/// Most weights of all layers: no file holds more, but layers may share what it holds.
const MAX_WEIGHTS: usize = MAX_FILE_BYTES / size_of::<f32>();
/// Most axes of a value.
const MAX_RANK: usize = 32;
/// Most numbers that all constants together may hold which the file computes from others.
const MAX_FOLDED: usize = 1 << 28;
/// Of these, so many for each number that the file holds, and so many in any case: a small file takes little memory.
const FOLDED_PER_NUMBER: usize = 32;
const FOLDED_ALWAYS: usize = 1 << 20;

/// What a model file holds.
pub(super) struct Contents {
    pub(super) graph: Graph,
    pub(super) metadata: Metadata,
    /// What was left out because it makes no difference to an answer, a sentence each.
    pub(super) notes: Vec<String>,
}

/// Why a model file was refused. Every message has at most 300 characters.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file is larger than [`MAX_FILE_BYTES`].
    #[error("the file has {0} bytes; at most {MAX_FILE_BYTES} are read")]
    TooLarge(usize),
    /// The bytes are no ONNX model, or a broken one.
    #[error("not a readable ONNX file: {0}")]
    NotOnnx(String),
    /// A node uses an operator, or a setting of one, that this engine does not run.
    #[error("node {node}: {what} is not supported; {allowed}")]
    Unsupported {
        /// Name of the node.
        node: String,
        /// The operator or setting.
        what: String,
        /// What is supported instead, or what to do.
        allowed: String,
    },
    /// A node contradicts itself or its neighbours.
    #[error("node {node}: {what}")]
    Malformed {
        /// Name of the node.
        node: String,
        /// What is wrong with it.
        what: String,
    },
    /// The graph as a whole is not an image classifier of the kind served here.
    #[error("{0}")]
    NotAClassifier(String),
    /// A count or extent is beyond what is served.
    #[error("{what} is {value}; at most {limit} is served")]
    Limit {
        /// What is too large.
        what: String,
        /// How large it is.
        value: usize,
        /// What is allowed.
        limit: usize,
    },
    /// A hidden layer reads a channel that a narrower width lacks.
    #[error(transparent)]
    NotTriangular(#[from] NotTriangular),
    /// The file's metadata contradict the model or themselves.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

impl LoadError {
    /// The node or tensor `name` is wrong.
    fn malformed(name: &str, what: impl AsRef<str>) -> LoadError {
        LoadError::Malformed { node: text::name(name), what: text::clip(what.as_ref(), 220) }
    }
}

/// Reads a model file; `files` are the data files beside it, where there is a folder.
///
/// # Errors
/// Says what in the file is wrong, and where.
pub(super) fn read(bytes: &[u8], files: Option<&mut dyn DataFiles>) -> Result<Contents, LoadError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(LoadError::TooLarge(bytes.len()));
    }
    let mut file = parse::parse(bytes, files)?;
    let entries = std::mem::take(&mut file.metadata);
    let (graph, notes) = lower::lower(&file)?;
    let metadata = Metadata::read(&entries, graph.head.linear.bias.len())?;
    Ok(Contents { graph, metadata, notes })
}

pub(super) fn at_most(what: impl Into<String>, value: usize, limit: usize) -> Result<(), LoadError> {
    if value <= limit { Ok(()) } else { Err(LoadError::Limit { what: what.into(), value, limit }) }
}
