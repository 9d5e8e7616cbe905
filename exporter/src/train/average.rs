//! A running average of a network's tensors over the last steps, which is a better network than the last step's.

use tch::{Device, Tensor};

use crate::model::Network;

/// The average of a network's parameters and running statistics, recent steps counting most.
#[derive(Debug)]
pub struct Average {
    /// Share of the average that one step leaves.
    decay: f64,
    network: Network,
}

/// In the first steps the average is of about a tenth of those that were done, so that it forgets where it started.
const EARLY: f64 = 10.0;

impl Average {
    /// An average that `network` lends its tensors to; their values are forgotten with the first step.
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

    /// Takes in what `network`, of the same layers, has become in step `step` (from 0).
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
