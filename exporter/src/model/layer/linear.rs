//! Hidden linear layers.

use anywidth::engine::Width;
use rand::Rng;
use tch::{Kind, Tensor};

use super::matrix::{FanIn, Matrix};
use crate::model::Mode;

/// A linear layer over flattened maps, channel-major; the following normalization has the bias.
#[derive(Debug)]
pub struct Linear {
    /// `[C_out, C_in, positions]`.
    pub weight: Matrix,
}

impl Linear {
    /// A linear layer with random weights `[c_out, c_in, positions]`.
    pub(in crate::model) fn new(
        fan_in: FanIn,
        channels: [usize; 2],
        positions: usize,
        kind: Kind,
        random: &mut impl Rng,
    ) -> Linear {
        Linear { weight: Matrix::new(fan_in, channels, &[positions], kind, random) }
    }

    pub(in crate::model) fn forward(&self, input: &Tensor, width: Width, mode: Mode) -> Tensor {
        let weight = self.weight.active(width, input.size()[1]).flatten(1, 2).to_kind(mode.precision);
        let products = input.to_kind(mode.precision).flatten(1, 3).matmul(&weight.tr());
        products.unsqueeze(-1).unsqueeze(-1)
    }
}
