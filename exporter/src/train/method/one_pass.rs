//! One pass at full width gives the loss of every width: the activations of an any-width network at a width are the
//! first channels of those at full width, and the last layer is a sum over channels.

use anywidth::engine::Width;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Rules, Step, checked};
use crate::data::Shape;
use crate::model::{Architecture, Network, Weights};
use crate::setting::SettingError;
use crate::train::loss::{LossWeights, Target, Weighting};

/// Settings of the one-pass method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OnePass {
    /// The weights of the widths in the loss.
    #[serde(flatten)]
    pub weighting: Weighting,
    /// Whether each channel's gradient is divided by the share of the loss in which the channel takes part.
    pub coverage: bool,
    /// Share of the target that comes from the teacher, or from full width for the narrower ones; see [`Target`].
    #[serde(default, skip_serializing_if = "is_none")]
    pub distillation: f64,
    /// The teacher, if it is not full width.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<Teacher>,
}

/// The finished dense counterpart of the recipe, whose outputs are part of the targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Teacher {
    /// The name of its run's folder.
    pub run: String,
    /// The MD5 of its network; see [`Network::md5`].
    pub md5: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none(share: &f64) -> bool {
    *share == 0.0
}

impl OnePass {
    fn loss_weights(&self, network: &Network) -> LossWeights {
        LossWeights::new(&self.weighting, network.widths().len()).expect("a weighting that was checked")
    }
}

impl Rules for OnePass {
    fn weights(&self) -> Weights {
        Weights::Triangular
    }

    fn narrowest(&self) -> Width {
        checked(self.weighting.narrowest)
    }

    fn check(&self, architecture: Architecture, _image: Shape) -> Result<(), SettingError> {
        LossWeights::new(&self.weighting, architecture.widths().len())?;
        if !(0.0..=1.0).contains(&self.distillation) {
            return Err(SettingError::range("distillation", self.distillation, "from 0 to 1"));
        }
        if self.teacher.is_some() && self.distillation == 0.0 {
            return Err(SettingError::conflict("distillation", "0 ignores the teacher"));
        }
        Ok(())
    }

    fn gradient_scales(&self, network: &Network) -> Vec<Option<Tensor>> {
        if self.coverage { self.loss_weights(network).gradient_scales(network) } else { Vec::new() }
    }

    fn backward(&self, step: &mut Step<'_>) -> f64 {
        let logits = step.network.all_logits(&step.batch.images, step.mode);
        let target = Target { distillation: self.distillation, ..step.target.shallow_clone() };
        let weights = self.loss_weights(step.network);
        step.learn(&weights.loss(&logits, &step.batch.labels, step.told.as_ref(), &target))
    }
}
