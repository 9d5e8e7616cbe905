//! The loss over all widths from one pass, its weights by width, and the resulting gradient scales by channel.

use anywidth::engine::Width;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::model::{Network, beside};
use crate::setting::{SettingError, width};

/// The weights of the widths in the loss, as specified by the user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Weighting {
    /// Narrowest trained width; all of the network's widths from there on have the same weight.
    pub narrowest: f64,
    /// Widths with an additional weight: `(width, share of the total loss)`.
    pub emphasis: Vec<(f64, f64)>,
}

/// The target of the logits.
#[derive(Debug, Default)]
pub struct Target {
    /// Share of the target that is spread over all classes.
    pub label_smoothing: f64,
    /// Share of the target that is the output of a better network instead of the label (Hinton et al., "Distilling the
    /// Knowledge in a Neural Network", 2015): a teacher's for every width, or without a teacher that of full width for
    /// the narrower ones. Full width then learns from the label only.
    pub distillation: f64,
    /// Weight of an image of each class, `[classes]`; `None` for equal weights.
    pub classes: Option<Tensor>,
}

/// The weights of the loss at each width.
#[derive(Debug, Clone, PartialEq)]
pub struct LossWeights(Vec<f64>);

impl Target {
    /// A copy that shares its tensor.
    pub fn shallow_clone(&self) -> Target {
        let Target { label_smoothing, distillation, ref classes } = *self;
        Target { label_smoothing, distillation, classes: classes.as_ref().map(Tensor::shallow_clone) }
    }
}

impl LossWeights {
    /// The weights of a plain sum over `widths` widths.
    pub fn sum(widths: usize) -> LossWeights {
        LossWeights(vec![1.0; widths])
    }

    /// The weights for `widths` evenly spaced widths, the last of which is full; their sum is 1.
    ///
    /// # Errors
    /// [`SettingError`] names the width or share that is out of range.
    pub fn new(weighting: &Weighting, widths: usize) -> Result<LossWeights, SettingError> {
        let narrowest = width(weighting.narrowest)?.active(widths);
        let extra: f64 = weighting.emphasis.iter().map(|&(_, share)| share).sum();
        if weighting.emphasis.iter().any(|&(_, share)| share.is_nan() || share < 0.0) || extra >= 1.0 {
            let reason = format!("the shares must be positive and leave some of the loss, they sum to {extra}");
            return Err(SettingError::conflict("emphasis", reason));
        }
        let mut weights = vec![0.0; widths];
        weights[narrowest - 1..].fill((1.0 - extra) / (widths - narrowest + 1) as f64);
        for &(value, share) in &weighting.emphasis {
            weights[width(value)?.active(widths) - 1] += share;
        }
        Ok(LossWeights(weights))
    }

    /// The weights, narrow to wide.
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// The weighted sum over widths of the mean cross entropy of `logits` (`[widths, N, classes]`) with the target for
    /// `labels` (`[N]`) and the logits of a teacher (`[N, classes]`), if there is one.
    pub fn loss(&self, logits: &Tensor, labels: &Tensor, teacher: Option<&Tensor>, target: &Target) -> Tensor {
        let log_probabilities = logits.log_softmax(-1, None);
        let [widths, images, _] = log_probabilities.size()[..] else { unreachable!("logits have three axes") };
        let index = labels.view([1, images, 1]).expand([widths, images, 1], false);
        let of_label = log_probabilities.gather(-1, &index, false).squeeze_dim(-1);
        let of_all = log_probabilities.mean_dim([-1i64].as_slice(), false, None);
        let mut likelihood = of_label * (1.0 - target.label_smoothing) + of_all * target.label_smoothing;
        if target.distillation > 0.0 {
            let (told, at_full) = match teacher {
                Some(logits) => (logits.softmax(-1, None), target.distillation),
                None => (log_probabilities.get(-1).exp().detach(), 0.0),
            };
            let mut share = vec![target.distillation; widths as usize];
            share[widths as usize - 1] = at_full;
            let of_told = (log_probabilities * told).sum_dim_intlist([-1i64].as_slice(), false, None);
            let share = beside(logits, &share).view([widths, 1]);
            likelihood = &likelihood + share * (of_told - &likelihood);
        }
        if let Some(weights) = &target.classes {
            likelihood *= weights.index_select(0, labels);
        }
        let by_width = -likelihood.mean_dim([1i64].as_slice(), false, None);
        by_width.dot(&beside(logits, &self.0))
    }

    /// For each channel of a layer of `channels` channels, the share of the loss in which it takes part: the sum of the
    /// weights of the widths at which it is active.
    pub fn coverage(&self, channels: usize) -> Vec<f64> {
        let mut coverage = vec![0.0; channels];
        for (index, weight) in self.0.iter().enumerate() {
            let active = Width::of_channels(index + 1, self.0.len()).active(channels);
            coverage[..active].iter_mut().for_each(|sum| *sum += weight);
        }
        coverage
    }

