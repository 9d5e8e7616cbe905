//! From logits to probabilities and the most probable classes.

use super::{Metadata, Width, probabilities};

/// The scores of all classes for one image at one width.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// The network's output, `[classes]`.
    pub logits: Vec<f32>,
    /// Their softmax at the temperature of the width, `[classes]`, with sum 1.
    pub probabilities: Vec<f32>,
}

/// One class of an answer.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Prediction {
    /// The class, counted from 0.
    pub index: usize,
    /// Its probability, from 0 to 1.
    pub probability: f32,
}

impl Scores {
    /// The scores for `logits` at `width`, whose temperature calibrates the probabilities if the model has one.
    pub fn new(logits: &[f32], width: Width, metadata: &Metadata) -> Scores {
        Scores { logits: logits.to_vec(), probabilities: probabilities(logits, metadata.temperature_at(width)) }
    }

    /// The `count` most probable classes, the most probable first and the lower index first among equals.
    pub fn top(&self, count: usize) -> Vec<Prediction> {
        top(&self.probabilities, count)
    }

    /// The most probable class; `None` without classes.
    pub fn best(&self) -> Option<Prediction> {
        self.top(1).pop()
    }
}

/// The `top_k` most probable classes, the most probable first and the lower index first among equals. `logits` are those at
/// `width`, whose temperature calibrates them if the model has one.
pub fn predict(logits: &[f32], width: Width, metadata: &Metadata, top_k: usize) -> Vec<Prediction> {
    top(&probabilities(logits, metadata.temperature_at(width)), top_k)
}

fn top(probabilities: &[f32], count: usize) -> Vec<Prediction> {
    let order = |a: &Prediction, b: &Prediction| b.probability.total_cmp(&a.probability).then(a.index.cmp(&b.index));
    let all = probabilities.iter().enumerate();
    let mut predictions: Vec<_> = all.map(|(index, &probability)| Prediction { index, probability }).collect();
    if count < predictions.len() {
        predictions.select_nth_unstable_by(count, order);
        predictions.truncate(count);
    }
    predictions.sort_unstable_by(order);
    predictions
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_top_classes_are_the_first_of_all_in_order(
            probabilities in prop::collection::vec((0u8..9).prop_map(|tenth| f32::from(tenth) / 10.0), 0..30),
            count in 0usize..40,
        ) {
            let mut all: Vec<_> = probabilities.iter().copied().enumerate().collect();
            all.sort_by(|a, b| b.1.total_cmp(&a.1));
            all.truncate(count);
            let top = top(&probabilities, count).iter().map(|best| (best.index, best.probability)).collect::<Vec<_>>();
            prop_assert_eq!(top, all);
        }
    }
}
