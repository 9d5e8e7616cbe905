//! How long work really takes, beside what was measured of it.

use std::time::Duration;

use anywidth::engine::Width;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1, StandardNormal};

use super::Measured;

/// How far actual times are from measured ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoiseModel {
    /// Standard deviation of a task's time, as a share of it.
    pub deviation: f64,
    /// Share of the tasks that something else delays.
    pub hiccups: f64,
    /// How many times longer those take.
    pub hiccup_factor: f64,
    /// How often per second of work the machine stalls.
    pub stalls: f64,
    /// Mean length of a stall, which is exponentially distributed.
    pub stall: Duration,
    /// How many times longer everything takes than measured.
    pub factor: f64,
}

impl NoiseModel {
    /// A deviation of 5 %, and one task in a hundred that takes three times as long.
    pub const USUAL: NoiseModel = NoiseModel { deviation: 0.05, hiccups: 0.01, hiccup_factor: 3.0, ..NoiseModel::NONE };
    /// A shared machine: in addition, work waits some 10 ms for a core, three times per second of it.
    pub const SHARED: NoiseModel = NoiseModel { stalls: 3.0, stall: Duration::from_millis(10), ..NoiseModel::USUAL };
    /// Everything takes exactly as long as measured.
    pub const NONE: NoiseModel = NoiseModel {
        deviation: 0.0,
        hiccups: 0.0,
        hiccup_factor: 1.0,
        stalls: 0.0,
        stall: Duration::ZERO,
        factor: 1.0,
    };
}

/// Draws actual times.
pub(super) struct Sampler {
    noise: NoiseModel,
    random: ChaCha8Rng,
    /// A stream of its own, so that everything else is the same without stalls.
    stalls: ChaCha8Rng,
}

impl Sampler {
    pub(super) fn new(noise: NoiseModel, seed: u64) -> Sampler {
        let [random, mut stalls] = [seed; 2].map(ChaCha8Rng::seed_from_u64);
        stalls.set_stream(1);
        Sampler { noise, random, stalls }
    }

    /// The time of a batch of items at these widths.
    pub(super) fn batch(&mut self, measured: &Measured, widths: &[Width]) -> Duration {
        self.actual(measured.seconds(widths))
    }

    /// The time to decode an image.
    pub(super) fn decoding(&mut self, measured: &Measured) -> Duration {
        self.actual(measured.decode_us * 1e-6)
    }

    fn actual(&mut self, measured_seconds: f64) -> Duration {
        let NoiseModel { deviation, hiccups, hiccup_factor, stalls, stall, factor } = self.noise;
        let normal: f64 = StandardNormal.sample(&mut self.random);
        let hiccup = if self.random.random::<f64>() < hiccups { hiccup_factor } else { 1.0 };
        // Nothing is more than twice as fast as measured.
        let noisy = (1.0 + deviation * normal).max(0.5);
        let time = Duration::from_secs_f64(measured_seconds * factor * noisy * hiccup);
        let stalled = self.stalls.random::<f64>() < -(-stalls * time.as_secs_f64()).exp_m1();
        let length: f64 = Exp1.sample(&mut self.stalls);
        if stalled { time + stall.mul_f64(length) } else { time }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_machine_stalls_now_and_then_and_is_the_same_otherwise() -> Result<(), crate::simulate::MeasuredError> {
        const BATCH: [Width; 16] = [Width::FULL; 16];
        let measured = Measured::cifar10()?;
        let [mut usual, mut shared] = [NoiseModel::USUAL, NoiseModel::SHARED].map(|noise| Sampler::new(noise, 1));
        let mut stalls = Vec::new();
        for _ in 0..100_000 {
            let [usual, shared] = [&mut usual, &mut shared].map(|sampler| sampler.batch(&measured, &BATCH));
            assert!(shared >= usual);
            stalls.extend((shared > usual).then(|| (shared - usual).as_secs_f64()));
        }
        let expected = 100_000.0 * NoiseModel::SHARED.stalls * measured.seconds(&BATCH);
        assert!((stalls.len() as f64 / expected - 1.0).abs() < 0.1, "{} of {expected}", stalls.len());
        let mean = stalls.iter().sum::<f64>() / stalls.len() as f64;
        assert!((mean - 0.01).abs() < 0.001, "{mean}");
        Ok(())
    }
}
