//! The validation split of a built-in data set: held out of the training set, so that choices never depend on the test
//! set.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::Images;

/// Splits `images` into training images and `held_out` validation images.
///
/// Deterministic in the images, the number and the seed, on every machine.
///
/// # Panics
/// If there are fewer than `held_out + 1` images.
pub fn split(images: &Images, held_out: usize, seed: u64) -> (Images, Images) {
    assert!(held_out < images.len(), "{held_out} of {} images held out", images.len());
    let mut order: Vec<usize> = (0..images.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let (validation, train) = order.split_at(held_out);
    (images.select(train), images.select(validation))
}
