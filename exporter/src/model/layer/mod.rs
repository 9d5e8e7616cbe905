//! The layers of networks, each at any width.
//!
//! A layer reads all channels of its input and computes the channels active at the given width. Must not know the
//! graph.

mod classifier;
mod convolution;
mod linear;
mod matrix;
mod norm;

use anywidth::engine::Width;
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use tch::Tensor;

use super::Mode;

pub use classifier::Classifier;
pub use convolution::{Convolution, Window};
pub use linear::Linear;
pub use matrix::{FanIn, Matrix};
pub use norm::{BatchNorm, NormSet};

/// The computation of a node.
#[derive(Debug)]
pub enum Layer {
    /// The normalized image: the first node of every graph, without inputs.
    Image,
    /// A convolution without a bias, ordinary or depthwise.
    Convolution(Convolution),
    /// A hidden linear layer without a bias: `[N, C, H, W]` to `[N, C, 1, 1]`.
    Linear(Linear),
    /// Batch normalization.
    Norm(BatchNorm),
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// The maximum of each square of `size` x `size` pixels, without overlap; an incomplete square at the border is
    /// dropped.
    MaxPool {
        /// Side of the square.
        size: usize,
    },
    /// The maximum of each whole map.
    GlobalMaxPool,
    /// The mean of each whole map.
    GlobalAveragePool,
    /// The sum of two values of the same shape.
    Add,
}

/// A tensor of a layer, with its name within the layer.
pub(super) struct Member<'a> {
    pub(super) name: String,
    pub(super) tensor: &'a Tensor,
    pub(super) role: Role,
}

/// How training treats a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Learned, with weight decay.
    Weight,
    /// Learned, without weight decay.
    Affine,
    /// A running statistic, without a gradient.
    Statistic,
}

impl Layer {
    /// The output for `inputs`.
    ///
    /// # Panics
    /// If it is the image, or an input is missing.
    pub(super) fn forward(&self, inputs: &[Tensor], width: Width, mode: Mode) -> Tensor {
        match self {
            Layer::Image => unreachable!("the image is given, not computed"),
            Layer::Convolution(convolution) => convolution.forward(&inputs[0], width, mode),
            Layer::Linear(linear) => linear.forward(&inputs[0], width, mode),
            Layer::Norm(norm) => norm.forward(&inputs[0], width, mode),
            Layer::Relu => inputs[0].relu(),
            Layer::Relu6 => inputs[0].clamp(0.0, 6.0),
            Layer::MaxPool { size } => {
                let size = *size as i64;
                inputs[0].max_pool2d([size, size], [size, size], [0, 0], [1, 1], false)
            }
            Layer::GlobalMaxPool => inputs[0].amax([2i64, 3].as_slice(), true),
            Layer::GlobalAveragePool => inputs[0].mean_dim([2i64, 3].as_slice(), true, None),
            Layer::Add => &inputs[0] + &inputs[1],
        }
    }

    /// Its weights by output and input channel, if it has any.
    pub fn matrix(&self) -> Option<&Matrix> {
        match self {
            Layer::Convolution(Convolution { weight, .. }) | Layer::Linear(Linear { weight }) => Some(weight),
            _ => None,
        }
    }

    pub(super) fn matrix_mut(&mut self) -> Option<&mut Matrix> {
        match self {
            Layer::Convolution(Convolution { weight, .. }) | Layer::Linear(Linear { weight }) => Some(weight),
            _ => None,
        }
    }

    /// Its tensors without the masks, which follow from the channel counts.
    pub(super) fn members(&self) -> Vec<Member<'_>> {
        match self {
            Layer::Norm(norm) => norm.members(),
            layer => {
                let member = |matrix| Member { name: "weight".into(), tensor: matrix, role: Role::Weight };
                layer.matrix().map(|matrix| member(&matrix.values)).into_iter().collect()
            }
        }
    }

    /// All its tensors, including masks.
    pub(super) fn tensors_mut(&mut self) -> Vec<&mut Tensor> {
        match self {
            Layer::Convolution(Convolution { weight, .. }) | Layer::Linear(Linear { weight }) => {
                vec![&mut weight.values, &mut weight.mask]
            }
            Layer::Norm(norm) => norm.sets.iter_mut().flat_map(NormSet::tensors_mut).collect(),
            _ => Vec::new(),
        }
    }
}

fn normal(count: usize, deviation: f64, random: &mut impl Rng) -> impl Iterator<Item = f64> {
    (0..count).map(move |_| deviation * Distribution::<f64>::sample(&StandardNormal, random))
}

fn leaf(values: &[f64], size: &[i64], kind: tch::Kind) -> Tensor {
    Tensor::from_slice(values).to_kind(kind).view(size).set_requires_grad(true)
}