    /// The gradient scale of each parameter: `1 / coverage` by channel, shaped to broadcast, so that every channel
    /// learns from the *mean* loss of the widths at which it is active.
    pub fn gradient_scales(&self, network: &Network) -> Vec<Option<Tensor>> {
        let scale = |parameter: &crate::model::Parameter<'_>| {
            let axis = parameter.channel_axis?;
            let size = parameter.tensor.size();
            let inverse: Vec<f64> = self.coverage(size[axis] as usize).iter().map(|share| 1.0 / share).collect();
            let shape: Vec<i64> =
                size.iter().enumerate().map(|(place, &length)| if place == axis { length } else { 1 }).collect();
            Some(beside(parameter.tensor, &inverse).view(shape.as_slice()))
        };
        tch::no_grad(|| network.parameters().iter().map(scale).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(narrowest: f64, emphasis: &[(f64, f64)], widths: usize) -> Vec<f64> {
        let weighting = Weighting { narrowest, emphasis: emphasis.into() };
        LossWeights::new(&weighting, widths).expect("weights in range").0
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert!(
            found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12),
            "{found:?}"
        );
    }

    #[test]
    fn all_trained_widths_count_alike_but_for_those_that_are_emphasised() {
        assert_close(&weights(0.5, &[], 4), &[0.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0]);
        assert_close(&weights(0.1, &[(0.25, 0.2), (1.0, 0.4)], 4), &[0.3, 0.1, 0.1, 0.5]);
        // Emphasised widths that round up to the same one add up; one below the narrowest is allowed.
        assert_close(&weights(1.0, &[(0.1, 0.1), (0.2, 0.1)], 4), &[0.2, 0.0, 0.0, 0.8]);
    }

    /// Compares with the definition, image by image, for full width and for a teacher.
    #[test]
    fn a_width_is_told_a_share_of_what_full_width_or_a_teacher_says() {
        for taught in [false, true] {
            let (found, expected) = distilled(taught);
            assert_close(&[found], &[expected]);
        }
    }

    fn distilled(taught: bool) -> (f64, f64) {
        let (widths, images, classes) = (3usize, 4usize, 5usize);
        let value = |width: usize, image: usize, class: usize| ((width * 7 + image * 3 + class * 5) % 11) as f64 / 4.0;
        let all = |at: &dyn Fn(usize, usize, usize) -> f64| -> Vec<f64> {
            let indices = (0..widths).flat_map(|w| (0..images).flat_map(move |n| (0..classes).map(move |c| (w, n, c))));
            indices.map(|(w, n, c)| at(w, n, c)).collect()
        };
        let logits = Tensor::from_slice(&all(&value)).view([3, 4, 5]);
        let labels = [0i64, 2, 4, 1];
        let probability = |width, image, class| {
            let sum: f64 = (0..classes).map(|other| value(width, image, other).exp()).sum();
            value(width, image, class).exp() / sum
        };
        // The teacher has the logits of a fourth width.
        let teacher = if taught { 3 } else { 2 };
        let told: Vec<f64> =
            (0..images).flat_map(|n| (0..classes).map(move |c| (n, c))).map(|(n, c)| value(3, n, c)).collect();
        let told = Tensor::from_slice(&told).view([4, 5]);
        let (smoothing, distillation, weights) = (0.1, 0.3, [0.2, 0.3, 0.5]);
        let mut expected = 0.0;
        for (width, weight) in weights.iter().enumerate() {
            for (image, &label) in labels.iter().enumerate() {
                for class in 0..classes {
                    let label = if class == label as usize { 1.0 - smoothing } else { 0.0 } + smoothing / 5.0;
                    let share = if width == teacher { 0.0 } else { distillation };
                    let wanted = (1.0 - share) * label + share * probability(teacher, image, class);
                    expected -= weight * wanted * probability(width, image, class).ln() / images as f64;
                }
            }
        }
        let target = Target { label_smoothing: smoothing, distillation, classes: None };
        let labels = Tensor::from_slice(&labels);
        let found = LossWeights(weights.into()).loss(&logits, &labels, taught.then_some(&told), &target);
        (found.double_value(&[]), expected)
    }

    #[test]
    fn coverage_is_the_share_of_the_loss_that_a_channel_takes_part_in() {
        let weights = LossWeights(vec![0.1, 0.2, 0.3, 0.4]);
        assert_close(&weights.coverage(4), &[1.0, 0.9, 0.7, 0.4]);
        // Half as many channels: each appears at every second count. Twice as many: two appear at a time.
        assert_close(&weights.coverage(2), &[1.0, 0.7]);
        assert_close(&weights.coverage(8), &[1.0, 1.0, 0.9, 0.9, 0.7, 0.7, 0.4, 0.4]);
    }
}
