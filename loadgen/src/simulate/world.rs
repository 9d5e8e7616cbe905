//! What batches really take.

use std::time::Duration;

use anywidth::engine::Width;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

use super::Measured;

/// How far the truth is from what was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct World {
    /// Standard deviation of a batch's time, as a share of it.
    pub noise: f64,
    /// Share of the batches that something else holds up.
    pub hiccups: f64,
    /// How many times longer those take.
    pub hiccup_times: f64,
    /// How many times longer everything takes than was measured.
    pub wrong: f64,
}

impl World {
    /// Noise of 5 %, and one batch in a hundred that takes three times as long.
    pub const USUAL: World = World { noise: 0.05, hiccups: 0.01, hiccup_times: 3.0, wrong: 1.0 };
    /// Everything takes exactly as long as measured.
    pub const EXACT: World = World { noise: 0.0, hiccups: 0.0, hiccup_times: 1.0, wrong: 1.0 };
}

/// A world with its dice.
pub(super) struct Dice {
    world: World,
    random: ChaCha8Rng,
}

impl Dice {
    pub(super) fn new(world: World, seed: u64) -> Dice {
        Dice { world, random: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// What a batch of items at these widths takes.
    pub(super) fn takes(&mut self, measured: &Measured, widths: &[Width]) -> Duration {
        let World { noise, hiccups, hiccup_times, wrong } = self.world;
        let normal: f64 = StandardNormal.sample(&mut self.random);
        let hiccup = if self.random.random::<f64>() < hiccups { hiccup_times } else { 1.0 };
        // Nothing is more than twice as fast as measured.
        let noisy = (1.0 + noise * normal).max(0.5);
        Duration::from_secs_f64(measured.seconds(widths) * wrong * noisy * hiccup)
    }
}
