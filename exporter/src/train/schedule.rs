//! The learning rate over time: up in a straight line, then down by one of three curves.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The learning rate at every step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The highest rate.
    pub peak: f64,
    /// Share of all steps in which the rate rises from 0 to the peak.
    pub warm_up: f64,
    /// How it falls from there.
    pub decay: Decay,
}

/// How the learning rate falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// In a straight line to 0.
    Linear,
    /// By half a cosine to 0.
    Cosine,
    /// To a tenth at half of all steps and to a hundredth at three quarters.
    Step,
}

impl Schedule {
    /// The rate of step `step` (from 0) of `steps`.
    pub fn rate(self, step: usize, steps: usize) -> f64 {
        let done = step as f64 / steps as f64;
        if done < self.warm_up {
            return self.peak * (step + 1) as f64 / (self.warm_up * steps as f64).max(1.0).ceil();
        }
        let after = (done - self.warm_up) / (1.0 - self.warm_up);
        self.peak
            * match self.decay {
                Decay::Linear => 1.0 - after,
                Decay::Cosine => (1.0 + (std::f64::consts::PI * after).cos()) / 2.0,
                Decay::Step if done < 0.5 => 1.0,
                Decay::Step if done < 0.75 => 0.1,
                Decay::Step => 0.01,
            }
    }
}
