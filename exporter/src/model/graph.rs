//! A network as a graph of layers, and its builder.
//!
//! Every operation on a network (running at a width, counting cost, slicing, folding, ONNX export, loading weights)
//! walks these nodes, each in its own file. Must not know architectures.

use rand::Rng;
use tch::{Kind, Tensor};

use super::layer::{BatchNorm, Classifier, Convolution, FanIn, Layer, Linear, Window};
use super::{Graph, Mode, Weights};
use crate::data::Shape;

use anywidth::engine::Width;

/// The index of a node; a node reads only earlier nodes.
pub type NodeId = usize;

/// A layer with its inputs and its output shape.
#[derive(Debug)]
pub struct Node {
    /// Unique within the network.
    pub name: String,
    /// The computation.
    pub layer: Layer,
    /// The nodes it reads.
    pub inputs: Vec<NodeId>,
    /// The shape of its output at full width.
    pub shape: Shape,
}

/// The activation after a normalization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// The identity.
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
}

/// Builds a graph node by node; random weights are drawn in the order of the layers.
pub struct Builder<'a, R> {
    nodes: Vec<Node>,
    hidden: FanIn,
    kind: Kind,
    random: &'a mut R,
    convolutions: usize,
    linears: usize,
    norms: usize,
}

impl<'a, R: Rng> Builder<'a, R> {
    /// A graph with only an image of shape `image`; hidden layers get `weights`, stored as `kind`.
    pub fn new(image: Shape, weights: Weights, kind: Kind, random: &'a mut R) -> Builder<'a, R> {
        let node = Node { name: "image".into(), layer: Layer::Image, inputs: Vec::new(), shape: image };
        let hidden = if weights == Weights::Triangular { FanIn::Triangular } else { FanIn::All };
        Builder { nodes: vec![node], hidden, kind, random, convolutions: 0, linears: 0, norms: 0 }
    }

    /// The image node.
    pub fn image(&self) -> NodeId {
        0
    }

    /// The shape of a node's output at full width.
    pub fn shape(&self, node: NodeId) -> Shape {
        self.nodes[node].shape
    }

    /// Adds a convolution to `channels` channels, its normalization and its activation.
    pub fn block(&mut self, input: NodeId, channels: usize, window: Window, activation: Activation) -> NodeId {
        let maps = self.convolution(input, channels, window);
        self.normalized(maps, activation)
    }

    /// Adds a depthwise convolution, its normalization and its activation.
    pub fn depthwise_block(&mut self, input: NodeId, window: Window, activation: Activation) -> NodeId {
        let maps = self.depthwise(input, window);
        self.normalized(maps, activation)
    }

    /// Adds a batch normalization and its activation.
    pub fn normalized(&mut self, input: NodeId, activation: Activation) -> NodeId {
        let maps = self.norm(input);
        match activation {
            Activation::None => maps,
            Activation::Relu => self.relu(maps),
            Activation::Relu6 => self.relu6(maps),
        }
    }

    /// Adds a convolution to `channels` channels.
    pub fn convolution(&mut self, input: NodeId, channels: usize, window: Window) -> NodeId {
        let (fan_in, before) = (self.fan_in(input), self.shape(input).channels);
        let convolution = Convolution::new(fan_in, [channels, before], window, self.kind, &mut self.random);
        self.convolve(input, channels, convolution)
    }

    /// Adds a depthwise convolution.
    pub fn depthwise(&mut self, input: NodeId, window: Window) -> NodeId {
        let channels = self.shape(input).channels;
        let convolution = Convolution::new(FanIn::Own, [channels; 2], window, self.kind, &mut self.random);
        self.convolve(input, channels, convolution)
    }

    /// Adds a linear layer to `channels` channels of one pixel.
    pub fn linear(&mut self, input: NodeId, channels: usize) -> NodeId {
        let (fan_in, before) = (self.fan_in(input), self.shape(input));
        let positions = before.height * before.width;
        let linear = Linear::new(fan_in, [channels, before.channels], positions, self.kind, &mut self.random);
        self.linears += 1;
        let shape = Shape { channels, height: 1, width: 1 };
        self.push(format!("linear{}", self.linears), Layer::Linear(linear), &[input], shape)
    }

    /// Adds a batch normalization.
    pub fn norm(&mut self, input: NodeId) -> NodeId {
        let shape = self.shape(input);
        self.norms += 1;
        let norm = BatchNorm::new(shape.channels, self.kind);
        self.push(format!("norm{}", self.norms), Layer::Norm(norm), &[input], shape)
    }

    /// Adds `max(x, 0)`.
    pub fn relu(&mut self, input: NodeId) -> NodeId {
        self.elementwise("relu", Layer::Relu, &[input])
    }

    /// Adds `min(max(x, 0), 6)`.
    pub fn relu6(&mut self, input: NodeId) -> NodeId {
        self.elementwise("relu6", Layer::Relu6, &[input])
    }

    /// Adds the sum of two nodes of the same shape.
    ///
    /// # Panics
    /// If their shapes differ.
    pub fn add(&mut self, left: NodeId, right: NodeId) -> NodeId {
        assert_eq!(self.shape(left), self.shape(right), "the shapes of a sum");
        self.elementwise("add", Layer::Add, &[left, right])
    }

    /// Adds the maximum of each square of `size` x `size` pixels.
    pub fn max_pool(&mut self, input: NodeId, size: usize) -> NodeId {
        let Shape { channels, height, width } = self.shape(input);
        self.pool(Layer::MaxPool { size }, input, Shape { channels, height: height / size, width: width / size })
    }

    /// Adds the maximum of each map.
    pub fn global_max_pool(&mut self, input: NodeId) -> NodeId {
        self.pool(Layer::GlobalMaxPool, input, Shape { height: 1, width: 1, ..self.shape(input) })
    }

    /// Adds the mean of each map.
    pub fn global_average_pool(&mut self, input: NodeId) -> NodeId {
        self.pool(Layer::GlobalAveragePool, input, Shape { height: 1, width: 1, ..self.shape(input) })
    }

    /// The finished graph, whose last node is the input of a classifier for `classes` classes.
    pub fn finish(self, classes: usize) -> Graph {
        let Shape { channels, height, width } = self.nodes.last().expect("the image at least").shape;
        let classifier = Classifier::new(classes, channels, height * width, self.kind, self.random);
        Graph { nodes: self.nodes, classifier }
    }

    /// The fan-in of a layer that reads `input`.
    fn fan_in(&self, input: NodeId) -> FanIn {
        if matches!(self.nodes[input].layer, Layer::Image) { FanIn::All } else { self.hidden }
    }

    fn convolve(&mut self, input: NodeId, channels: usize, convolution: Convolution) -> NodeId {
        let (Shape { height, width, .. }, window) = (self.shape(input), convolution.window);
        let shape = Shape { channels, height: window.outputs(height), width: window.outputs(width) };
        self.convolutions += 1;
        self.push(format!("conv{}", self.convolutions), Layer::Convolution(convolution), &[input], shape)
    }

    fn elementwise(&mut self, kind: &str, layer: Layer, inputs: &[NodeId]) -> NodeId {
        let shape = self.shape(inputs[0]);
        self.push(self.numbered(kind), layer, inputs, shape)
    }

    fn pool(&mut self, layer: Layer, input: NodeId, shape: Shape) -> NodeId {
        self.push(self.numbered("pool"), layer, &[input], shape)
    }

    /// A name for a layer without weights, numbered by its index among the hidden layers.
    fn numbered(&self, kind: &str) -> String {
        format!("{kind}_{}", self.nodes.len() - 1)
    }

    fn push(&mut self, name: String, layer: Layer, inputs: &[NodeId], shape: Shape) -> NodeId {
        self.nodes.push(Node { name, layer, inputs: inputs.into(), shape });
        self.nodes.len() - 1
    }
}

impl Graph {
    /// The features of normalized images `[N, C, H, W]` at `width`.
    pub(super) fn features(&self, images: Tensor, width: Width, mode: Mode) -> Tensor {
        self.walk(images, |node, inputs| node.layer.forward(inputs, width, mode))
    }

