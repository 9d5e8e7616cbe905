//! Accuracy by width.

use anywidth::engine::Width;
use tch::Tensor;

use super::batches;
use crate::data::Images;
use crate::model::{Mode, Network};

/// The accuracy on `images` at each of the network's widths.
pub fn accuracies(network: &Network, images: &Images, mode: Mode) -> Vec<f64> {
    accuracies_at(network, &network.widths(), images, mode)
}

/// The accuracy on `images` at each of the ascending `widths`.
pub fn accuracies_at(network: &Network, widths: &[Width], images: &Images, mode: Mode) -> Vec<f64> {
    let mut correct = vec![0.0; widths.len()];
    for (logits, labels) in batches(network, widths, images, mode) {
        correct.iter_mut().zip(correct_of(&logits, &labels)).for_each(|(sum, of_batch)| *sum += of_batch);
    }
    correct.iter().map(|sum| sum / images.len() as f64).collect()
}

/// The accuracy of `logits` (`[widths, N, classes]`) for `labels` (`[N]`), by width.
pub fn accuracies_of(logits: &Tensor, labels: &Tensor) -> Vec<f64> {
    correct_of(logits, labels).iter().map(|sum| sum / labels.numel() as f64).collect()
}

/// The number of correct answers, by width.
fn correct_of(logits: &Tensor, labels: &Tensor) -> Vec<f64> {
    let correct = logits.argmax(-1, false).eq_tensor(&labels.unsqueeze(0)).to_kind(tch::Kind::Double);
    let sums = correct.sum_dim_intlist([1i64].as_slice(), false, None);
    Vec::try_from(sums).expect("one number for each width")
}

/// The class with the highest logit for each image of `logits` (`[N, classes]`).
pub fn predictions(logits: &Tensor) -> Vec<usize> {
    let classes: Vec<i64> = Vec::try_from(logits.argmax(-1, false)).expect("one number for each image");
    classes.into_iter().map(|class| class as usize).collect()
}

/// The mean accuracy over the widths from `narrowest` to 1, of accuracies at the ascending `widths` ([`mean_over`]).
///
/// # Panics
/// If fewer than two widths are at least `narrowest`.
pub fn area_under_curve(widths: &[Width], accuracy: &[f64], narrowest: Width) -> f64 {
    let points = widths.iter().zip(accuracy).filter(|(width, _)| **width >= narrowest);
    let points: Vec<(f64, f64)> = points.map(|(width, share)| (width.as_f64(), *share)).collect();
    mean_over(&points).unwrap_or_else(|| panic!("a curve of {} points has no area", points.len()))
}

/// The area under the curve of these points, by ascending width (trapezoidal rule), divided by its length; `None` for
/// fewer than two points.
pub fn mean_over(points: &[(f64, f64)]) -> Option<f64> {
    let [(first, _), .., (last, _)] = points else { return None };
    let area = points.windows(2).map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0);
    Some(area.sum::<f64>() / (last - first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_is_the_share_of_images_whose_highest_logit_is_their_label() {
        let logits = [[[1.0, 0.0], [0.0, 1.0], [3.0, 2.0]], [[0.0, 1.0], [0.0, 1.0], [2.0, 3.0]]];
        let logits = Tensor::from_slice(logits.as_flattened().as_flattened()).view([2, 3, 2]);
        let labels = Tensor::from_slice(&[0i64, 1, 1]);
        assert_eq!(accuracies_of(&logits, &labels), [2.0 / 3.0, 2.0 / 3.0]);
    }

    #[test]
    fn the_area_under_a_straight_line_is_its_middle() {
        let evenly = |count| (1..=count).map(|step| Width::of_channels(step, count)).collect::<Vec<Width>>();
        let line: Vec<f64> = (1..=8).map(f64::from).collect();
        assert!((area_under_curve(&evenly(8), &line, Width::of_channels(4, 8)) - 6.0).abs() < 1e-12);
        let some = [(1, 8), (3, 8), (4, 8), (8, 8)].map(|(active, all)| Width::of_channels(active, all));
        assert!((area_under_curve(&some, &[1.0, 3.0, 4.0, 8.0], Width::NARROWEST) - 4.5).abs() < 1e-12);
        assert!((area_under_curve(&evenly(3), &[0.0, 1.0, 0.0], Width::NARROWEST) - 0.5).abs() < 1e-5);
    }
}
