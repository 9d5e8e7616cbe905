//! The proof, at load, that a network runs at any width: no hidden layer reads a channel that a narrower width lacks.
//!
//! The proof reads the weights, never the metadata. Rows and columns count from 0. Layers without weights pair equal channels of values
//! with equally many, so channel `i` of a product, as of a sum, depends only on what both channels `i` may read: a gate whose layers are
//! triangular keeps the network triangular.

use thiserror::Error;

use super::graph::{Graph, Node, Op};
use super::triangle::Triangle;

/// A nonzero weight above the triangle.
#[derive(Debug, Clone, PartialEq, Error)]
#[error(
    "layer {layer} is not triangular: row {row}, column {column} is {value}, but output channel {row} may read only the \
     first {fan_in} of {inputs} input channels; ordinary and slimmable networks (S-Net, US-Net, MutualNet) have such weights, and \
     cannot run at any width from one file"
)]
pub struct NotTriangular {
    /// Name of the layer in the model file.
    pub layer: String,
    /// Output channel.
    pub row: usize,
    /// Column of the weight matrix: the input channel of a convolution, the input feature of a linear layer.
    pub column: usize,
    /// The weight: the first nonzero one of its kernel.
    pub value: f32,
    /// Number of input channels that the row may read.
    pub fan_in: usize,
    /// Number of input channels.
    pub inputs: usize,
}

/// Proves that every hidden layer of `graph` is triangular.
///
/// # Errors
/// The first nonzero weight above the triangle.
pub(crate) fn prove(graph: &Graph) -> Result<(), NotTriangular> {
    graph.nodes.iter().try_for_each(|node| prove_node(graph, node))
}

fn prove_node(graph: &Graph, node: &Node) -> Result<(), NotTriangular> {
    let (weights, weights_per_column) = match &node.op {
        Op::Conv(conv) => (&conv.weights, conv.window.area()),
        Op::Linear(linear) => (&linear.weights, 1),
        _ => return Ok(()),
    };
    let source = &graph.nodes[node.inputs[0]];
    if !source.sliced {
        return Ok(());
    }
    let (inputs, outputs) = (source.shape.channels, node.shape.channels);
    let (triangle, row_len) = (Triangle::new(inputs, outputs), weights.len() / outputs);
    for (row, weights) in weights.chunks_exact(row_len).enumerate() {
        let fan_in = triangle.fan_in(row);
        let allowed = fan_in * (row_len / inputs);
        if let Some(beyond) = weights[allowed..].iter().position(|&weight| weight != 0.0) {
            let at = allowed + beyond;
            let (layer, column, value) = (node.name.clone(), at / weights_per_column, weights[at]);
            return Err(NotTriangular { layer, row, column, value, fan_in, inputs });
        }
    }
    Ok(())
}
