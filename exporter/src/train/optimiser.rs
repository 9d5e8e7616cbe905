//! Stochastic gradient descent with momentum.
//!
//! Replaces libtorch's optimiser, whose binding cannot save the momentum that a resumed run needs.

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use crate::model::Parameter;

/// The constant settings of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SgdSettings {
    /// Momentum.
    pub momentum: f64,
    /// Whether the momentum is Nesterov's.
    pub nesterov: bool,
    /// Weight decay, for all weights except BatchNorm's.
    pub weight_decay: f64,
}

/// The optimiser with its state.
#[derive(Debug)]
pub struct Sgd {
    settings: SgdSettings,
    /// One per parameter, in the network's order.
    velocity: Vec<(String, Tensor)>,
}

impl Sgd {
    /// An optimiser with zero velocity.
    pub fn new(settings: SgdSettings, parameters: &[Parameter<'_>]) -> Sgd {
        let velocity = parameters.iter().map(|p| (p.name.clone(), p.tensor.detach().zeros_like())).collect();
        Sgd { settings, velocity }
    }

    /// Moves its state to `device`.
    pub fn move_to(&mut self, device: Device) {
        self.velocity.iter_mut().for_each(|(_, velocity)| *velocity = velocity.to_device(device));
    }

    /// The velocities, by the parameters' names.
    pub fn tensors(&self) -> &[(String, Tensor)] {
        &self.velocity
    }

    /// Updates the parameters with their gradients, each multiplied by its scale (if `scales` has one), and clears the
    /// gradients.
    ///
    /// # Panics
    /// If `parameters` are not those it was created for, or have no gradient.
    pub fn step(&mut self, parameters: &[Parameter<'_>], scales: &[Option<Tensor>], rate: f64) {
        assert_eq!(parameters.len(), self.velocity.len(), "parameters of the network that the optimiser was made for");
        let SgdSettings { momentum, nesterov, weight_decay } = self.settings;
        tch::no_grad(|| {
            for (index, (parameter, (_, velocity))) in parameters.iter().zip(&mut self.velocity).enumerate() {
                let mut tensor = parameter.tensor.shallow_clone();
                let mut gradient = tensor.grad();
                if let Some(Some(scale)) = scales.get(index) {
                    gradient *= scale;
                }
                let decay = if parameter.decays { weight_decay } else { 0.0 };
                let direction = &gradient + decay * &tensor;
                *velocity *= momentum;
                *velocity += &direction;
                let step = if nesterov { direction + momentum * &*velocity } else { velocity.shallow_clone() };
                tensor -= rate * step;
                tensor.zero_grad();
            }
        });
    }
}