    /// Computes every node with `run` from its inputs, and returns the last value. Drops each value after its last
    /// reader.
    pub(super) fn walk(&self, images: Tensor, mut run: impl FnMut(&Node, &[Tensor]) -> Tensor) -> Tensor {
        let mut readers = vec![0usize; self.nodes.len()];
        self.nodes.iter().flat_map(|node| &node.inputs).for_each(|&input| readers[input] += 1);
        let mut values: Vec<Option<Tensor>> = vec![Some(images)];
        for node in &self.nodes[1..] {
            let inputs: Vec<Tensor> = node
                .inputs
                .iter()
                .map(|&input| {
                    readers[input] -= 1;
                    let value = &mut values[input];
                    let taken =
                        if readers[input] == 0 { value.take() } else { value.as_ref().map(Tensor::shallow_clone) };
                    taken.expect("a value with remaining readers")
                })
                .collect();
            values.push(Some(run(node, &inputs)));
        }
        values.pop().flatten().expect("the value of the last node")
    }

    /// The normalization that reads `node`, if it is the only reader: both can be folded into one layer.
    pub fn folded_norm(&self, node: NodeId) -> Option<(NodeId, &BatchNorm)> {
        self.nodes[node].layer.matrix()?;
        let mut readers = self.nodes.iter().enumerate().filter(|(_, other)| other.inputs.contains(&node));
        match (readers.next(), readers.next()) {
            (Some((reader, Node { layer: Layer::Norm(norm), .. })), None) => Some((reader, norm)),
            _ => None,
        }
    }
}
