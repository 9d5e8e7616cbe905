//! The validation split: images taken out of the training set by a seed, so that choices never see the test set.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::Images;

/// Splits `images` into those to train on and `held_out` of them to validate on.
///
/// The same images, number and seed give the same split on every machine.
///
/// # Panics
/// If fewer than `held_out + 1` images are there.
pub fn split(images: &Images, held_out: usize, seed: u64) -> (Images, Images) {
    assert!(held_out < images.len(), "{held_out} of {} images held out", images.len());
    let mut order: Vec<usize> = (0..images.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let (validation, train) = order.split_at(held_out);
    (images.select(train), images.select(validation))
}
