//! The intermediate representation: the layers of a model file, before any decision about memory or speed.
//!
//! It must not know file formats or widths. All channel counts are those of full width.

/// Shape of one value of one image: `[channels, height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Shape {
    /// Channels at full width.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// Index of a [`Node`] in its graph. A node reads only earlier nodes.
pub(crate) type NodeId = usize;

/// A network: its hidden layers in topological order, and the head that computes the logits.
#[derive(Debug)]
pub(crate) struct Graph {
    /// `nodes[0]` is the image.
    pub(crate) nodes: Vec<Node>,
    pub(crate) head: Head,
}

/// One layer and the value it computes.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its name in the model file, for messages.
    pub(crate) name: String,
    pub(crate) op: Op,
    pub(crate) inputs: Vec<NodeId>,
    pub(crate) shape: Shape,
    /// Whether the channel count scales with width. It does not for the image and for rescalings of the image.
    pub(crate) sliced: bool,
}

/// The last linear layer. It computes every class from the features of the active channels.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) name: String,
    pub(crate) source: NodeId,
    pub(crate) linear: Linear,
}

/// The operator of a hidden layer.
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
    Function(Function),
    Pool(Pool),
    Add,
    /// The product of two values with equally many channels. The second may have a single pixel, which is a factor of all pixels.
    Mul,
}

/// A convolution; a BatchNorm that follows it is folded in.
#[derive(Debug)]
pub(crate) struct Conv {
    /// `[out, in, kernel height, kernel width]`; `in` is 1 in a depthwise convolution.
    pub(crate) weights: Vec<f32>,
    /// `[out]`
    pub(crate) bias: Vec<f32>,
    pub(crate) window: Window,
}

/// A matrix product. Its columns are channel-major: channel, row, column of the flattened value.
#[derive(Debug)]
pub(crate) struct Linear {
    /// `[out, in]`
    pub(crate) weights: Vec<f32>,
    /// `[out]`
    pub(crate) bias: Vec<f32>,
}

/// `x * scale + shift` per channel: normalisation of the image, or a BatchNorm that cannot be folded.
#[derive(Debug, Clone)]
pub(crate) struct Affine {
    pub(crate) scale: Vec<f32>,
    pub(crate) shift: Vec<f32>,
}

/// `min(max(x, low), high)`: ReLU, ReLU6 and other bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Clamp {
    pub(crate) low: f32,
    pub(crate) high: f32,
}

/// A function of one number that is applied to every number of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Function {
    /// `max(x, 0) + slope * min(x, 0)`
    LeakyRelu {
        slope: f32,
    },
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    Tanh,
    Erf,
    /// `x * sigmoid(factor * x)`; SiLU is that of factor 1.
    Swish {
        factor: f32,
    },
    /// `x * min(max(x + 3, 0), 6) / 6`
    HardSwish,
    /// `x * (1 + erf(x / sqrt(2))) / 2`
    Gelu,
    /// `x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2`
    GeluTanh,
}

/// Pooling over a sliding window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pool {
    pub(crate) kind: PoolKind,
    pub(crate) window: Window,
}

/// How the pixels under a window are reduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PoolKind {
    /// The maximum; padding is ignored.
    Max,
    /// The mean of the pixels inside the image.
    Average,
    /// The mean, with padding counted as zeros.
    AverageWithPadding,
}

/// A sliding window over rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    /// Rows and columns from one tap of the kernel to the next.
    pub(crate) dilation: [usize; 2],
    /// Zero padding above and to the left.
    pub(crate) before: [usize; 2],
    /// Zero padding below and to the right.
    pub(crate) after: [usize; 2],
}

impl Shape {
    /// Values per image: channels times height times width.
    pub fn len(self) -> usize {
        self.channels * self.pixels()
    }

    /// Whether it has no values.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Pixels per channel.
    pub fn pixels(self) -> usize {
        self.height * self.width
    }
}

impl Graph {
    /// Shape of the image.
    pub(crate) fn input(&self) -> Shape {
        self.nodes[0].shape
    }

    /// Number of readers of each node, including the head.
    pub(crate) fn readers(&self) -> Vec<usize> {
        let mut readers = vec![0; self.nodes.len()];
        for id in self.nodes.iter().flat_map(|node| &node.inputs).chain([&self.head.source]) {
            readers[*id] += 1;
        }
        readers
    }

    /// For each node, whether it is in a gate: what computes the factors of a map's channels from that map, as in
    /// squeeze-and-excitation.
    pub(crate) fn gates(&self) -> Vec<bool> {
        let mut gates = vec![false; self.nodes.len()];
        for node in self.nodes.iter().filter(|node| matches!(node.op, Op::Mul)) {
            let (map, mut at) = (node.inputs[0], node.inputs[1]);
            let mut between = vec![];
            while at != map && self.nodes[at].shape.pixels() == 1 && !self.nodes[at].inputs.is_empty() {
                between.push(at);
                at = self.nodes[at].inputs[0];
            }
            if at == map {
                between.into_iter().for_each(|id| gates[id] = true);
            }
        }
        gates
    }
}

impl Clamp {
    /// The identity.
    pub(crate) const NONE: Clamp = Clamp { low: f32::NEG_INFINITY, high: f32::INFINITY };
    pub(crate) const RELU: Clamp = Clamp { low: 0.0, high: f32::INFINITY };

    /// The bounded value; NaN stays NaN, so that a network that overflows is not answered as if it had not.
    pub(crate) fn apply(self, value: f32) -> f32 {
        // One instruction per comparison; `f32::max` and `f32::min` would lose NaN.
        let value = if value < self.low { self.low } else { value };
        if value > self.high { self.high } else { value }
    }
}

impl Affine {
    /// Scales the weight rows and biases of a layer, so the layer also performs this rescaling of its output.
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
    /// A 1x1 kernel with stride 1.
    pub(crate) const POINT: Window =
        Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], before: [0, 0], after: [0, 0] };

    /// Whether the window has no padding.
    pub(crate) fn is_inside(&self) -> bool {
        self.before == [0, 0] && self.after == [0, 0]
    }

    /// Output rows and columns for an input of `height` rows and `width` columns; `None` if the window does not fit.
    pub(crate) fn output(&self, height: usize, width: usize) -> Option<[usize; 2]> {
        let outputs = |axis: usize, len: usize| {
            let room = (len + self.before[axis] + self.after[axis]).checked_sub(self.extent(axis))?;
            Some(room / self.stride[axis] + 1)
        };
        Some([outputs(0, height)?, outputs(1, width)?])
    }

    /// Rows (axis 0) or columns (axis 1) from the first tap to the last, both included.
    pub(crate) fn extent(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilation[axis] + 1
    }

    /// Weights per channel: kernel rows times kernel columns.
    pub(crate) fn area(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }
}
