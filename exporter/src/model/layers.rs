//! The layers that networks are made of, each at any width.
//!
//! A layer reads as many channels as its input has and writes those that exist at the width that it is run at.

use anywidth::engine::{Width, limit, reads};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Kind, Tensor};

use super::{Mode, Parameter, rows};

/// One hidden layer.
#[derive(Debug)]
pub enum Layer {
    /// A convolution without a bias.
    Convolution(Convolution),
    /// Batch normalisation.
    Norm(BatchNorm),
    /// `max(x, 0)`.
    Relu,
    /// The maximum of each square of `size` x `size` pixels, without overlap; a rest at the border is dropped.
    MaxPool {
        /// Side of the square.
        size: usize,
    },
    /// The maximum of each whole map.
    GlobalMaxPool,
}

/// A convolution whose rows read the input channels that they may; its bias is that of the normalisation that follows.
#[derive(Debug)]
pub struct Convolution {
    /// Unique within the network.
    pub name: String,
    /// Which inputs its rows read.
    pub weights: Weights,
    /// `[C_out, C_in, K, K]`, not masked.
    pub weight: Tensor,
    /// `[C_out, C_in, 1, 1]`: 1 where a row may read, 0 above the triangle if there is one.
    pub mask: Tensor,
    /// Where its kernels are put.
    pub window: Window,
}

/// Where square kernels are put on a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns of the kernel.
    pub side: usize,
    /// Rows and columns from one place to the next.
    pub stride: usize,
    /// Rows and columns of zeros around the map.
    pub padding: usize,
}

impl Window {
    /// Are there as many places for the kernel as the map has pixels?
    fn keeps_size(self) -> bool {
        self.stride == 1 && self.side == 2 * self.padding + 1
    }
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

/// Which input channels the rows of a convolution read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// All: of an image, whose channels exist at every width, and wherever a network is run at full width only.
    Dense,
    /// Those that exist at the narrowest width at which the row itself exists.
    Triangular,
}

/// The length that random rows have on average: as many weights as they read, of variance 2 / (the inputs it reads).
const LENGTH: f64 = std::f64::consts::SQRT_2;

/// Rows from which on two convolutions of half the rows, one of them with half the inputs, take less time than one. In
/// bfloat16 they never do: what a processor with AMX saves is less than what it takes to put the halves together, and to
/// add up what both say of their common inputs' gradient. Nor do they on a GPU, where a pass is mostly starting kernels.
const WORTH_SPLITTING: i64 = 64;

impl Layer {
    pub(super) fn forward(&self, input: &Tensor, width: Width, mode: Mode) -> Tensor {
        match self {
            Layer::Convolution(convolution) => convolution.forward(input, width, mode),
            Layer::Norm(norm) => norm.forward(input, mode),
            Layer::Relu => input.relu(),
            Layer::MaxPool { size } => {
                let size = *size as i64;
                input.max_pool2d([size, size], [size, size], [0, 0], [1, 1], false)
            }
            Layer::GlobalMaxPool => input.amax([2i64, 3].as_slice(), true),
        }
    }

    pub(super) fn parameters(&self) -> Vec<Parameter<'_>> {
        let parameter = |name: String, tensor, decays| Parameter { name, tensor, channel_axis: Some(0), decays };
        match self {
            Layer::Convolution(Convolution { name, weight, .. }) => {
                vec![parameter(format!("{name}.weight"), weight, true)]
            }
            Layer::Norm(BatchNorm { name, gamma, beta, .. }) => {
                vec![parameter(format!("{name}.gamma"), gamma, false), parameter(format!("{name}.beta"), beta, false)]
            }
            Layer::Relu | Layer::MaxPool { .. } | Layer::GlobalMaxPool => Vec::new(),
        }
    }

    /// Moves every tensor to `device`.
    pub(super) fn move_to(&mut self, device: Device) {
        match self {
            Layer::Convolution(Convolution { weight, mask, .. }) => {
                [weight, mask].into_iter().for_each(|tensor| moved(tensor, device));
            }
            Layer::Norm(BatchNorm { gamma, beta, mean, variance, .. }) => {
                [gamma, beta, mean, variance].into_iter().for_each(|tensor| moved(tensor, device));
            }
            Layer::Relu | Layer::MaxPool { .. } | Layer::GlobalMaxPool => {}
        }
    }

    pub(super) fn buffers(&self) -> Vec<(String, &Tensor)> {
        let Layer::Norm(BatchNorm { name, mean, variance, .. }) = self else { return Vec::new() };
        vec![(format!("{name}.mean"), mean), (format!("{name}.variance"), variance)]
    }
}

