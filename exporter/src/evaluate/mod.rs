//! Measures a network at every width, in one pass over the images if its weights are triangular.

mod accuracy;
mod calibration;
mod early_exit;
mod gain;
mod strategies;

use anywidth::engine::Width;
use tch::{Device, Tensor};

use crate::data::Images;
use crate::model::{Mode, Network};

pub use accuracy::{accuracies, accuracies_at, accuracies_of, area_under_curve, mean_over, predictions};
pub use calibration::{calibration_errors, temperatures};
pub use early_exit::{EarlyExit, THRESHOLDS, early_exits};
pub use gain::{gain_table, outcomes};
pub use strategies::{Point, Strategies, strategies};

/// Batch size.
const BATCH: usize = 250;

/// The logits of `images` at each of the network's widths, `[widths, N, classes]`, and their labels `[N]`.
///
/// # Panics
/// If there are no images.
pub fn all_logits(network: &Network, images: &Images, mode: Mode) -> (Tensor, Tensor) {
    let (mut all, mut all_labels, mut done) = (None, Vec::new(), 0);
    for (logits, labels) in batches(network, &network.widths(), images, mode) {
        let [widths, count, classes] = logits.size()[..] else { unreachable!("logits have three axes") };
        let room = || Tensor::empty([widths, images.len() as i64, classes], (logits.kind(), Device::Cpu));
        all.get_or_insert_with(room).narrow(1, done, count).copy_(&logits);
        all_labels.push(labels);
        done += count;
    }
    (all.expect("at least one image"), Tensor::cat(&all_labels, 0))
}

/// The logits of one batch at a time, `[widths, N, classes]`, with the labels `[N]`.
fn batches<'a>(
    network: &'a Network,
    widths: &'a [Width],
    images: &'a Images,
    mode: Mode,
) -> impl Iterator<Item = (Tensor, Tensor)> + 'a {
    (0..images.len()).step_by(BATCH).map(move |start| {
        let batch = images.batch(start..images.len().min(start + BATCH));
        let logits = tch::no_grad(|| network.logits_at(&batch.images.to_device(network.device()), widths, mode));
        (logits.to_device(Device::Cpu), batch.labels)
    })
}
