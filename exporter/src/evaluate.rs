//! What a network is worth at every width, measured in one pass over the images.

use anywidth::engine::Width;
use tch::{Reduction, Tensor};

use crate::data::Images;
use crate::model::{Mode, Network};

/// Images in one pass.
const BATCH: usize = 250;

/// The logits of `images` at each of the network's widths, `[widths, N, classes]`, and their labels `[N]`.
pub fn all_logits(network: &Network, images: &Images, mode: Mode) -> (Tensor, Tensor) {
    let (mut logits, mut labels) = (Vec::new(), Vec::new());
    tch::no_grad(|| {
        for start in (0..images.len()).step_by(BATCH) {
            let batch = images.batch(start..images.len().min(start + BATCH));
            logits.push(network.all_logits(&batch.images, mode));
            labels.push(batch.labels);
        }
        (Tensor::cat(&logits, 1), Tensor::cat(&labels, 0))
    })
}

/// The share of `images` that are classified correctly at each of the network's widths.
pub fn accuracies(network: &Network, images: &Images, mode: Mode) -> Vec<f64> {
    let (logits, labels) = all_logits(network, images, mode);
    accuracies_of(&logits, &labels)
}

/// The share of correct answers in `logits` (`[widths, N, classes]`) for `labels` (`[N]`), by width.
pub fn accuracies_of(logits: &Tensor, labels: &Tensor) -> Vec<f64> {
    let correct = logits.argmax(-1, false).eq_tensor(&labels.unsqueeze(0)).to_kind(tch::Kind::Double);
    let shares = correct.mean_dim([1i64].as_slice(), false, None);
    Vec::try_from(shares).expect("one number for each width")
}

/// The mean accuracy over the widths from `narrowest` to 1: the area under the accuracy-width curve (trapezoids
/// between evenly spaced widths), divided by its length.
///
/// # Panics
/// If `narrowest` leaves no two widths.
pub fn area_under_curve(accuracy: &[f64], narrowest: Width) -> f64 {
    let curve = &accuracy[narrowest.active(accuracy.len()) - 1..];
    assert!(curve.len() > 1, "a curve of {} points has no area", curve.len());
    let pairs = curve.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0);
    pairs.sum::<f64>() / (curve.len() - 1) as f64
}

/// The temperature for each width: what the logits are divided by so that the mean cross entropy of `labels`
/// is smallest (Guo et al., "On Calibration of Modern Neural Networks", 2017).
pub fn temperatures(logits: &Tensor, labels: &Tensor) -> Vec<f64> {
    (0..logits.size()[0]).map(|row| temperature(&logits.get(row).to_kind(tch::Kind::Double), labels)).collect()
}

/// Golden-section search over the logarithm of the temperature, in which the loss has one minimum.
fn temperature(logits: &Tensor, labels: &Tensor) -> f64 {
    let loss = |logarithm: f64| {
        let scaled = logits / logarithm.exp();
        scaled.cross_entropy_loss(labels, None::<Tensor>, Reduction::Mean, -100, 0.0).double_value(&[])
    };
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (0.05f64.ln(), 20f64.ln());
    let (mut left, mut right) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut at_left, mut at_right) = (loss(left), loss(right));
    while high - low > 1e-4 {
        if at_left < at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - ratio * (high - low);
            at_left = loss(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + ratio * (high - low);
            at_right = loss(right);
        }
    }
    ((low + high) / 2.0).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn accuracy_is_the_share_of_images_whose_highest_logit_is_their_label() {
        let logits = [[[1.0, 0.0], [0.0, 1.0], [3.0, 2.0]], [[0.0, 1.0], [0.0, 1.0], [2.0, 3.0]]];
        let logits = Tensor::from_slice(logits.as_flattened().as_flattened()).view([2, 3, 2]);
        let labels = Tensor::from_slice(&[0i64, 1, 1]);
        assert_eq!(accuracies_of(&logits, &labels), [2.0 / 3.0, 2.0 / 3.0]);
    }

    #[test]
    fn the_area_under_a_straight_line_is_its_middle() {
        let line: Vec<f64> = (1..=8).map(f64::from).collect();
        assert_eq!(area_under_curve(&line, Width::of_channels(4, 8)), 6.0);
        assert_eq!(area_under_curve(&[0.0, 1.0, 0.0], Width::NARROWEST), 0.5);
    }

    /// Labels drawn from the probabilities of `logits / T` are described best by dividing by `T`.
    #[test]
    fn the_temperature_is_found_that_the_labels_were_drawn_with() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for drawn_with in [0.5, 2.0] {
            let (mut logits, mut labels) = (Vec::new(), Vec::new());
            for _ in 0..20_000 {
                let logit: f64 = random.random_range(-3.0..3.0);
                let probability = 1.0 / (1.0 + (-logit / drawn_with).exp());
                logits.extend([0.0, logit]);
                labels.push(i64::from(random.random_bool(probability)));
            }
            let logits = Tensor::from_slice(&logits).view([1, -1, 2]);
            let [found] = temperatures(&logits, &Tensor::from_slice(&labels))[..] else { panic!("one temperature") };
            assert!((found / drawn_with - 1.0).abs() < 0.1, "{found} for {drawn_with}");
        }
    }
}
