//! One pass at full width gives the loss of every width: what an any-width network computes at a width are the first channels
//! of what it computes at full width, and the last layer is a sum over channels.

use anywidth::engine::Width;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Rules, Step, checked};
use crate::data::Shape;
use crate::model::{Architecture, Network, Weights};
use crate::train::loss::{LossWeights, Target, Weighting};

/// Settings of the one-pass method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OnePass {
    /// How much each width's loss counts.
    #[serde(flatten)]
    pub weighting: Weighting,
    /// Is the gradient of each channel divided by the share of the loss in which it takes part?
    pub coverage: bool,
    /// Share of a target that is what the teacher says of an image, or full width to the narrower ones. ([`Target`])
    #[serde(default, skip_serializing_if = "is_none")]
    pub distillation: f64,
    /// The network that teaches, if it is not full width.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<Teacher>,
}

/// The dense network of the same recipe, trained before, whose answers are a share of the targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Teacher {
    /// The name of its run's folder.
    pub run: String,
    /// Its network's MD5. ([`Network::md5`])
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

    fn check(&self, architecture: Architecture, _image: Shape) -> Result<(), String> {
        LossWeights::new(&self.weighting, architecture.widths().len())?;
        if !(0.0..=1.0).contains(&self.distillation) {
            return Err(format!("distillation: {} is not in 0..=1", self.distillation));
        }
        if self.teacher.is_some() && self.distillation == 0.0 {
            return Err("distillation: 0 leaves a teacher nothing to say, it is above 0 and up to 1 with one".into());
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
