//! The layers that networks are made of, each at any width.
//!
//! A layer reads as many channels as its input has and writes those that exist at the width that it is run at.

use anywidth::engine::{Width, limit, reads};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use tch::{Kind, Tensor};

use super::{Mode, Parameter};

/// One hidden layer.
#[derive(Debug)]
pub enum Layer {
    /// A convolution and the batch normalisation of what it gives.
    Convolution(Convolution),
    /// `max(x, 0)`.
    Relu,
    /// The maximum of each square of `size` x `size` pixels, without overlap; a rest at the border is dropped.
    MaxPool {
        /// Side of the square.
        size: usize,
    },
}

/// A convolution (stride 1) whose rows read the input channels that they may; its bias is the normalisation's.
#[derive(Debug)]
pub struct Convolution {
    /// Unique within the network.
    pub name: String,
    /// `[C_out, C_in, K, K]`, not masked.
    pub weight: Tensor,
    /// `[C_out, C_in, 1, 1]`: 1 where a row may read, 0 above the triangle.
    pub mask: Tensor,
    /// Rows and columns of zeros around the input.
    pub padding: usize,
    /// What follows.
    pub norm: BatchNorm,
}

/// Batch normalisation with one set of statistics for all widths.
#[derive(Debug)]
pub struct BatchNorm {
    /// Unique within the network.
    pub name: String,
    /// Factor, `[C]`.
    pub gamma: Tensor,
    /// Summand, `[C]`.
    pub beta: Tensor,
    /// Running mean, `[C]`.
    pub mean: Tensor,
    /// Running variance, `[C]`.
    pub variance: Tensor,
}

/// The last layer: class scores from the flattened maps of the active channels.
#[derive(Debug)]
pub struct Classifier {
    /// `[classes, C, positions]`.
    pub weight: Tensor,
    /// `[classes]`.
    pub bias: Tensor,
}

/// What a convolution reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The image, all of whose channels exist at every width.
    Image,
    /// A sliced layer's channels.
    Channels,
}

impl Layer {
    pub(super) fn forward(&self, input: &Tensor, width: Width, mode: Mode) -> Tensor {
        match self {
            Layer::Convolution(convolution) => convolution.norm.forward(&convolution.forward(input, width, mode), mode),
            Layer::Relu => input.relu(),
            Layer::MaxPool { size } => {
                let size = *size as i64;
                input.max_pool2d([size, size], [size, size], [0, 0], [1, 1], false)
            }
        }
    }

    pub(super) fn parameters(&self) -> Vec<Parameter<'_>> {
        let Layer::Convolution(Convolution { name, weight, norm, .. }) = self else { return Vec::new() };
        let parameter = |name: String, tensor, decays| Parameter { name, tensor, channel_axis: Some(0), decays };
        vec![
            parameter(format!("{name}.weight"), weight, true),
            parameter(format!("{}.gamma", norm.name), &norm.gamma, false),
            parameter(format!("{}.beta", norm.name), &norm.beta, false),
        ]
    }

    pub(super) fn buffers(&self) -> Vec<(String, &Tensor)> {
        let Layer::Convolution(Convolution { norm, .. }) = self else { return Vec::new() };
        vec![(format!("{}.mean", norm.name), &norm.mean), (format!("{}.variance", norm.name), &norm.variance)]
    }
}

impl Convolution {
    /// The layer `conv<index>`, with random weights `[c_out, c_in, kernel, kernel]`: each row normal with variance 2 / (the inputs it reads), after
    /// He et al., "Delving Deep into Rectifiers" (2015).
    pub(super) fn new(
        index: usize,
        input: Input,
        [c_out, c_in, kernel]: [usize; 3],
        padding: usize,
        kind: Kind,
        random: &mut impl Rng,
    ) -> Convolution {
        let may_read = |i, j| input == Input::Image || reads(i, j, c_in, c_out);
        let readable = |i| if input == Input::Image { c_in } else { limit(i, c_in, c_out) };
        let area = kernel * kernel;
        let (mut mask, mut weight) = (Vec::new(), Vec::new());
        for i in 0..c_out {
            let deviation = (2.0 / (readable(i) * area) as f64).sqrt();
            mask.extend((0..c_in).map(|j| f64::from(may_read(i, j))));
            weight.extend(normal(c_in * area, deviation, random));
        }
        let [rows, columns, side] = [c_out, c_in, kernel].map(|length| length as i64);
        Convolution {
            name: format!("conv{index}"),
            weight: leaf(&weight, &[rows, columns, side, side], kind),
            mask: Tensor::from_slice(&mask).to_kind(kind).view([rows, columns, 1, 1]),
            padding,
            norm: BatchNorm::new(format!("norm{index}"), c_out, kind),
        }
    }