impl Convolution {
    /// The layer `conv<index>`, with random weights `[c_out, c_in, side, side]`: each row normal with variance
    /// 2 / (the inputs it reads), after He et al., "Delving Deep into Rectifiers" (2015).
    pub(super) fn new(
        index: usize,
        weights: Weights,
        [c_out, c_in]: [usize; 2],
        window: Window,
        kind: Kind,
        random: &mut impl Rng,
    ) -> Convolution {
        let may_read = |i, j| weights == Weights::Dense || reads(i, j, c_in, c_out);
        let readable = |i| if weights == Weights::Dense { c_in } else { limit(i, c_in, c_out) };
        let area = window.side * window.side;
        let (mut mask, mut weight) = (Vec::new(), Vec::new());
        for i in 0..c_out {
            let deviation = (2.0 / (readable(i) * area) as f64).sqrt();
            mask.extend((0..c_in).map(|j| f64::from(may_read(i, j))));
            weight.extend(normal(c_in * area, deviation, random));
        }
        let [rows, columns, side] = [c_out, c_in, window.side].map(|length| length as i64);
        Convolution {
            name: format!("conv{index}"),
            weights,
            weight: leaf(&weight, &[rows, columns, side, side], kind),
            mask: Tensor::from_slice(&mask).to_kind(kind).view([rows, columns, 1, 1]),
            window,
        }
    }

    /// The weights with exact zeros above the triangle, `[C_out, C_in, K, K]`.
    pub fn masked(&self) -> Tensor {
        &self.weight * &self.mask
    }

    /// Weights `[C_out, C_in, K, K]` and bias `[C_out]` of one convolution that does what this one and the
    /// normalisation right after it do in evaluation. What the mask forbids is exactly `+0.0`.
    pub fn folded(&self, norm: &BatchNorm) -> (Tensor, Tensor) {
        let scale = &norm.gamma / (&norm.variance + BatchNorm::EPSILON).sqrt();
        let bias = &norm.beta - &norm.mean * &scale;
        // A negative scale makes -0.0 of a zero; adding 0.0 makes +0.0 of it.
        (self.masked() * scale.view([-1, 1, 1, 1]) + 0.0, bias)
    }

    /// The inverse of [`Convolution::folded`], as far as there is one: this one and `norm` right after it do in evaluation
    /// what a convolution with these weights (`[C_out, C_in, K, K]`) and this `bias` (`[C_out]`) does. The normalisation
    /// changes nothing but to add the bias; a row of zeros keeps the weights that it has, and is multiplied by zero.
    pub fn unfold(&self, norm: &BatchNorm, weight: &Tensor, bias: &Tensor) {
        let alive = weight.abs().amax([1i64, 2, 3].as_slice(), true).gt(0.0);
        tch::no_grad(|| {
            self.weight.shallow_clone().copy_(&weight.where_self(&alive, &self.weight));
            norm.gamma.shallow_clone().copy_(&alive.view([-1]));
            norm.beta.shallow_clone().copy_(bias);
            let _ = norm.mean.shallow_clone().zero_();
            let _ = norm.variance.shallow_clone().fill_(1.0 - BatchNorm::EPSILON);
        });
    }

    /// Gives rows the length that random ones have on average, and `norm` right after it the statistics of what they then
    /// make of `input`; both together do in evaluation what they did before. Returns the rows' answers to `input`.
    pub(super) fn calibrate(&self, norm: &BatchNorm, input: &Tensor, mode: Mode) -> Tensor {
        let length = self.masked().to_kind(Kind::Double).square().sum_dim_intlist([1i64, 2, 3].as_slice(), false, None);
        let length = length.sqrt();
        // Of a row of zeros, which has no direction, nothing is changed.
        let factor = (LENGTH / &length).where_self(&length.gt(0.0), &length.ones_like());
        tch::no_grad(|| {
            let scale = &norm.gamma / (&norm.variance + BatchNorm::EPSILON).sqrt() / &factor;
            let summand = &norm.beta - &norm.mean * &scale * &factor;
            let mut weight = self.weight.shallow_clone();
            weight *= factor.view([-1, 1, 1, 1]);
            let answers = self.forward(input, Width::FULL, mode);
            norm.become_with(&scale, &summand, &answers);
            answers
        })
    }

    fn forward(&self, input: &Tensor, width: Width, mode: Mode) -> Tensor {
        let [c_out, c_in, ..] = self.weight.size()[..] else { unreachable!("four axes") };
        let rows = width.active(c_out as usize) as i64;
        let weight = self.masked().narrow(0, 0, rows).narrow(1, 0, input.size()[1]).to_kind(mode.precision);
        let input = input.to_kind(mode.precision);
        let [stride, padding] = [self.window.stride, self.window.padding].map(|length| [length as i64; 2]);
        let convolve =
            |input: &Tensor, weight: &Tensor| input.conv2d(weight, None::<Tensor>, stride, padding, [1, 1], 1);
        let [on_processor, half] = [input.device() == Device::Cpu, mode.precision == Kind::BFloat16];
        if mode.training && on_processor && half && self.window.keeps_size() {
            return rows::with_long_rows(&input, self.window.padding as i64, |input| convolve(input, &weight));
        }
        if self.weights == Weights::Dense || rows < WORTH_SPLITTING || !on_processor || half {
            return convolve(&input, &weight);
        }
        // The upper half of the rows reads few channels: a quarter of the work is multiplying by zeros.
        let upper = rows / 2;
        let read = limit(upper as usize - 1, c_in as usize, c_out as usize) as i64;
        let narrow = convolve(&input.narrow(1, 0, read), &weight.narrow(0, 0, upper).narrow(1, 0, read));
        Tensor::cat(&[narrow, convolve(&input, &weight.narrow(0, upper, rows - upper))], 1)
    }
}

