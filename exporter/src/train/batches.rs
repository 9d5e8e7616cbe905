//! The images of a step and their augmentation: a function of the seed and the step number.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::Recipe;
use crate::data::{Batch, DataError, Examples};

/// The order of the images in an epoch, cached until the next epoch.
#[derive(Default)]
pub(super) struct Order {
    epoch: Option<usize>,
    order: Vec<usize>,
}

impl Order {
    /// The indices of step `step`, out of `count` images.
    pub(super) fn indices(&mut self, recipe: &Recipe, count: usize, step: usize) -> &[usize] {
        let per_epoch = count / recipe.batch;
        let epoch = step / per_epoch;
        if self.epoch != Some(epoch) {
            self.epoch = Some(epoch);
            self.order = (0..count).collect();
            self.order.shuffle(&mut random(recipe.seed, ORDER, epoch));
        }
        &self.order[step % per_epoch * recipe.batch..][..recipe.batch]
    }
}

/// The images of step `step`, augmented as in the recipe.
pub(super) fn augmented(
    recipe: &Recipe,
    images: &dyn Examples,
    indices: &[usize],
    step: usize,
) -> Result<Batch, DataError> {
    images.augmented(indices, &recipe.augmentation, &mut random(recipe.seed, PIXELS, step))
}

/// The random generator of the method in step `step`.
pub(super) fn of_method(recipe: &Recipe, step: usize) -> ChaCha8Rng {
    random(recipe.seed, METHOD, step)
}

fn random(seed: u64, purpose: u64, index: usize) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(purpose << STREAM_BITS | index as u64);
    random
}

/// Random streams of one seed; the split and the weights use stream 0.
const ORDER: u64 = 1;
const PIXELS: u64 = 2;
const METHOD: u64 = 3;
const STREAM_BITS: u32 = 48;
