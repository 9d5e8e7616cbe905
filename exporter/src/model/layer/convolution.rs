//! Convolutions, including depthwise ones.

use anywidth::engine::{Triangle, Width};
use rand::Rng;
use tch::{Device, Kind, Tensor};

use super::matrix::{FanIn, Matrix};
use crate::model::{Mode, rows};

/// A convolution with the fan-in of its weights; the following normalization has the bias.
#[derive(Debug)]
pub struct Convolution {
    /// `[C_out, C_in, K, K]`.
    pub weight: Matrix,
    /// Kernel size, stride and padding.
    pub window: Window,
}

/// Kernel size, stride and padding of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Kernel side.
    pub side: usize,
    /// Stride.
    pub stride: usize,
    /// Zero padding on each side.
    pub padding: usize,
}

/// Number of rows from which two convolutions with half the rows, one of them with half the inputs, are faster than
/// one. Not in bfloat16, where AMX saves less than concatenating the halves and adding their gradients costs, and not
/// on a GPU, where launching kernels dominates.
const WORTH_SPLITTING: i64 = 64;

impl Window {
    /// A kernel with the odd side `side` that keeps the map size.
    pub const fn same(side: usize) -> Window {
        Window { side, stride: 1, padding: side / 2 }
    }

    /// The same kernel with another stride.
    pub const fn strided(self, stride: usize) -> Window {
        Window { stride, ..self }
    }

    /// Output rows or columns for an input of `length`.
    pub fn outputs(self, length: usize) -> usize {
        (length + 2 * self.padding - self.side) / self.stride + 1
    }

    /// Whether only the pixels at multiples of the stride are read, each for one output pixel.
    fn skips_pixels(self) -> bool {
        self.side == 1 && self.padding == 0 && self.stride > 1
    }

    /// Whether the output has the size of the input.
    fn keeps_size(self) -> bool {
        self.stride == 1 && self.side == 2 * self.padding + 1
    }
}

impl Convolution {
    /// A convolution with random weights `[c_out, c_in, side, side]`.
    pub(in crate::model) fn new(
        fan_in: FanIn,
        channels: [usize; 2],
        window: Window,
        kind: Kind,
        random: &mut impl Rng,
    ) -> Convolution {
        Convolution { weight: Matrix::new(fan_in, channels, &[window.side; 2], kind, random), window }
    }

    pub(in crate::model) fn forward(&self, input: &Tensor, width: Width, mode: Mode) -> Tensor {
        let (c_out, c_in) = (self.weight.rows(), self.weight.values.size()[1]);
        let weight = self.weight.active(width, input.size()[1]).to_kind(mode.precision);
        let rows = weight.size()[0];
        let (input, stride) = match input.to_kind(mode.precision) {
            // oneDNN writes outside its buffer in the weight gradient of a strided 1x1 convolution of fewer channels than
            // a vector has lanes, channels last (uxlfoundation/oneDNN issue 6035), so it is given stride 1.
            input if self.window.skips_pixels() => (every(&input, self.window.stride), 1),
            input => (input, self.window.stride),
        };
        let [stride, padding] = [stride, self.window.padding].map(|length| [length as i64; 2]);
        let groups = if self.weight.fan_in == FanIn::Own { rows } else { 1 };
        let convolve =
            |input: &Tensor, weight: &Tensor| input.conv2d(weight, None::<Tensor>, stride, padding, [1, 1], groups);
        let [on_processor, half] = [input.device() == Device::Cpu, mode.precision == Kind::BFloat16];
        if mode.training && on_processor && half && groups == 1 && self.window.keeps_size() && self.window.side > 1 {
            return rows::with_long_rows(&input, self.window.padding as i64, |input| convolve(input, &weight));
        }
        if self.weight.fan_in != FanIn::Triangular || rows < WORTH_SPLITTING || !on_processor || half {
            return convolve(&input, &weight);
        }
        // The upper half of the rows reads few channels: a quarter of the multiplications are by zero.
        let upper = rows / 2;
        let read = Triangle::new(c_in as usize, c_out).fan_in(upper as usize - 1) as i64;
        let narrow = convolve(&input.narrow(1, 0, read), &weight.narrow(0, 0, upper).narrow(1, 0, read));
        Tensor::cat(&[narrow, convolve(&input, &weight.narrow(0, upper, rows - upper))], 1)
    }
}

/// The pixels of `maps` (`[N, C, H, W]`) whose row and column are multiples of `stride`.
fn every(maps: &Tensor, stride: usize) -> Tensor {
    [2, 3].into_iter().fold(maps.shallow_clone(), |maps, axis| maps.slice(axis, None, None, stride as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::layer::normal;

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
            let convolution = Convolution::new(FanIn::Triangular, [c_out, c_in], window, Kind::Double, &mut random);
            let [rows, columns] = [c_out, c_in].map(|channels| width.active(channels) as i64);
            assert!(rows >= WORTH_SPLITTING);
            let values: Vec<f64> = normal(2 * columns as usize * 20, 1.0, &mut random).collect();
            let input = Tensor::from_slice(&values).view([2, columns, 4, 5]);
            let weight = convolution.weight.masked().narrow(0, 0, rows).narrow(1, 0, columns);
            let expected = input.conv2d(&weight, None::<Tensor>, [stride as i64; 2], [1, 1], [1, 1], 1);
            let difference = (convolution.forward(&input, width, mode) - expected).abs().max().double_value(&[]);
            assert!(difference < 1e-12, "{c_out} of {c_in} at {width}: {difference}");
        }
    }
    #[test]
    fn a_strided_pointwise_convolution_and_its_gradients_are_those_of_every_other_pixel() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mode = Mode { training: true, precision: Kind::Double };
        for ([c_out, c_in], [height, width], stride) in
            [([8, 6], [7, 10], 2), ([5, 16], [9, 9], 2), ([4, 3], [8, 5], 3), ([3, 2], [1, 1], 4)]
        {
            let window = Window::same(1).strided(stride);
            let convolution = Convolution::new(FanIn::All, [c_out, c_in], window, Kind::Double, &mut random);
            let count = 2 * c_in * height * width;
            let values: Vec<f64> = normal(count, 1.0, &mut random).collect();
            let size = [2, c_in as i64, height as i64, width as i64];
            let input = Tensor::from_slice(&values).view(size).set_requires_grad(true);
            let weight = &convolution.weight.values;
            let learned =
                |output: &Tensor| Tensor::run_backward(&[output.square().sum(None)], &[&input, weight], false, false);
            let expected = input.conv2d(weight, None::<Tensor>, [stride as i64; 2], [0, 0], [1, 1], 1);
            let found = convolution.forward(&input, Width::FULL, mode);
            assert_eq!(found.size()[2..], [height, width].map(|length| window.outputs(length) as i64));
            let all = |output: &Tensor| learned(output).into_iter().chain([output.detach()]).collect::<Vec<_>>();
            for (found, expected) in all(&found).iter().zip(&all(&expected)) {
                let difference = (found - expected).abs().max().double_value(&[]);
                assert!(difference < 1e-12, "{c_out} of {c_in}, stride {stride}: {difference}");
            }
        }
    }
}
