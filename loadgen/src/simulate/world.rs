//! What batches really take.

use std::time::Duration;

use anywidth::engine::Width;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1, StandardNormal};

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
    /// How often, in a second of work, the machine does something else.
    pub stalls: f64,
    /// For how long, on average: exponentially distributed.
    pub stall: Duration,
    /// How many times longer everything takes than was measured.
    pub wrong: f64,
}

impl World {
    /// Noise of 5 %, and one batch in a hundred that takes three times as long.
    pub const USUAL: World = World { noise: 0.05, hiccups: 0.01, hiccup_times: 3.0, ..World::EXACT };
    /// A shared machine: beside the usual, work waits some 10 ms for a processor, three times in a second of it.
    pub const RESTLESS: World = World { stalls: 3.0, stall: Duration::from_millis(10), ..World::USUAL };
    /// Everything takes exactly as long as measured.
    pub const EXACT: World =
        World { noise: 0.0, hiccups: 0.0, hiccup_times: 1.0, stalls: 0.0, stall: Duration::ZERO, wrong: 1.0 };
}

/// A world with its dice.
pub(super) struct Dice {
    world: World,
    random: ChaCha8Rng,
    /// Apart, so that the rest is the same in a world without them.
    stalls: ChaCha8Rng,
}

impl Dice {
    pub(super) fn new(world: World, seed: u64) -> Dice {
        let [random, mut stalls] = [seed; 2].map(ChaCha8Rng::seed_from_u64);
        stalls.set_stream(1);
        Dice { world, random, stalls }
    }

    /// What a batch of items at these widths takes.
    pub(super) fn takes(&mut self, measured: &Measured, widths: &[Width]) -> Duration {
        let World { noise, hiccups, hiccup_times, stalls, stall, wrong } = self.world;
        let normal: f64 = StandardNormal.sample(&mut self.random);
        let hiccup = if self.random.random::<f64>() < hiccups { hiccup_times } else { 1.0 };
        // Nothing is more than twice as fast as measured.
        let noisy = (1.0 + noise * normal).max(0.5);
        let takes = Duration::from_secs_f64(measured.seconds(widths) * wrong * noisy * hiccup);
        let stalled = self.stalls.random::<f64>() < -(-stalls * takes.as_secs_f64()).exp_m1();
        let lasts: f64 = Exp1.sample(&mut self.stalls);
        if stalled { takes + stall.mul_f64(lasts) } else { takes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restless_machine_takes_longer_now_and_then_and_the_same_else() -> Result<(), crate::simulate::MeasuredError> {
        const BATCH: [Width; 16] = [Width::FULL; 16];
        let measured = Measured::cifar10()?;
        let [mut usual, mut restless] = [World::USUAL, World::RESTLESS].map(|world| Dice::new(world, 1));
        let mut stalls = Vec::new();
        for _ in 0..100_000 {
            let [usual, restless] = [&mut usual, &mut restless].map(|dice| dice.takes(&measured, &BATCH));
            assert!(restless >= usual);
            stalls.extend((restless > usual).then(|| (restless - usual).as_secs_f64()));
        }
        let expected = 100_000.0 * World::RESTLESS.stalls * measured.seconds(&BATCH);
        assert!((stalls.len() as f64 / expected - 1.0).abs() < 0.1, "{} of {expected}", stalls.len());
        let mean = stalls.iter().sum::<f64>() / stalls.len() as f64;
        assert!((mean - 0.01).abs() < 0.001, "{mean}");
        Ok(())
    }
}
