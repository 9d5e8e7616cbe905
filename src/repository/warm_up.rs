//! Runs a model before it is served, because the weights alone do not show whether its scores are finite.

use std::sync::Arc;

use super::ModelError;
use crate::engine::{Model, Pass};

/// Runs the model on a few test images with values from `black` to `white` and checks the scores at every width.
///
/// # Errors
/// [`ModelError::NonFinite`] if a score is not finite.
pub(super) fn warm_up(model: &Arc<Model>, [black, white]: [f32; 2]) -> Result<(), ModelError> {
    let shape = model.input();
    let between = |share: f32| black + share * (white - black);
    let image = |value: &dyn Fn(usize) -> f32| (0..shape.len()).map(value).collect::<Vec<f32>>();
    let images = [
        ("a black", image(&|_| black)),
        ("a white", image(&|_| white)),
        ("a grey", image(&|_| between(0.5))),
        ("a graded", image(&|at| between((at % shape.width) as f32 / shape.width as f32))),
        // Weyl sequence: multiples of the golden ratio are evenly distributed.
        ("a noisy", image(&|at| between((at as f32 * 0.618_034).fract()))),
    ];
    let mut pass = Pass::new(model.clone(), 1);
    for (name, image) in images {
        pass.clear();
        pass.push(&image);
        pass.widen(&[crate::engine::Width::FULL]);
        for (width, logits) in pass.logits_by_width(0, model.grid()) {
            if let Some(class) = logits.iter().position(|score| !score.is_finite()) {
                return Err(ModelError::NonFinite { class, score: logits[class], width, image: name });
            }
        }
    }
    Ok(())
}
