//! Checks of a recipe's settings, before an image is read.

use super::Recipe;
use crate::data::{Examples, Images};
use crate::model::{Family, Weights};
use crate::setting::SettingError;

/// Maximum number of epochs.
const MAX_EPOCHS: usize = 100_000;

impl Recipe {
    /// Checks that the recipe's network exists and can be trained.
    ///
    /// # Errors
    /// [`SettingError`] names the setting that is out of range.
    pub fn check(&self) -> Result<(), SettingError> {
        self.architecture.check(self.dataset.shape())?;
        let rules = self.method.rules();
        let widths = self.architecture.widths().len();
        if rules.weights() != Weights::Dense && widths < 2 {
            let reason = format!("{widths} is one width only; a network with several has 2 or more");
            return Err(SettingError::conflict("channels", reason));
        }
        rules.check(self.architecture, self.dataset.shape())?;
        rules.architecture(self.architecture).check(self.dataset.shape())?;
        self.check_start()?;
        if !(1..=MAX_EPOCHS).contains(&self.epochs) {
            return Err(SettingError::range("epochs", self.epochs, format!("from 1 to {MAX_EPOCHS}")));
        }
        self.check_shares()?;
        self.check_pixels()
    }

    /// Checks that `count` training images are enough.
    ///
    /// # Errors
    /// [`SettingError`] names the setting that is out of range.
    pub fn check_count(&self, count: usize) -> Result<(), SettingError> {
        if (1..=count).contains(&self.batch) {
            return Ok(());
        }
        Err(SettingError::range("batch", self.batch, format!("between 1 and the {count} training images")))
    }

    /// Checks the recipe, and that it can be trained on these images.
    pub(super) fn validate(&self, train: &dyn Examples, validation: &Images) -> Result<(), SettingError> {
        let expected = self.dataset.shape();
        if train.shape() != expected || validation.shape() != expected {
            return Err(SettingError::Images { found: train.shape(), expected });
        }
        if validation.is_empty() {
            return Err(SettingError::range("held out", 0, "1 image or more"));
        }
        self.check()?;
        self.check_count(train.labels().len())
    }

    /// Checks that the initialization suits the architecture and the method.
    fn check_start(&self) -> Result<(), SettingError> {
        let family = self.architecture.family();
        if self.start.copies && !matches!(family, Family::Lenet | Family::Vgg8) {
            let reason = format!("{} passes channels through anyway, or has no maps to copy", family.name());
            return Err(SettingError::conflict("copies", reason));
        }
        if self.start.model.is_some() && self.method.rules().norm_widths().len() > 1 {
            let reason = format!("a model file has one normalization, {} has several", self.method.name());
            return Err(SettingError::conflict("start", reason));
        }
        if self.start.whitened_stem && family == Family::Mlp {
            let reason = format!("{} does not begin with a convolution", family.name());
            return Err(SettingError::conflict("whitened stem", reason));
        }
        Ok(())
    }

    fn check_shares(&self) -> Result<(), SettingError> {
        for (name, share) in [
            ("warm up", self.schedule.warm_up),
            ("momentum", self.sgd.momentum),
            ("label smoothing", self.label_smoothing),
            ("average", self.average),
            ("jitter", self.augmentation.jitter),
        ] {
            if !(0.0..1.0).contains(&share) {
                return Err(SettingError::range(name, share, "in 0..1"));
            }
        }
        for (name, share) in [("arrival", self.augmentation.arrival), ("inverted", self.augmentation.inverted)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(SettingError::range(name, share, "from 0 to 1"));
            }
        }
        let (peak, decay, crop) = (self.schedule.peak, self.sgd.weight_decay, self.augmentation.crop);
        if !(0.0..=1.0).contains(&crop) || crop == 0.0 {
            return Err(SettingError::range("crop", crop, "above 0 and up to 1"));
        }
        if !peak.is_finite() || peak <= 0.0 {
            return Err(SettingError::range("rate", peak, "above 0"));
        }
        if !decay.is_finite() || decay < 0.0 {
            return Err(SettingError::range("weight decay", decay, "0 or more"));
        }
        Ok(())
    }

    fn check_pixels(&self) -> Result<(), SettingError> {
        let shape = self.dataset.shape();
        let side = shape.height.min(shape.width);
        if self.augmentation.pad >= side {
            let expected = format!("below the images' {side} pixels");
            return Err(SettingError::range("pad", self.augmentation.pad, expected));
        }
        if self.augmentation.cutout > side {
            let expected = format!("at most the images' {side} pixels");
            return Err(SettingError::range("cutout", self.augmentation.cutout, expected));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_width_is_enough_for_a_dense_network_and_for_no_other() {
        let text = r#"{"dataset":"mnist","architecture":{"family":"lenet-3c1l","channels":1},
            "method":{"name":"one-pass","narrowest":0.125,"emphasis":[],"coverage":true},
            "epochs":18,"batch":128,"schedule":{"peak":0.1,"warm_up":0.15,"decay":"cosine"},
            "sgd":{"momentum":0.9,"nesterov":true,"weight_decay":0.0005},
            "label_smoothing":0.0,
            "augmentation":{"pad":2,"flip":false},"held_out":5000,"seed":1,"precision":"bfloat16"}"#;
        let recipe: Recipe = serde_json::from_str(text).expect("a recipe");
        assert!(recipe.check().is_err_and(|error| error.to_string().starts_with("channels: 1 is one width only")));
        assert_eq!(recipe.dense().check(), Ok(()));
    }
}
