//! The methods of the paper (Vu et al., "Any-Width Networks", CVPRW 2020): triangular weights, and the sum of the
//! losses of several widths, fixed or random.
//!
//! The paper runs a pass per width. With triangular weights one pass gives the same loss and gradient; separate passes
//! are an option for comparison. They differ in one respect: running statistics are updated once per pass.

use anywidth::engine::Width;
use serde::{Deserialize, Serialize};

use super::{Rules, Step, check_narrowest, check_samples, check_widths, checked, sandwich};
use crate::data::Shape;
use crate::model::{Architecture, Weights};
use crate::setting::SettingError;

/// Settings of AWN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Awn {
    /// The widths of every step, ascending to 1.
    pub widths: Vec<f64>,
    /// Whether each width has a separate pass.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub separate_passes: bool,
}

/// Settings of AWN with random sampling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AwnRs {
    /// The narrowest width; every step includes it and full width.
    pub narrowest: f64,
    /// Widths per step, including these two.
    pub samples: usize,
    /// Whether each width has a separate pass.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub separate_passes: bool,
}

impl Rules for Awn {
    fn weights(&self) -> Weights {
        Weights::Triangular
    }

    fn narrowest(&self) -> Width {
        checked(self.widths[0])
    }

    fn check(&self, _architecture: Architecture, _image: Shape) -> Result<(), SettingError> {
        check_widths(&self.widths)
    }

    fn backward(&self, step: &mut Step<'_>) -> f64 {
        let widths: Vec<Width> = self.widths.iter().map(|&value| checked(value)).collect();
        step.learn_sum(&widths, self.separate_passes)
    }
}

impl Rules for AwnRs {
    fn weights(&self) -> Weights {
        Weights::Triangular
    }

    fn narrowest(&self) -> Width {
        checked(self.narrowest)
    }

    fn check(&self, _architecture: Architecture, _image: Shape) -> Result<(), SettingError> {
        check_narrowest(self.narrowest)?;
        check_samples(self.samples)
    }

    fn backward(&self, step: &mut Step<'_>) -> f64 {
        let widths = sandwich(self.narrowest(), self.samples, &mut step.random);
        step.learn_sum(&widths, self.separate_passes)
    }
}
