//! From class scores to the most probable classes.

use super::{Metadata, Width, probabilities};

/// One class of an answer.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Prediction {
    /// The class, counted from 0.
    pub index: usize,
    /// Its probability, from 0 to 1.
    pub probability: f32,
}

/// The `top_k` most probable classes, the most probable first and the lower index first among equals. `logits` are those at
/// `width`, whose temperature calibrates them if the model has one.
pub fn predict(logits: &[f32], width: Width, metadata: &Metadata, top_k: usize) -> Vec<Prediction> {
    let probabilities = probabilities(logits, metadata.temperature_at(width));
    let mut predictions: Vec<_> =
        probabilities.into_iter().enumerate().map(|(index, probability)| Prediction { index, probability }).collect();
    predictions.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    predictions.truncate(top_k);
    predictions
}
