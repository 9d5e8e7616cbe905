//! Slimmable networks, to compare with: dense weights whose first channels are the narrower networks.
//!
//! What such a network computes at a width has nothing in common with what it computes at full width, so every width takes a
//! pass of its own, and normalization cannot share its statistics. S-Net (Yu et al., "Slimmable Neural Networks", 2018) keeps
//! a normalization for each of a few widths. US-Net (Yu and Huang, "Universally Slimmable Networks and Improved Training
//! Techniques", 2019) trains random widths by the sandwich rule, the narrower ones by what full width says (in-place
//! distillation), and measures the statistics of some widths after training. MutualNet (Yang et al., "MutualNet: Adaptive
//! ConvNet via Mutual Learning from Network Width and Resolution", 2020) shows the narrower ones smaller images, too.

use std::ops::RangeInclusive;

use anywidth::engine::Width;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Rules, Step, check_narrowest, check_samples, check_widths, checked, sandwich};
use crate::data::Shape;
use crate::model::{Architecture, Weights};
use crate::train::loss::{LossWeights, Target};

/// Settings of S-Net.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SNet {
    /// The widths of every step, ascending to 1. At another width, the normalization of the next wider one is used.
    pub widths: Vec<f64>,
}

/// Settings of US-Net.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsNet {
    /// The narrowest width, which is in every step as full width is.
    pub narrowest: f64,
    /// Widths in a step, those two included.
    pub samples: usize,
    /// Evenly spaced widths, from the narrowest to the full one, whose statistics are measured after training. At another
    /// width, those of the next wider one are used.
    pub statistics: usize,
}

/// Settings of MutualNet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MutualNet {
    /// What it has in common with US-Net.
    #[serde(flatten)]
    pub us_net: UsNet,
    /// Sides in pixels that images are scaled to at random for every width but the full one.
    pub resolutions: Vec<usize>,
}

/// Sides that images are scaled to.
const LEAST_SIDE: usize = 8;
const MOST_SIDE: usize = 1024;

/// How many widths may have statistics of their own: the narrowest and the full one at least, and no more than anybody asks for.
pub const STATISTICS: RangeInclusive<usize> = 2..=256;

impl Rules for SNet {
    fn weights(&self) -> Weights {
        Weights::Sliced
    }

    fn narrowest(&self) -> Width {
        checked(self.widths[0])
    }

    fn check(&self, _architecture: Architecture, _image: Shape) -> Result<(), String> {
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

    /// One step in which each of the narrower widths sees what `view` makes of the images.
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

    fn check(&self, _architecture: Architecture, _image: Shape) -> Result<(), String> {
        check_narrowest(self.narrowest)?;
        check_samples(self.samples)?;
        if STATISTICS.contains(&self.statistics) {
            return Ok(());
        }
        let (least, most) = (STATISTICS.start(), STATISTICS.end());
        Err(format!("statistics: {} is not allowed, {least} to {most} widths", self.statistics))
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

    fn check(&self, architecture: Architecture, image: Shape) -> Result<(), String> {
        self.us_net.check(architecture, image)?;
        if !architecture.reads_any_size() {
            return Err(format!(
                "mutualnet: {} reads images of one size only; vgg-8, mobilenet-v2 and resnet-20 read any",
                architecture.name()
            ));
        }
        if self.resolutions.is_empty() {
            return Err("resolutions: none, such as 32,28,24,20 are expected".into());
        }
        let least = architecture.least_side(image).max(LEAST_SIDE);
        let other = self.resolutions.iter().find(|side| !(least..=MOST_SIDE).contains(*side));
        other.map_or(Ok(()), |side| {
            let name = architecture.name();
            Err(format!("resolutions: {side} is not allowed, {least} to {MOST_SIDE} pixels a side for this {name}"))
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
