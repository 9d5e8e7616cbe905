//! Weights by output and input channel, with the mask of those that exist.

use anywidth::engine::{Triangle, Width};
use rand::Rng;
use tch::{Kind, Tensor};

use super::norm::BatchNorm;
use super::{leaf, normal};

/// The input channels that a layer's rows read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FanIn {
    /// All active channels: for the image, whose channels exist at every width, and for dense weights.
    All,
    /// The channels that exist at the narrowest width at which the row exists.
    Triangular,
    /// The channel of the same index: a depthwise convolution.
    Own,
}

/// A kernel for each pair of an output and an input channel. Every use applies the mask, so gradients never fill the
/// upper triangle.
#[derive(Debug)]
pub struct Matrix {
    /// The fan-in of its rows.
    pub fan_in: FanIn,
    /// `[C_out, C_in, ...]`, not masked; `C_in` is 1 for [`FanIn::Own`].
    pub values: Tensor,
    /// `[C_out, C_in, 1...]`: 1 where a row reads, 0 above the triangle.
    pub mask: Tensor,
}

/// Expected length of a random row: n weights of variance 2 / n.
const LENGTH: f64 = std::f64::consts::SQRT_2;

impl Matrix {
    /// Random weights `[c_out, c_in, extent...]`: each row is normal with variance 2 / fan-in (He et al., "Delving Deep
    /// into Rectifiers", 2015).
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

    /// Number of output channels at full width.
    pub fn rows(&self) -> usize {
        self.values.size()[0] as usize
    }

    /// Number of weights per pair of channels.
    pub fn area(&self) -> usize {
        self.values.size()[2..].iter().product::<i64>() as usize
    }

    /// Number of weights that exist.
    pub fn count(&self) -> usize {
        self.mask.sum(Kind::Double).double_value(&[]) as usize * self.area()
    }

    /// The weights with exact zeros above the triangle, `[C_out, C_in, ...]`.
    pub fn masked(&self) -> Tensor {
        &self.values * &self.mask
    }

    /// The masked weights of the rows active at `width`, for an input of `channels` channels.
    pub(super) fn active(&self, width: Width, channels: i64) -> Tensor {
        let rows = self.masked().narrow(0, 0, width.active(self.rows()) as i64);
        if self.fan_in == FanIn::Own { rows } else { rows.narrow(1, 0, channels) }
    }

    /// Weights `[C_out, C_in, ...]` and bias `[C_out]` of one layer that is equivalent at full width to this one
    /// followed by `norm` in evaluation. Masked weights are exactly `+0.0`.
    pub fn folded(&self, norm: &BatchNorm) -> (Tensor, Tensor) {
        let norm = norm.full();
        let scale = norm.scale();
        let bias = &norm.beta - &norm.mean * &scale;
        // A negative scale turns zeros into -0.0; adding 0.0 turns them into +0.0.
        (self.masked() * self.by_row(&scale) + 0.0, bias)
    }

    /// The inverse of [`Matrix::folded`]: sets this layer and the following `norm` so that they compute in evaluation
    /// what a layer with these weights (`[C_out, C_in, ...]`) and this `bias` (`[C_out]`) computes. The normalization
    /// then only adds the bias; a row of zeros keeps its weights and is scaled by zero.
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

    /// Scales rows to the expected length of random ones, and returns the factors `[C_out]`.
    pub(in crate::model) fn stretch(&self) -> Tensor {
        let length = self.masked().to_kind(Kind::Double).square().sum_dim_intlist(self.inner(), false, None).sqrt();
        // A row of zeros has no direction and stays unchanged.
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

    /// One number per row (`[C_out]`), shaped to broadcast over the weights.
    fn by_row(&self, numbers: &Tensor) -> Tensor {
        let mut shape = vec![1; self.values.dim()];
        shape[0] = -1;
        numbers.view(shape.as_slice())
    }
}