impl BatchNorm {
    /// Added to the variance before its root is taken.
    pub const EPSILON: f64 = 1e-5;
    /// How far one batch moves the running statistics.
    const MOMENTUM: f64 = 0.1;

    /// The layer `norm<index>`, which changes nothing yet.
    pub(super) fn new(index: usize, channels: usize, kind: Kind) -> BatchNorm {
        let filled = |value: f64| Tensor::from_slice(&vec![value; channels]).to_kind(kind);
        BatchNorm {
            name: format!("norm{index}"),
            gamma: filled(1.0).set_requires_grad(true),
            beta: filled(0.0).set_requires_grad(true),
            mean: filled(0.0),
            variance: filled(1.0),
        }
    }

    /// Does in evaluation what it did before, but with the statistics of `input`, so that it does about the same in training.
    pub(super) fn calibrate(&self, input: &Tensor) {
        tch::no_grad(|| {
            let scale = &self.gamma / (&self.variance + BatchNorm::EPSILON).sqrt();
            let summand = &self.beta - &self.mean * &scale;
            self.become_with(&scale, &summand, input);
        });
    }

    /// Becomes the one that multiplies by `scale` and adds `summand`, with the statistics of `input`.
    fn become_with(&self, scale: &Tensor, summand: &Tensor, input: &Tensor) {
        let (variance, mean) = input.var_mean_dim([0i64, 2, 3].as_slice(), false, false);
        self.gamma.shallow_clone().copy_(&(scale * (&variance + BatchNorm::EPSILON).sqrt()));
        self.beta.shallow_clone().copy_(&(summand + &mean * scale));
        self.mean.shallow_clone().copy_(&mean);
        self.variance.shallow_clone().copy_(&variance);
    }

    /// What it is made of, with the names that are unique within the network.
    pub fn tensors(&self) -> [(String, &Tensor); 4] {
        let tensors =
            [("gamma", &self.gamma), ("beta", &self.beta), ("mean", &self.mean), ("variance", &self.variance)];
        tensors.map(|(what, tensor)| (format!("{}.{what}", self.name), tensor))
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

    /// Moves every tensor to `device`.
    pub(super) fn move_to(&mut self, device: Device) {
        [&mut self.weight, &mut self.bias].into_iter().for_each(|tensor| moved(tensor, device));
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

/// Makes `tensor` the same one on `device`: a leaf if it was one, and without its gradient.
fn moved(tensor: &mut Tensor, device: Device) {
    *tensor = tensor.detach().to_device(device).set_requires_grad(tensor.requires_grad());
}

fn leaf(values: &[f64], size: &[i64], kind: Kind) -> Tensor {
    Tensor::from_slice(values).to_kind(kind).view(size).set_requires_grad(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    #[test]
    fn a_split_convolution_gives_what_the_masked_weights_give_in_one() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let mode = Mode { training: false, precision: Kind::Double };
        for (c_out, c_in, millionths, stride) in
            [(64, 64, 1_000_000, 1), (100, 70, 1_000_000, 1), (70, 100, 950_000, 2), (130, 9, 500_000, 1)]
        {
            let width = Width::from_millionths(millionths).expect("a width");
            let window = Window { side: 3, stride, padding: 1 };
            let convolution =
                Convolution::new(1, Weights::Triangular, [c_out, c_in], window, Kind::Double, &mut random);
            let [rows, columns] = [c_out, c_in].map(|channels| width.active(channels) as i64);
            assert!(rows >= WORTH_SPLITTING);
            let values: Vec<f64> = normal(2 * columns as usize * 20, 1.0, &mut random).collect();
            let input = Tensor::from_slice(&values).view([2, columns, 4, 5]);
            let weight = convolution.masked().narrow(0, 0, rows).narrow(1, 0, columns);
            let expected = input.conv2d(&weight, None::<Tensor>, [stride as i64; 2], [1, 1], [1, 1], 1);
            let difference = (convolution.forward(&input, width, mode) - expected).abs().max().double_value(&[]);
            assert!(difference < 1e-12, "{c_out} of {c_in} at {width}: {difference}");
        }
    }
}