    /// The weights with exact zeros above the triangle, `[C_out, C_in, K, K]`.
    pub fn masked(&self) -> Tensor {
        &self.weight * &self.mask
    }

    /// Weights `[C_out, C_in, K, K]` and bias `[C_out]` of one convolution that does what this one and its
    /// normalisation do in evaluation. What the mask forbids is exactly `+0.0`.
    pub fn folded(&self) -> (Tensor, Tensor) {
        let scale = &self.norm.gamma / (&self.norm.variance + BatchNorm::EPSILON).sqrt();
        let bias = &self.norm.beta - &self.norm.mean * &scale;
        // A negative scale makes -0.0 of a zero; adding 0.0 makes +0.0 of it.
        (self.masked() * scale.view([-1, 1, 1, 1]) + 0.0, bias)
    }

    fn forward(&self, input: &Tensor, width: Width, mode: Mode) -> Tensor {
        let (rows, columns) = (width.active(self.weight.size()[0] as usize) as i64, input.size()[1]);
        let weight = self.masked().narrow(0, 0, rows).narrow(1, 0, columns).to_kind(mode.precision);
        let padding = [self.padding as i64; 2];
        input.to_kind(mode.precision).conv2d(&weight, None::<Tensor>, [1, 1], padding, [1, 1], 1)
    }
}

impl BatchNorm {
    /// Added to the variance before its root is taken.
    const EPSILON: f64 = 1e-5;
    /// How far one batch moves the running statistics.
    const MOMENTUM: f64 = 0.1;

    fn new(name: String, channels: usize, kind: Kind) -> BatchNorm {
        let filled = |value: f64| Tensor::from_slice(&vec![value; channels]).to_kind(kind);
        BatchNorm {
            name,
            gamma: filled(1.0).set_requires_grad(true),
            beta: filled(0.0).set_requires_grad(true),
            mean: filled(0.0),
            variance: filled(1.0),
        }
    }

    fn forward(&self, input: &Tensor, mode: Mode) -> Tensor {
        let active = |tensor: &Tensor| Some(tensor.narrow(0, 0, input.size()[1]));
        let [gamma, beta, mean, variance] = [&self.gamma, &self.beta, &self.mean, &self.variance].map(active);
        input.batch_norm(gamma, beta, mean, variance, mode.training, Self::MOMENTUM, Self::EPSILON, false)
    }
}

impl Classifier {
    pub(super) fn new(
        classes: usize,
        channels: usize,
        positions: usize,
        kind: Kind,
        random: &mut impl Rng,
    ) -> Classifier {
        let inputs = channels * positions;
        let weight: Vec<f64> = normal(classes * inputs, (1.0 / inputs as f64).sqrt(), random).collect();
        Classifier {
            weight: leaf(&weight, &[classes as i64, channels as i64, positions as i64], kind),
            bias: leaf(&vec![0.0; classes], &[classes as i64], kind),
        }
    }

    /// How many channels it reads at full width.
    pub fn channels(&self) -> usize {
        self.weight.size()[1] as usize
    }

    /// Logits `[N, classes]` of features `[N, active channels, H, W]`.
    pub(super) fn logits(&self, features: &Tensor) -> Tensor {
        let weight = self.weight.narrow(1, 0, features.size()[1]).flatten(1, 2);
        features.to_kind(weight.kind()).flatten(1, 3).matmul(&weight.tr()) + &self.bias
    }

    /// Logits of every channel count, `[channels, N, classes]`, of features `[N, channels, H, W]`.
    pub(super) fn running_logits(&self, features: &Tensor) -> Tensor {
        let features = features.to_kind(self.weight.kind()).flatten(2, 3).permute([1, 0, 2]);
        features.bmm(&self.weight.permute([1, 2, 0])).cumsum(0, None) + &self.bias
    }

    pub(super) fn parameters(&self) -> [Parameter<'_>; 2] {
        [
            Parameter { name: "classifier.weight".into(), tensor: &self.weight, channel_axis: Some(1), decays: true },
            Parameter { name: "classifier.bias".into(), tensor: &self.bias, channel_axis: None, decays: true },
        ]
    }
}

fn normal(count: usize, deviation: f64, random: &mut impl Rng) -> impl Iterator<Item = f64> {
    (0..count).map(move |_| deviation * Distribution::<f64>::sample(&StandardNormal, random))
}

fn leaf(values: &[f64], size: &[i64], kind: Kind) -> Tensor {
    Tensor::from_slice(values).to_kind(kind).view(size).set_requires_grad(true)
}
