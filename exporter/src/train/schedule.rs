//! The learning rate: a linear warm-up, then one of three decays.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The learning rate at every step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The peak rate.
    pub peak: f64,
    /// Share of all steps in which the rate rises from 0 to the peak.
    pub warm_up: f64,
    /// The decay after the peak.
    pub decay: Decay,
}

/// Decay of the learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// Linear to 0.
    Linear,
    /// Half a cosine to 0.
    Cosine,
    /// A factor of 0.1 at half of all steps, and again at three quarters.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(decay: Decay, warm_up: f64, steps: usize) -> Vec<f64> {
        (0..steps).map(|step| Schedule { peak: 2.0, warm_up, decay }.rate(step, steps)).collect()
    }

    #[test]
    fn the_rate_rises_to_the_peak_in_the_warm_up_and_never_after_it() {
        for decay in [Decay::Linear, Decay::Cosine, Decay::Step] {
            let rates = rates(decay, 0.25, 100);
            assert!(rates[..25].is_sorted_by(|a, b| a < b) && rates[25..].is_sorted_by(|a, b| a >= b), "{decay:?}");
            assert_eq!((rates[0], rates[24], rates[25]), (2.0 / 25.0, 2.0, 2.0), "{decay:?}");
            assert!(rates.iter().all(|&rate| rate > 0.0), "{decay:?}");
        }
    }

    #[test]
    fn each_curve_passes_through_its_known_points() {
        let at = |decay, place: usize| rates(decay, 0.0, 1000)[place];
        assert!((at(Decay::Linear, 750) - 0.5).abs() < 1e-12);
        assert!((at(Decay::Cosine, 500) - 1.0).abs() < 1e-12);
        assert_eq!([0, 499, 500, 749, 750, 999].map(|place| at(Decay::Step, place)), [2.0, 2.0, 0.2, 0.2, 0.02, 0.02]);
    }

    #[test]
    fn a_warm_up_shorter_than_a_step_never_exceeds_the_peak() {
        assert!(rates(Decay::Linear, 0.001, 4).iter().all(|rate| (0.0..=2.0).contains(rate)));
    }
}
