//! The methods of the paper (Vu et al., "Any-Width Networks", CVPRW 2020): triangular weights, and the sum of the losses of
//! some widths, fixed or random.
//!
//! The paper runs a pass for each width. Triangular weights make one pass give the same loss and gradient; separate passes are
//! there to be compared with. They differ in one thing: running statistics move once for each pass.

use anywidth::engine::Width;
use serde::{Deserialize, Serialize};

use super::{Rules, Step, check_narrowest, check_samples, check_widths, checked, sandwich};
use crate::data::Shape;
use crate::model::{Architecture, Weights};

/// Settings of AWN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Awn {
    /// The widths of every step, ascending to 1.
    pub widths: Vec<f64>,
    /// Is there a pass for each width?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub separate_passes: bool,
}

/// Settings of AWN with random sampling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AwnRs {
    /// The narrowest width, which is in every step as full width is.
    pub narrowest: f64,
    /// Widths in a step, those two included.
    pub samples: usize,
    /// Is there a pass for each width?
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

    fn check(&self, _architecture: Architecture, _image: Shape) -> Result<(), String> {
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

    fn check(&self, _architecture: Architecture, _image: Shape) -> Result<(), String> {
        check_narrowest(self.narrowest)?;
        check_samples(self.samples)
    }

    fn backward(&self, step: &mut Step<'_>) -> f64 {
        let widths = sandwich(self.narrowest(), self.samples, &mut step.random);
        step.learn_sum(&widths, self.separate_passes)
    }
}
