//! ONNX files in, [`Graph`] and [`Metadata`] out; nothing in a file is trusted.
//!
//! [`parse`] reads and types the file through tract and is the only place that names it; [`lower`] turns what it found
//! into layers and knows ONNX's operators but no library.

mod lower;
mod parse;

use thiserror::Error;

use super::graph::Graph;
use super::metadata::{Metadata, MetadataError};
use super::triangular::NotTriangular;

/// Largest model file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 512 << 20;
/// Most nodes in a graph.
const MAX_NODES: usize = 4096;
/// Most channels of a layer, or outputs of a linear layer: widths are exact for so many.
const MAX_CHANNELS: usize = 1_000_000;
/// Most rows or columns of an image.
const MAX_SIDE: usize = 4096;
/// Most numbers that the memory of one image may hold: 128 MiB.
pub(super) const MAX_ITEM_LEN: usize = 1 << 25;
/// Most numbers that a constant may hold which the file computes from others.
const MAX_FOLDED: usize = 1 << 28;
/// Longest name of a node that is kept, in characters.
const MAX_NAME: usize = 200;

/// Why a model file was refused.
#[derive(Debug, Error)]
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
        /// What is supported instead.
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

/// Reads a model file.
///
/// # Errors
/// Says what in the file is wrong, and where.
pub(super) fn read(bytes: &[u8]) -> Result<(Graph, Metadata), LoadError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(LoadError::TooLarge(bytes.len()));
    }
    let file = parse::parse(bytes)?;
    let graph = lower::lower(&file)?;
    let metadata = Metadata::read(&file.metadata, graph.head.linear.bias.len())?;
    Ok((graph, metadata))
}

pub(super) fn at_most(what: impl Into<String>, value: usize, limit: usize) -> Result<(), LoadError> {
    if value <= limit { Ok(()) } else { Err(LoadError::Limit { what: what.into(), value, limit }) }
}
