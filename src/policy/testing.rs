//! Profiles for the tests of this module.

use std::time::Duration;

use super::{Measurement, Profile};
use crate::engine::{GainTable, Outcome, Width};

/// Steps 0.25, 0.5, 0.75 and 1 take 100, 200, 300 and 400 us, accurate to 0.6, 0.7, 0.8 and 0.9.
pub(super) fn profile() -> Profile {
    measured([0, 100], true)
}

pub(super) fn without_accuracy() -> Profile {
    measured([0, 100], false)
}

/// Steps of a setup and of an item, each times 1, 2, 3, 4 microseconds.
pub(super) fn measured([setup, item]: [u64; 2], accuracy: bool) -> Profile {
    let at = |step: u32| Measurement {
        width: Width::from_millionths(step * 250_000).unwrap(),
        latencies: [1, 8].map(|b| (b as usize, Duration::from_micros(u64::from(step) * (setup + item * b)))).to_vec(),
        accuracy: accuracy.then(|| 0.5 + f64::from(step) / 10.0),
    };
    Profile::new(&(1..=4).map(at).collect::<Vec<_>>()).unwrap()
}

/// A gain table for these steps: images from easy to hard, the harder the less sure; an image is right from some width on, and
/// sure a little later.
pub(super) fn gain() -> GainTable {
    let widths: Vec<Width> = (1..=4).map(|step| Width::of_channels(step, 4)).collect();
    let image = |hardness: f32| {
        let outcome = |step: u8| {
            let reach = 0.5 + f32::from(step) / 10.0;
            Outcome { probability: (1.0 - 0.5 * hardness / reach).max(0.3), correct: hardness < reach }
        };
        (1..=4).map(outcome).collect()
    };
    GainTable::count(&widths, &(0..1000).map(|n| image(n as f32 / 1000.0)).collect::<Vec<_>>())
}
