//! Scores to predictions.

use crate::engine::{Metadata, Width, probabilities};

/// One class of an answer.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Prediction {
    /// The class, counted from 0.
    pub index: usize,
    /// How likely it is, from 0 to 1.
    pub probability: f32,
}

/// The `top_k` likeliest classes, likeliest first; of equals the first. Calibrated by the model's temperature at
/// `width`, where the model has one.
pub fn predict(logits: &[f32], width: Width, metadata: &Metadata, top_k: usize) -> Vec<Prediction> {
    let probabilities = probabilities(logits, metadata.temperature_at(width));
    let mut predictions: Vec<_> =
        probabilities.into_iter().enumerate().map(|(index, probability)| Prediction { index, probability }).collect();
    predictions.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    predictions.truncate(top_k);
    predictions
}
