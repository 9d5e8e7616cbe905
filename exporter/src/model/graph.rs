//! A network as a graph of layers, and the builder that networks are written with.
//!
//! Whatever walks a network (running it at a width, counting its cost, slicing, folding and writing it as ONNX, loading
//! weights) walks these nodes; each of those is a file of its own. Knows no architecture.

use rand::Rng;
use tch::{Kind, Tensor};

use super::layer::{BatchNorm, Classifier, Convolution, FanIn, Layer, Linear, Window};
use super::{Graph, Mode, Weights};
use crate::data::Shape;

use anywidth::engine::Width;

/// The index of a node; a node reads only nodes before it.
pub type NodeId = usize;

/// One layer, what it reads, and what it gives.
#[derive(Debug)]
pub struct Node {
    /// Unique within the network.
    pub name: String,
    /// What it computes.
    pub layer: Layer,
    /// The nodes that it reads.
    pub inputs: Vec<NodeId>,
    /// The shape of its value at full width.
    pub shape: Shape,
}

/// Builds a graph node by node; weights are drawn in the order in which their layers are added.
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
    /// A graph with nothing but an image of shape `image`; its hidden layers will have `weights`, held in `kind`.
    pub fn new(image: Shape, weights: Weights, kind: Kind, random: &'a mut R) -> Builder<'a, R> {
        let node = Node { name: "image".into(), layer: Layer::Image, inputs: Vec::new(), shape: image };
        let hidden = if weights == Weights::Triangular { FanIn::Triangular } else { FanIn::All };
        Builder { nodes: vec![node], hidden, kind, random, convolutions: 0, linears: 0, norms: 0 }
    }

    /// The image.
    pub fn image(&self) -> NodeId {
        0
    }

    /// The shape of a node's value at full width.
    pub fn shape(&self, node: NodeId) -> Shape {
        self.nodes[node].shape
    }

    /// A convolution to `channels` channels.
    pub fn convolution(&mut self, input: NodeId, channels: usize, window: Window) -> NodeId {
        let (fan_in, before) = (self.fan_in(input), self.shape(input).channels);
        let convolution = Convolution::new(fan_in, [channels, before], window, self.kind, &mut self.random);
        self.convolve(input, channels, convolution)
    }

    /// A depthwise convolution.
    pub fn depthwise(&mut self, input: NodeId, window: Window) -> NodeId {
        let channels = self.shape(input).channels;
        let convolution = Convolution::new(FanIn::Own, [channels; 2], window, self.kind, &mut self.random);
        self.convolve(input, channels, convolution)
    }

    /// A linear layer to `channels` channels of one pixel.
    pub fn linear(&mut self, input: NodeId, channels: usize) -> NodeId {
        let (fan_in, before) = (self.fan_in(input), self.shape(input));
        let positions = before.height * before.width;
        let linear = Linear::new(fan_in, [channels, before.channels], positions, self.kind, &mut self.random);
        self.linears += 1;
        let shape = Shape { channels, height: 1, width: 1 };
        self.push(format!("linear{}", self.linears), Layer::Linear(linear), &[input], shape)
    }

    /// A batch normalization.
    pub fn norm(&mut self, input: NodeId) -> NodeId {
        let shape = self.shape(input);
        self.norms += 1;
        let norm = BatchNorm::new(shape.channels, self.kind);
        self.push(format!("norm{}", self.norms), Layer::Norm(norm), &[input], shape)
    }

    /// `max(x, 0)`.
    pub fn relu(&mut self, input: NodeId) -> NodeId {
        self.elementwise("relu", Layer::Relu, &[input])
    }

    /// `min(max(x, 0), 6)`.
    pub fn relu6(&mut self, input: NodeId) -> NodeId {
        self.elementwise("relu6", Layer::Relu6, &[input])
    }

    /// The sum of two values of the same shape.
    ///
    /// # Panics
    /// If their shapes differ.
    pub fn add(&mut self, left: NodeId, right: NodeId) -> NodeId {
        assert_eq!(self.shape(left), self.shape(right), "the shapes of a sum");
        self.elementwise("add", Layer::Add, &[left, right])
    }

    /// The maximum of each square of `size` x `size` pixels.
    pub fn max_pool(&mut self, input: NodeId, size: usize) -> NodeId {
        let Shape { channels, height, width } = self.shape(input);
        self.pool(Layer::MaxPool { size }, input, Shape { channels, height: height / size, width: width / size })
    }

    /// The maximum of each map.
    pub fn global_max_pool(&mut self, input: NodeId) -> NodeId {
        self.pool(Layer::GlobalMaxPool, input, Shape { height: 1, width: 1, ..self.shape(input) })
    }

    /// The mean of each map.
    pub fn global_average_pool(&mut self, input: NodeId) -> NodeId {
        self.pool(Layer::GlobalAveragePool, input, Shape { height: 1, width: 1, ..self.shape(input) })
    }

    /// The graph whose last node gives the features that tell `classes` classes apart.
    pub fn finish(self, classes: usize) -> Graph {
        let Shape { channels, height, width } = self.nodes.last().expect("the image at least").shape;
        let classifier = Classifier::new(classes, channels, height * width, self.kind, self.random);
        Graph { nodes: self.nodes, classifier }
    }

    /// Which inputs a layer after `input` reads.
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

    /// A name for a layer without weights, by its place among the hidden layers.
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

    /// The value of the last node, where `run` computes each node's from those that it reads. A value is dropped after its
    /// last reader.
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
                    taken.expect("a value that has readers left")
                })
                .collect();
            values.push(Some(run(node, &inputs)));
        }
        values.pop().flatten().expect("the value of the last node")
    }

    /// Every node with the only normalization that reads it, if nothing else does: what can be folded into one layer.
    pub fn folded_norm(&self, node: NodeId) -> Option<(NodeId, &BatchNorm)> {
        self.nodes[node].layer.matrix()?;
        let mut readers = self.nodes.iter().enumerate().filter(|(_, other)| other.inputs.contains(&node));
        match (readers.next(), readers.next()) {
            (Some((reader, Node { layer: Layer::Norm(norm), .. })), None) => Some((reader, norm)),
            _ => None,
        }
    }
}
