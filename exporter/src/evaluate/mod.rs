//! What a network is worth at every width, measured in one pass over the images.

mod accuracy;
mod calibration;

use tch::Tensor;

use crate::data::Images;
use crate::model::{Mode, Network};

pub use accuracy::{accuracies, accuracies_of, area_under_curve, predictions};
pub use calibration::{calibration_errors, temperatures};

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
