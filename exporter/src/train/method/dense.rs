//! A dense network of one width: full width as an upper bound and teacher, or a narrower one.

use anywidth::engine::Width;
use serde::{Deserialize, Serialize};

use super::{Rules, Step, checked};
use crate::data::Shape;
use crate::model::{Architecture, Weights};
use crate::setting::{SettingError, width};

/// Settings of a dense network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dense {
    /// The share of every layer's channels.
    pub width: f64,
}

impl Rules for Dense {
    fn weights(&self) -> Weights {
        Weights::Dense
    }

    fn narrowest(&self) -> Width {
        Width::FULL
    }

    fn check(&self, _architecture: Architecture, _image: Shape) -> Result<(), SettingError> {
        width(self.width).map(|_| ())
    }

    fn architecture(&self, architecture: Architecture) -> Architecture {
        architecture.narrowed(checked(self.width))
    }

    fn backward(&self, step: &mut Step<'_>) -> f64 {
        step.learn_sum(&[Width::FULL], false)
    }
}
