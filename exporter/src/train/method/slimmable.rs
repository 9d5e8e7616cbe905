//! Slimmable networks for comparison: dense weights, whose first channels are the narrower networks.
//!
//! The activations at a width are unrelated to those at full width, so every width needs a separate pass and separate
//! normalization statistics. S-Net (Yu et al., "Slimmable Neural Networks", 2018) has a normalization for each of a few
//! widths. US-Net (Yu and Huang, "Universally Slimmable Networks and Improved Training Techniques", 2019) trains random
//! widths by the sandwich rule, the narrower ones with the output of full width as target (in-place distillation), and
//! measures the statistics of several widths after training. MutualNet (Yang et al., "MutualNet: Adaptive ConvNet via
//! Mutual Learning from Network Width and Resolution", 2020) also trains the narrower ones on smaller images.

use std::ops::RangeInclusive;

use anywidth::engine::Width;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Rules, Step, check_narrowest, check_samples, check_widths, checked, sandwich};
use crate::data::Shape;
use crate::model::{Architecture, Weights};
use crate::setting::SettingError;
use crate::train::loss::{LossWeights, Target};

/// Settings of S-Net.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SNet {
    /// The widths of every step, ascending to 1. Other widths use the normalization of the next wider one.
    pub widths: Vec<f64>,
}

/// Settings of US-Net.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsNet {
    /// The narrowest width; every step includes it and full width.
    pub narrowest: f64,
    /// Widths per step, including these two.
    pub samples: usize,
    /// Number of evenly spaced widths, from the narrowest to full width, whose statistics are measured after training.
    /// Other widths use those of the next wider one.
    pub statistics: usize,
}

/// Settings of MutualNet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MutualNet {
    /// The settings in common with US-Net.
    #[serde(flatten)]
    pub us_net: UsNet,
    /// Image sizes in pixels, of which every width except the full one gets a random one.
    pub resolutions: Vec<usize>,
}

/// Minimum image size.
const LEAST_SIDE: usize = 8;
const MAX_SIDE: usize = 1024;

/// Allowed numbers of widths with separate statistics.
pub const STATISTICS: RangeInclusive<usize> = 2..=256;

impl Rules for SNet {
    fn weights(&self) -> Weights {
        Weights::Sliced
    }

    fn narrowest(&self) -> Width {
        checked(self.widths[0])
    }

    fn check(&self, _architecture: Architecture, _image: Shape) -> Result<(), SettingError> {
        check_widths(&self.widths)
    }

    fn norm_widths(&self) -> Vec<Width> {
        self.widths.iter().map(|&value| checked(value)).collect()
    }

    fn backward(&self, step: &mut Step<'_>) -> f64 {
        step.learn_sum(&self.norm_widths(), true)
    }
}

impl UsNet {
    /// `count` evenly spaced widths from the narrowest to the full one, at least two.
    pub(super) fn evenly(&self, count: usize) -> Vec<Width> {
        let (narrowest, full) = (u64::from(self.narrowest().millionths()), u64::from(Width::FULL.millionths()));
        let last = count.max(2) as u64 - 1;
        let at = |index: u64| narrowest + (full - narrowest) * index / last;
        let width = |index| Width::from_millionths(at(index) as u32).expect("between two widths");
        (0..=last).map(width).collect()
    }

    /// One step; `view` gives the images of each narrower width.
    fn backward_with(&self, step: &mut Step<'_>, mut view: impl FnMut(&mut Step<'_>) -> Tensor) -> f64 {
        let widths = sandwich(checked(self.narrowest), self.samples, &mut step.random);
        let one = LossWeights::sum(1);
        let full = step.network.logits(&step.batch.images, Width::FULL, step.mode).unsqueeze(0);
        let told = full.get(0).detach();
        let mut sum = step.learn(&one.loss(&full, &step.batch.labels, None, step.target));
        let target = Target { distillation: 1.0, ..step.target.shallow_clone() };
        for &width in &widths[..widths.len() - 1] {
            let images = view(step);
            let logits = step.network.logits(&images, width, step.mode).unsqueeze(0);
            sum += step.learn(&one.loss(&logits, &step.batch.labels, Some(&told), &target));
        }
        sum
    }
}

impl Rules for UsNet {
    fn weights(&self) -> Weights {
        Weights::Sliced
    }

    fn narrowest(&self) -> Width {
        checked(self.narrowest)
    }

    fn check(&self, _architecture: Architecture, _image: Shape) -> Result<(), SettingError> {
        check_narrowest(self.narrowest)?;
        check_samples(self.samples)?;
        if STATISTICS.contains(&self.statistics) {
            return Ok(());
        }
        let (least, most) = (STATISTICS.start(), STATISTICS.end());
        Err(SettingError::range("statistics", self.statistics, format!("from {least} to {most} widths")))
    }

    fn recalibrated(&self) -> Option<Vec<Width>> {
        Some(self.evenly(self.statistics))
    }

    fn backward(&self, step: &mut Step<'_>) -> f64 {
        self.backward_with(step, |step| step.batch.images.shallow_clone())
    }
}

impl Rules for MutualNet {
    fn weights(&self) -> Weights {
        Weights::Sliced
    }

    fn narrowest(&self) -> Width {
        self.us_net.narrowest()
    }

    fn check(&self, architecture: Architecture, image: Shape) -> Result<(), SettingError> {
        self.us_net.check(architecture, image)?;
        if !architecture.reads_any_size() {
            let name = architecture.name();
            let reason = format!("{name} reads images of one size only; vgg-8, mobilenet-v2 and resnet-20 read any");
            return Err(SettingError::conflict("mutualnet", reason));
        }
        if self.resolutions.is_empty() {
            return Err(SettingError::conflict("resolutions", "at least one is required, such as 32,28,24,20"));
        }
        let least = architecture.least_side(image).max(LEAST_SIDE);
        let other = self.resolutions.iter().find(|side| !(least..=MAX_SIDE).contains(*side));
        other.map_or(Ok(()), |side| {
            let name = architecture.name();
            let expected = format!("from {least} to {MAX_SIDE} pixels a side for this {name}");
            Err(SettingError::range("resolutions", side, expected))
        })
    }

    fn recalibrated(&self) -> Option<Vec<Width>> {
        self.us_net.recalibrated()
    }

    fn backward(&self, step: &mut Step<'_>) -> f64 {
        self.us_net.backward_with(step, |step| {
            let side = self.resolutions[step.random.random_range(0..self.resolutions.len())] as i64;
            let images = &step.batch.images;
            if images.size()[2..] == [side; 2] {
                return images.shallow_clone();
            }
            images.internal_upsample_bilinear2d_aa([side; 2], false, None::<f64>, None::<f64>)
        })
    }
}
