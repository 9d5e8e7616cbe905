//! Weights by output and input channel, and which of them exist.

use anywidth::engine::{Triangle, Width};
use rand::Rng;
use tch::{Kind, Tensor};

use super::norm::BatchNorm;
use super::{leaf, normal};

/// Which input channels the rows of a layer read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FanIn {
    /// All that there are: of an image, whose channels exist at every width, and wherever weights are dense.
    All,
    /// Those that exist at the narrowest width at which the row itself exists.
    Triangular,
    /// The one of the same index: a depthwise convolution.
    Own,
}

/// A kernel for each pair of an output and an input channel. What the mask forbids is zero whenever the weights are used,
/// so a gradient never fills the upper triangle.
#[derive(Debug)]
pub struct Matrix {
    /// Which inputs its rows read.
    pub fan_in: FanIn,
    /// `[C_out, C_in, ...]`, not masked; `C_in` is 1 for [`FanIn::Own`].
    pub values: Tensor,
    /// `[C_out, C_in, 1...]`: 1 where a row may read, 0 above the triangle if there is one.
    pub mask: Tensor,
}

/// The length that random rows have on average: as many weights as they read, of variance 2 / (the inputs it reads).
const LENGTH: f64 = std::f64::consts::SQRT_2;

impl Matrix {
    /// Random weights `[c_out, c_in, extent...]`: each row normal with variance 2 / (the inputs it reads), after He et al.,
    /// "Delving Deep into Rectifiers" (2015).
    pub(super) fn new(
        fan_in: FanIn,
        [c_out, c_in]: [usize; 2],
        extent: &[usize],
        kind: Kind,
        random: &mut impl Rng,
    ) -> Matrix {
        let c_in = if fan_in == FanIn::Own { 1 } else { c_in };
        let triangular = fan_in == FanIn::Triangular;
        let triangle = Triangle::new(c_in, c_out);
        let may_read = |i, j| !triangular || triangle.connects(i, j);
        let area: usize = extent.iter().product();
        let (mut mask, mut values) = (Vec::new(), Vec::new());
        for i in 0..c_out {
            let readable = if triangular { triangle.fan_in(i) } else { c_in };
            let deviation = (2.0 / (readable * area) as f64).sqrt();
            mask.extend((0..c_in).map(|j| f64::from(may_read(i, j))));
            values.extend(normal(c_in * area, deviation, random));
        }
        let size: Vec<i64> = [c_out, c_in].iter().chain(extent).map(|&length| length as i64).collect();
        let broadcast: Vec<i64> = [c_out, c_in].iter().chain(extent.iter().map(|_| &1)).map(|&n| n as i64).collect();
        Matrix {
            fan_in,
            values: leaf(&values, &size, kind),
            mask: Tensor::from_slice(&mask).to_kind(kind).view(broadcast.as_slice()),
        }
    }

    /// How many output channels there are at full width.
    pub fn rows(&self) -> usize {
        self.values.size()[0] as usize
    }

    /// Weights of one pair of channels.
    pub fn area(&self) -> usize {
        self.values.size()[2..].iter().product::<i64>() as usize
    }

    /// Weights that exist.
    pub fn count(&self) -> usize {
        self.mask.sum(Kind::Double).double_value(&[]) as usize * self.area()
    }

    /// The weights with exact zeros above the triangle, `[C_out, C_in, ...]`.
    pub fn masked(&self) -> Tensor {
        &self.values * &self.mask
    }

    /// The masked weights of the rows that exist at `width`, for an input of `channels` channels.
    pub(super) fn active(&self, width: Width, channels: i64) -> Tensor {
        let rows = self.masked().narrow(0, 0, width.active(self.rows()) as i64);
        if self.fan_in == FanIn::Own { rows } else { rows.narrow(1, 0, channels) }
    }

    /// Weights `[C_out, C_in, ...]` and bias `[C_out]` of one layer that does at full width what this one and the
    /// normalization right after it do in evaluation. What the mask forbids is exactly `+0.0`.
    pub fn folded(&self, norm: &BatchNorm) -> (Tensor, Tensor) {
        let norm = norm.full();
        let scale = norm.scale();
        let bias = &norm.beta - &norm.mean * &scale;
        // A negative scale makes -0.0 of a zero; adding 0.0 makes +0.0 of it.
        (self.masked() * self.by_row(&scale) + 0.0, bias)
    }

    /// The inverse of [`Matrix::folded`], as far as there is one: this one and `norm` right after it do in evaluation what a
    /// layer with these weights (`[C_out, C_in, ...]`) and this `bias` (`[C_out]`) does. The normalization changes nothing
    /// but to add the bias; a row of zeros keeps the weights that it has, and is multiplied by zero.
    pub fn unfold(&self, norm: &BatchNorm, weight: &Tensor, bias: &Tensor) {
        let norm = norm.full();
        let alive = weight.abs().amax(self.inner(), true).gt(0.0);
        tch::no_grad(|| {
            self.values.shallow_clone().copy_(&weight.where_self(&alive, &self.values));
            norm.gamma.shallow_clone().copy_(&alive.view([-1]));
            norm.beta.shallow_clone().copy_(bias);
            let _ = norm.mean.shallow_clone().zero_();
            let _ = norm.variance.shallow_clone().fill_(1.0 - BatchNorm::EPSILON);
        });
    }

    /// Gives rows the length that random ones have on average, and returns what each was multiplied by, `[C_out]`.
    pub(in crate::model) fn stretch(&self) -> Tensor {
        let length = self.masked().to_kind(Kind::Double).square().sum_dim_intlist(self.inner(), false, None).sqrt();
        // Of a row of zeros, which has no direction, nothing is changed.
        let factor = (LENGTH / &length).where_self(&length.gt(0.0), &length.ones_like());
        tch::no_grad(|| {
            let mut values = self.values.shallow_clone();
            values *= self.by_row(&factor);
        });
        factor
    }

    /// The axes of a row.
    fn inner(&self) -> Vec<i64> {
        (1..self.values.dim() as i64).collect()
    }

    /// One number for each row (`[C_out]`), shaped to broadcast over the weights.
    fn by_row(&self, numbers: &Tensor) -> Tensor {
        let mut shape = vec![1; self.values.dim()];
        shape[0] = -1;
        numbers.view(shape.as_slice())
    }
}
