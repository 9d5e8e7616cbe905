//! Accuracy and cost of exiting at the first width whose answer is probable enough.

use tch::{Kind, Tensor};

/// Accuracy and cost at one threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EarlyExit {
    /// The probability at which an answer is accepted.
    pub threshold: f64,
    /// Accuracy.
    pub accuracy: f64,
    /// Mean cost of an answer relative to full width. Widening wastes nothing, so this is the cost of the width that
    /// answers.
    pub cost: f64,
}

/// The thresholds shown on cards.
pub const THRESHOLDS: [f64; 8] = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99];

/// For each of `thresholds`: the answers of the first exit whose top probability reaches it, or of the last exit.
/// `logits` are `[exits, N, classes]`, already divided by the exits' temperatures; `costs` are those of the exits.
///
/// # Panics
/// If there is no exit, or not one cost per exit.
pub fn early_exits(logits: &Tensor, labels: &Tensor, costs: &[u64], thresholds: &[f64]) -> Vec<EarlyExit> {
    let (top, answer) = logits.to_kind(Kind::Double).softmax(-1, None).max_dim(-1, false);
    let correct = answer.eq_tensor(&labels.unsqueeze(0));
    let exits: Vec<(Vec<f64>, Vec<bool>)> = (0..costs.len() as i64)
        .map(|exit| {
            let top = Vec::try_from(top.get(exit)).expect("a probability for each image");
            (top, Vec::try_from(correct.get(exit)).expect("an answer for each image"))
        })
        .collect();
    let full = *costs.last().expect("an exit") as f64;
    let count = labels.numel();
    let at = |&threshold: &f64| {
        let (mut right, mut cost) = (0usize, 0.0);
        for image in 0..count {
            let sure = exits.iter().position(|(top, _)| top[image] >= threshold).unwrap_or(costs.len() - 1);
            right += usize::from(exits[sure].1[image]);
            cost += costs[sure] as f64 / full;
        }
        EarlyExit { threshold, accuracy: right as f64 / count as f64, cost: cost / count as f64 }
    };
    thresholds.iter().map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_stops_at_the_first_width_that_is_sure_enough() {
        let logit = |probability: f64| [0.0, (probability / (1.0 - probability)).ln()];
        // Probabilities of the second class at the first and the last exit.
        let logits = [[0.95, 0.7, 0.4], [0.99, 0.2, 0.8]].map(|exit| exit.map(logit));
        let logits = Tensor::from_slice(logits.as_flattened().as_flattened()).view([2, 3, 2]);
        let labels = Tensor::from_slice(&[1i64, 0, 1]);
        let found = early_exits(&logits, &labels, &[25, 100], &[0.5, 0.65, 0.9]);
        let expected = [(1.0 / 3.0, 0.25), (2.0 / 3.0, 0.5), (1.0, 0.75)];
        for (exit, (accuracy, cost)) in found.iter().zip(expected) {
            assert!((exit.accuracy - accuracy).abs() < 1e-12 && (exit.cost - cost).abs() < 1e-12, "{exit:?}");
        }
    }
}
