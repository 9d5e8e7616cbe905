//! An exponential moving average of a network's tensors, which is a better network than the last step's.

use tch::{Device, Tensor};

use crate::model::Network;

/// The moving average of a network's parameters and running statistics.
#[derive(Debug)]
pub struct Average {
    /// Weight of the previous average at each step.
    decay: f64,
    network: Network,
}

/// The first steps use a smaller decay, so that the average covers about the last tenth of the steps and forgets the
/// initial values.
const EARLY: f64 = 10.0;

impl Average {
    /// An average in the tensors of `network`, whose values the first step replaces.
    pub fn new(decay: f64, network: Network) -> Average {
        Average { decay, network }
    }

    /// The averaged network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Moves it to `device`.
    pub fn move_to(&mut self, device: Device) {
        self.network.move_to(device);
    }

    /// Updates the average with `network`, of the same layers, after step `step` (from 0).
    pub fn update(&mut self, network: &Network, step: usize) {
        let decay = self.decay.min(step as f64 / (step as f64 + EARLY));
        tch::no_grad(|| {
            for ((_, average), (_, now)) in self.network.tensors().into_iter().zip(network.tensors()) {
                let mut average: Tensor = average.shallow_clone();
                average *= decay;
                average += now * (1.0 - decay);
            }
        });
    }
}
