//! The classifier: the last linear layer.

use rand::Rng;
use tch::{Kind, Tensor};

use super::{Member, Role, leaf, normal};

/// Logits from the flattened maps of the active channels.
#[derive(Debug)]
pub struct Classifier {
    /// `[classes, C, positions]`.
    pub weight: Tensor,
    /// `[classes]`.
    pub bias: Tensor,
}

impl Classifier {
    pub(in crate::model) fn new(
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

    /// Number of input channels at full width.
    pub fn channels(&self) -> usize {
        self.weight.size()[1] as usize
    }

    /// Logits `[N, classes]` of features `[N, active channels, H, W]`.
    pub(in crate::model) fn logits(&self, features: &Tensor) -> Tensor {
        let weight = self.weight.narrow(1, 0, features.size()[1]).flatten(1, 2);
        features.to_kind(weight.kind()).flatten(1, 3).matmul(&weight.tr()) + &self.bias
    }

    /// Logits `[counts, N, classes]` of the first channels, for each of the ascending `counts`, of features `[N,
    /// channels, H, W]`. Computes each channel's contribution once, as running sums.
    ///
    /// # Panics
    /// If the counts descend, or exceed the number of channels.
    pub(in crate::model) fn logits_at(&self, features: &Tensor, counts: &[usize]) -> Tensor {
        let features = features.to_kind(self.weight.kind());
        let mut begin = 0;
        let piece = |&count: &usize| {
            let (from, length) = (begin, count as i64 - begin);
            begin = count as i64;
            let weight = self.weight.narrow(1, from, length).flatten(1, 2);
            features.narrow(1, from, length).flatten(1, 3).matmul(&weight.tr())
        };
        let pieces: Vec<Tensor> = counts.iter().map(piece).collect();
        Tensor::stack(&pieces, 0).cumsum(0, None) + &self.bias
    }

    pub(in crate::model) fn members(&self) -> [Member<'_>; 2] {
        let member = |name: &str, tensor| Member { name: name.into(), tensor, role: Role::Weight };
        [member("weight", &self.weight), member("bias", &self.bias)]
    }

    pub(in crate::model) fn tensors_mut(&mut self) -> [&mut Tensor; 2] {
        [&mut self.weight, &mut self.bias]
    }
}
