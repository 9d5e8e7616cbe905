//! An ordinary network of one width: full width as an upper reference and as a teacher, or a narrower one by itself.

use anywidth::engine::Width;
use serde::{Deserialize, Serialize};

use super::{Rules, Step, checked, width};
use crate::data::Shape;
use crate::model::{Architecture, Weights};

/// Settings of an ordinary network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dense {
    /// The share of every layer's channels that it has.
    pub width: f64,
}

impl Rules for Dense {
    fn weights(&self) -> Weights {
        Weights::Dense
    }

    fn narrowest(&self) -> Width {
        Width::FULL
    }

    fn check(&self, _architecture: Architecture, _image: Shape) -> Result<(), String> {
        width(self.width).map(|_| ())
    }

    fn architecture(&self, architecture: Architecture) -> Architecture {
        architecture.narrowed(checked(self.width))
    }

    fn backward(&self, step: &mut Step<'_>) -> f64 {
        step.learn_sum(&[Width::FULL], false)
    }
}
