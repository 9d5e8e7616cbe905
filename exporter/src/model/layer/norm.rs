//! Batch normalization with one set of statistics for all widths, or one for each of several widths.

use anywidth::engine::Width;
use tch::{Kind, Tensor};

use super::{Member, Role};
use crate::model::Mode;

/// Batch normalization.
///
/// Triangular networks have one set for all widths. Slimmable networks need one per width (S-Net's switchable batch
/// normalization, US-Net's statistics recalibrated after training); a width without a set uses the first channels of
/// the next wider one.
#[derive(Debug)]
pub struct BatchNorm {
    /// The sets by ascending width; at least one, the last for full width.
    pub sets: Vec<NormSet>,
}

/// Parameters and statistics up to a width.
#[derive(Debug)]
pub struct NormSet {
    /// The widest width that uses it.
    pub width: Width,
    /// Scale, `[C]` for the channels at that width.
    pub gamma: Tensor,
    /// Shift, `[C]`.
    pub beta: Tensor,
    /// Running mean, `[C]`.
    pub mean: Tensor,
    /// Running variance, `[C]`.
    pub variance: Tensor,
}

impl BatchNorm {
    /// Added to the variance before the square root.
    pub const EPSILON: f64 = 1e-5;
    /// Weight of one batch in the running statistics.
    const MOMENTUM: f64 = 0.1;

    /// One set for all widths, initialized to the identity.
    pub(in crate::model) fn new(channels: usize, kind: Kind) -> BatchNorm {
        let filled = |value: f64| Tensor::from_slice(&vec![value; channels]).to_kind(kind);
        BatchNorm {
            sets: vec![NormSet {
                width: Width::FULL,
                gamma: filled(1.0).set_requires_grad(true),
                beta: filled(0.0).set_requires_grad(true),
                mean: filled(0.0),
                variance: filled(1.0),
            }],
        }
    }

    /// The set used at `width`: that of the narrowest width not below it.
    pub fn at(&self, width: Width) -> &NormSet {
        self.sets.iter().find(|set| set.width >= width).unwrap_or_else(|| self.full())
    }

    /// The set of full width.
    pub fn full(&self) -> &NormSet {
        self.sets.last().expect("at least one set")
    }

    /// Number of channels at full width.
    pub fn channels(&self) -> usize {
        self.full().gamma.numel()
    }

    /// Replaces its sets by one per width, each a copy of the channels active there.
    ///
    /// # Panics
    /// If `widths` do not ascend or do not end at full width.
    pub(in crate::model) fn split(&mut self, widths: &[Width]) {
        assert!(widths.is_sorted() && widths.last() == Some(&Width::FULL), "ascending widths up to full width");
        let channels = self.channels();
        let sets = widths.iter().map(|&width| self.full().narrowed(width, width.active(channels) as i64));
        self.sets = sets.collect();
    }

    /// The set for `width`, cut to `channels` channels.
    pub(in crate::model) fn sliced(&self, width: Width, channels: usize) -> BatchNorm {
        BatchNorm { sets: vec![self.at(width).narrowed(Width::FULL, channels as i64)] }
    }

    /// Sets the statistics to those of `input` without changing the output in evaluation, so that training mode gives
    /// about the same.
    pub(in crate::model) fn calibrate(&self, input: &Tensor) {
        tch::no_grad(|| {
            let set = self.full();
            let scale = set.scale();
            let summand = &set.beta - &set.mean * &scale;
            set.become_with(&scale, &summand, input);
        });
    }

    pub(super) fn members(&self) -> Vec<Member<'_>> {
        let suffix = |set: &NormSet| if self.sets.len() == 1 { String::new() } else { format!("@{}", set.width) };
        let of_set =
            |set| NormSet::members(set).map(|(name, tensor, role)| (format!("{name}{}", suffix(set)), tensor, role));
        let all = self.sets.iter().flat_map(of_set);
        all.map(|(name, tensor, role)| Member { name, tensor, role }).collect()
    }

    pub(in crate::model) fn forward(&self, input: &Tensor, width: Width, mode: Mode) -> Tensor {
        let set = self.at(width);
        let active = |tensor: &Tensor| Some(tensor.narrow(0, 0, input.size()[1]));
        let [gamma, beta, mean, variance] = [&set.gamma, &set.beta, &set.mean, &set.variance].map(active);
        input.batch_norm(gamma, beta, mean, variance, mode.training, Self::MOMENTUM, Self::EPSILON, false)
    }
}

impl NormSet {
    /// The factor applied in evaluation, `[C]`.
    pub fn scale(&self) -> Tensor {
        &self.gamma / (&self.variance + BatchNorm::EPSILON).sqrt()
    }

    /// The tensors of ONNX's BatchNormalization, with their names.
    pub fn tensors(&self) -> [(&'static str, &Tensor); 4] {
        [("gamma", &self.gamma), ("beta", &self.beta), ("mean", &self.mean), ("variance", &self.variance)]
    }

    /// Sets the statistics to those of `input` (`[N, C, H, W]`).
    pub(in crate::model) fn measure(&self, input: &Tensor) {
        let channels = input.size()[1];
        let (variance, mean) = input.var_mean_dim([0i64, 2, 3].as_slice(), false, false);
        self.mean.narrow(0, 0, channels).copy_(&mean);
        self.variance.narrow(0, 0, channels).copy_(&variance);
    }

    /// Sets it to multiply by `scale` and add `summand`, with the statistics of `input`.
    pub(in crate::model) fn become_with(&self, scale: &Tensor, summand: &Tensor, input: &Tensor) {
        self.measure(input);
        self.gamma.shallow_clone().copy_(&(scale * (&self.variance + BatchNorm::EPSILON).sqrt()));
        self.beta.shallow_clone().copy_(&(summand + &self.mean * scale));
    }

    fn narrowed(&self, width: Width, channels: i64) -> NormSet {
        let copy = |tensor: &Tensor| {
            let narrow = tensor.detach().narrow(0, 0, channels).copy();
            narrow.set_requires_grad(tensor.requires_grad())
        };
        NormSet {
            width,
            gamma: copy(&self.gamma),
            beta: copy(&self.beta),
            mean: copy(&self.mean),
            variance: copy(&self.variance),
        }
    }

    fn members(&self) -> [(&'static str, &Tensor, Role); 4] {
        self.tensors().map(|(name, tensor)| {
            let role = if tensor.requires_grad() { Role::Affine } else { Role::Statistic };
            (name, tensor, role)
        })
    }

    pub(super) fn tensors_mut(&mut self) -> [&mut Tensor; 4] {
        [&mut self.gamma, &mut self.beta, &mut self.mean, &mut self.variance]
    }
}
