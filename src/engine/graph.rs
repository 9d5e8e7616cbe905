//! The layer list that the engine runs: what a model file says, in our words, before any decision about memory or speed.
//!
//! Knows no file format and no width; every channel count here is that of full width.

/// Extent of one value per image: `[channels, height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Shape {
    /// Channels at full width.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// Index of a [`Node`] in its graph; a node reads only nodes before it.
pub(crate) type NodeId = usize;

/// A network: its hidden layers in an order that can be run, and the head that turns features into class scores.
#[derive(Debug)]
pub(crate) struct Graph {
    /// `nodes[0]` is the image.
    pub(crate) nodes: Vec<Node>,
    pub(crate) head: Head,
}

/// One layer and the value that it computes.
#[derive(Debug)]
pub(crate) struct Node {
    /// The name in the model file, for messages.
    pub(crate) name: String,
    pub(crate) op: Op,
    pub(crate) inputs: Vec<NodeId>,
    pub(crate) shape: Shape,
    /// Do its channels come and go with the width? (The image's do not, nor those of what only rescales it.)
    pub(crate) sliced: bool,
}

/// The last linear layer: it writes every class and reads the features of the channels that exist.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) name: String,
    pub(crate) source: NodeId,
    pub(crate) linear: Linear,
}

/// What a hidden layer does.
#[derive(Debug)]
pub(crate) enum Op {
    Input,
    Conv(Conv),
    /// One filter per channel.
    Depthwise(Conv),
    /// A hidden linear layer.
    Linear(Linear),
    Affine(Affine),
    Clamp(Clamp),
    Pool(Pool),
    Add,
}

/// A convolution with its BatchNorm folded in.
#[derive(Debug)]
pub(crate) struct Conv {
    /// `[out, in, kernel height, kernel width]`; `in` is 1 in a depthwise convolution.
    pub(crate) weights: Vec<f32>,
    /// `[out]`
    pub(crate) bias: Vec<f32>,
    pub(crate) window: Window,
}

/// A matrix product, its columns channel-major: channel, then row, then column of the value that was flattened.
#[derive(Debug)]
pub(crate) struct Linear {
    /// `[out, in]`
    pub(crate) weights: Vec<f32>,
    /// `[out]`
    pub(crate) bias: Vec<f32>,
}

/// `x * scale + shift`, channel by channel: normalisation of the image, or a BatchNorm that could not be folded.
#[derive(Debug, Clone)]
pub(crate) struct Affine {
    pub(crate) scale: Vec<f32>,
    pub(crate) shift: Vec<f32>,
}

/// `min(max(x, low), high)`: ReLU and ReLU6.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Clamp {
    pub(crate) low: f32,
    pub(crate) high: f32,
}

/// Pooling over a window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pool {
    pub(crate) kind: PoolKind,
    pub(crate) window: Window,
}

/// How the pixels under a window become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PoolKind {
    /// The largest; padding never wins.
    Max,
    /// The mean of the pixels inside the image.
    Average,
    /// The mean that counts padding as zeros.
    AverageWithPadding,
}

/// A window that slides over rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    /// Rows above and columns to the left that count as zero.
    pub(crate) before: [usize; 2],
    /// Rows below and columns to the right that count as zero.
    pub(crate) after: [usize; 2],
}

impl Shape {
    /// Values per image.
    pub fn len(self) -> usize {
        self.channels * self.pixels()
    }

    /// Is there nothing in it?
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Pixels per channel.
    pub fn pixels(self) -> usize {
        self.height * self.width
    }
}

impl Graph {
    /// Extent of the image.
    pub(crate) fn input(&self) -> Shape {
        self.nodes[0].shape
    }

    /// How many nodes read each node, the head included.
    pub(crate) fn readers(&self) -> Vec<usize> {
        let mut readers = vec![0; self.nodes.len()];
        for id in self.nodes.iter().flat_map(|node| &node.inputs).chain([&self.head.source]) {
            readers[*id] += 1;
        }
        readers
    }
}

impl Clamp {
    /// Changes nothing.
    pub(crate) const NONE: Clamp = Clamp { low: f32::NEG_INFINITY, high: f32::INFINITY };
    pub(crate) const RELU: Clamp = Clamp { low: 0.0, high: f32::INFINITY };

    pub(crate) fn apply(self, value: f32) -> f32 {
        // One instruction each, where `f32::max` and `f32::min` ask for NaN first.
        let value = if value > self.low { value } else { self.low };
        if value < self.high { value } else { self.high }
    }
}

impl Affine {
    /// Rescales the rows of a layer's weights, so that the layer computes what the two did one after the other.
    pub(crate) fn fold_into(&self, weights: &mut [f32], bias: &mut [f32]) {
        let row_len = weights.len() / bias.len();
        let rows = weights.chunks_exact_mut(row_len).zip(bias);
        for ((weights, bias), (scale, shift)) in rows.zip(self.scale.iter().zip(&self.shift)) {
            weights.iter_mut().for_each(|weight| *weight *= scale);
            *bias = *bias * scale + shift;
        }
    }
}

impl Window {
    /// A kernel of one pixel that reads every pixel.
    pub(crate) const POINT: Window = Window { kernel: [1, 1], stride: [1, 1], before: [0, 0], after: [0, 0] };

    /// Has it no padding?
    pub(crate) fn is_inside(&self) -> bool {
        self.before == [0, 0] && self.after == [0, 0]
    }

    /// Rows and columns of what this window makes of `height` rows and `width` columns; `None` where it does not fit.
    pub(crate) fn output(&self, height: usize, width: usize) -> Option<[usize; 2]> {
        let extent = |axis: usize, len: usize| {
            let room = (len + self.before[axis] + self.after[axis]).checked_sub(self.kernel[axis])?;
            Some(room / self.stride[axis] + 1)
        };
        Some([extent(0, height)?, extent(1, width)?])
    }

    /// Weights per channel.
    pub(crate) fn area(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }
}
