//! Slices a network to one width.

use anywidth::engine::Width;
use tch::Tensor;

use super::layer::{FanIn, Layer, Matrix};
use super::{Classifier, Convolution, Graph, Linear, Network, Node, Weights};
use crate::data::Shape;

impl Network {
    /// The ordinary network that this one is at `width`: the active channels of each layer, with the normalization of
    /// that width. Copies its parameters.
    ///
    /// # Panics
    /// If the network is dense and `width` is not full.
    pub fn sliced(&self, width: Width) -> Network {
        assert!(self.weights != Weights::Dense || width == Width::FULL, "a dense network at width {width}");
        self.slice(width)
    }

    fn slice(&self, width: Width) -> Network {
        tch::no_grad(|| {
            let mut nodes: Vec<Node> = Vec::new();
            for node in &self.graph.nodes {
                let before = node.inputs.first().map_or(node.shape.channels, |&input| nodes[input].shape.channels);
                let (layer, channels) = sliced(&node.layer, width, before);
                let shape = Shape { channels, ..node.shape };
                nodes.push(Node { name: node.name.clone(), layer, inputs: node.inputs.clone(), shape });
            }
            let features = nodes.last().expect("the image at least").shape.channels as i64;
            let Classifier { weight, bias } = &self.graph.classifier;
            let classifier = Classifier { weight: copied(&weight.narrow(1, 0, features)), bias: copied(bias) };
            Network {
                architecture: self.architecture.narrowed(width),
                weights: Weights::Dense,
                normalisation: self.normalisation.clone(),
                graph: Graph { nodes, classifier },
            }
        })
    }
}

impl Network {
    /// A copy of the network, with the normalization set of full width only.
    #[must_use]
    pub fn copied(&self) -> Network {
        let Network { architecture, weights, .. } = *self;
        let mut copy = Network { weights, architecture, ..self.slice(Width::FULL) };
        for (node, ours) in copy.graph.nodes.iter_mut().zip(&self.graph.nodes) {
            if let (Some(matrix), Some(ours)) = (node.layer.matrix_mut(), ours.layer.matrix()) {
                matrix.fan_in = ours.fan_in;
            }
        }
        copy
    }
}

/// The sliced layer for an input of `before` channels, and its number of output channels.
fn sliced(layer: &Layer, width: Width, before: usize) -> (Layer, usize) {
    match layer {
        Layer::Convolution(convolution) => {
            let (weight, rows) = matrix(&convolution.weight, width, before);
            (Layer::Convolution(Convolution { weight, window: convolution.window }), rows)
        }
        Layer::Linear(linear) => {
            let (weight, rows) = matrix(&linear.weight, width, before);
            (Layer::Linear(Linear { weight }), rows)
        }
        Layer::Norm(norm) => (Layer::Norm(norm.sliced(width, before)), before),
        Layer::Image => (Layer::Image, before),
        Layer::Relu => (Layer::Relu, before),
        Layer::Relu6 => (Layer::Relu6, before),
        Layer::MaxPool { size } => (Layer::MaxPool { size: *size }, before),
        Layer::GlobalMaxPool => (Layer::GlobalMaxPool, before),
        Layer::GlobalAveragePool => (Layer::GlobalAveragePool, before),
        Layer::Add => (Layer::Add, before),
    }
}

fn matrix(matrix: &Matrix, width: Width, before: usize) -> (Matrix, usize) {
    let rows = width.active(matrix.rows());
    let own = matrix.fan_in == FanIn::Own;
    let columns = if own { 1 } else { before as i64 };
    let narrow = |tensor: &Tensor| tensor.narrow(0, 0, rows as i64).narrow(1, 0, columns);
    let weight = Matrix {
        fan_in: if own { FanIn::Own } else { FanIn::All },
        values: copied(&narrow(&matrix.masked())),
        // The mask of a triangular layer remains.
        mask: narrow(&matrix.mask).copy(),
    };
    (weight, rows)
}

fn copied(tensor: &Tensor) -> Tensor {
    tensor.detach().copy().set_requires_grad(true)
}
