//! The ranges of a recipe's settings, all of which are known before an image is read.

use super::Recipe;
use crate::data::{Examples, Images};
use crate::model::{Family, Weights};

/// More epochs than anybody means.
const MOST_EPOCHS: usize = 100_000;

impl Recipe {
    /// Is there a network by this recipe, and a training of it?
    ///
    /// # Errors
    /// A message that names the setting that is out of range.
    pub fn check(&self) -> Result<(), String> {
        self.architecture.check(self.dataset.shape())?;
        let rules = self.method.rules();
        let widths = self.architecture.widths().len();
        if rules.weights() != Weights::Dense && widths < 2 {
            return Err(format!("channels: {widths} is one width only; a network with several has 2 or more"));
        }
        rules.check(self.architecture, self.dataset.shape())?;
        rules.architecture(self.architecture).check(self.dataset.shape())?;
        self.check_start()?;
        if !(1..=MOST_EPOCHS).contains(&self.epochs) {
            return Err(format!("epochs: {} is not allowed, at least 1 and at most {MOST_EPOCHS}", self.epochs));
        }
        self.check_shares()?;
        self.check_pixels()
    }

    /// Are `count` images enough to train on?
    ///
    /// # Errors
    /// A message that names the setting that is out of range.
    pub fn check_count(&self, count: usize) -> Result<(), String> {
        if (1..=count).contains(&self.batch) {
            return Ok(());
        }
        Err(format!("batch: {} is not between 1 and the {count} training images", self.batch))
    }

    /// Can a run by this recipe use these images?
    pub(super) fn validate(&self, train: &dyn Examples, validation: &Images) -> Result<(), String> {
        let expected = self.dataset.shape();
        if train.shape() != expected || validation.shape() != expected {
            return Err(format!("images of {}, expected {expected}", train.shape()));
        }
        if validation.is_empty() {
            return Err("held out: 0 is not allowed, at least 1 image to validate on".into());
        }
        self.check()?;
        self.check_count(train.labels().len())
    }

    /// A start that is made for plain stacks of convolutions asks for one.
    fn check_start(&self) -> Result<(), String> {
        let family = self.architecture.family();
        if self.start.copies && !matches!(family, Family::Lenet | Family::Vgg8) {
            return Err(format!("copies: {} passes channels through anyway, or has no maps to copy", family.name()));
        }
        if self.start.model.is_some() && self.method.rules().norm_widths().len() > 1 {
            return Err(format!("start: a model file has one normalization, {} has several", self.method.name()));
        }
        if self.start.whitened_stem && family == Family::Mlp {
            return Err(format!("whitened stem: {} does not begin with a convolution", family.name()));
        }
        Ok(())
    }

    fn check_shares(&self) -> Result<(), String> {
        for (name, share) in [
            ("warm up", self.schedule.warm_up),
            ("momentum", self.sgd.momentum),
            ("label smoothing", self.label_smoothing),
            ("average", self.average),
            ("jitter", self.augmentation.jitter),
        ] {
            if !(0.0..1.0).contains(&share) {
                return Err(format!("{name}: {share} is not in 0..1"));
            }
        }
        for (name, share) in [("arrival", self.augmentation.arrival), ("inverted", self.augmentation.inverted)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("{name}: {share} is not from 0 to 1"));
            }
        }
        let (peak, decay, crop) = (self.schedule.peak, self.sgd.weight_decay, self.augmentation.crop);
        if !(0.0..=1.0).contains(&crop) || crop == 0.0 {
            return Err(format!("crop: {crop} is not above 0 and up to 1"));
        }
        if !peak.is_finite() || peak <= 0.0 {
            return Err(format!("rate: {peak} is not above 0"));
        }
        if !decay.is_finite() || decay < 0.0 {
            return Err(format!("weight decay: {decay} is not 0 or more"));
        }
        Ok(())
    }

    fn check_pixels(&self) -> Result<(), String> {
        let shape = self.dataset.shape();
        let side = shape.height.min(shape.width);
        if self.augmentation.pad >= side {
            return Err(format!("pad: {} is not below the images' {side} pixels", self.augmentation.pad));
        }
        if self.augmentation.cutout > side {
            return Err(format!("cutout: {} is above the images' {side} pixels", self.augmentation.cutout));
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
        assert!(recipe.check().is_err_and(|message| message.starts_with("channels: 1 is one width only")));
        assert_eq!(recipe.dense().check(), Ok(()));
    }
}
