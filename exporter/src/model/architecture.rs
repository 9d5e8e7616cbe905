//! Architectures and their sizes: everything that differs between them except their graphs.

use std::ops::RangeInclusive;

use anywidth::engine::Width;
use clap::ValueEnum;
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{Builder, Graph, Weights, lenet, mlp, mobilenet, resnet, vgg8};
use crate::data::Shape;
use crate::setting::SettingError;

/// An architecture with its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "kebab-case")]
pub enum Architecture {
    /// Three convolutions and a linear layer (LeNet-3C1L).
    #[serde(rename = "lenet-3c1l")]
    Lenet {
        /// Channels of every hidden layer.
        channels: usize,
    },
    /// Seven convolutions and a linear layer (vgg-8), with two more convolutions per extra stage for large images.
    #[serde(rename = "vgg-8")]
    Vgg8 {
        /// Channels of the three stages; extra stages have as many as the third.
        channels: [usize; 3],
    },
    /// MobileNetV2 for small images.
    #[serde(rename = "mobilenet-v2")]
    MobileNet {
        /// Channels of the stem, the seven stages, and the last convolution.
        channels: [usize; 9],
    },
    /// ResNet-20 for CIFAR.
    #[serde(rename = "resnet-20")]
    ResNet {
        /// Channels of the three stages.
        channels: [usize; 3],
    },
    /// Two hidden linear layers.
    Mlp {
        /// Units of each layer.
        channels: usize,
    },
}

/// An architecture of any size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Family {
    /// Three convolutions without padding, all with the same number of channels: small and fast.
    #[value(name = "lenet-3c1l", alias = "lenet")]
    Lenet,
    /// Seven convolutions in a stem and three stages: several times the work, far more accurate on photographs.
    #[value(name = "vgg-8")]
    Vgg8,
    /// Inverted residuals with depthwise convolutions: few parameters, slow to train on a CPU.
    #[value(name = "mobilenet-v2")]
    MobileNet,
    /// Nineteen convolutions in residual blocks.
    #[value(name = "resnet-20")]
    ResNet,
    /// Two hidden linear layers.
    #[value(name = "mlp")]
    Mlp,
}

/// Number of evenly spaced widths at which networks are trained and measured whose layers have different channel
/// counts. Neighbouring widths differ by less than accuracy can resolve, and layers with fewer channels repeat counts.
const WIDTHS: usize = 32;

impl Family {
    /// The architecture with `channels`, or with the default if they are empty: the published counts for sliced
    /// weights, and these times the square root of 2 for triangular weights, of which half do not exist. A dense
    /// network has as many as the triangular one that it is compared with.
    ///
    /// # Errors
    /// [`SettingError`] if the number of counts is wrong.
    pub fn of(self, channels: &[usize], weights: Weights) -> Result<Architecture, SettingError> {
        let usual = |channels: usize| match weights {
            Weights::Triangular | Weights::Dense => (channels as f64 * std::f64::consts::SQRT_2).round() as usize,
            Weights::Sliced => channels,
        };
        Ok(match self {
            Family::Lenet => Architecture::Lenet { channels: only(self, channels, usual(LENET))? },
            // This repository's own network: its default is the size of the triangular one.
            Family::Vgg8 => Architecture::Vgg8 { channels: several(self, channels, VGG8)? },
            Family::MobileNet => {
                Architecture::MobileNet { channels: several(self, channels, mobilenet::CHANNELS.map(usual))? }
            }
            Family::ResNet => Architecture::ResNet { channels: several(self, channels, resnet::CHANNELS.map(usual))? },
            Family::Mlp => Architecture::Mlp { channels: only(self, channels, usual(MLP))? },
        })
    }

    /// The name in flags.
    pub fn flag(self) -> &'static str {
        match self {
            Family::Lenet => "lenet-3c1l",
            Family::Vgg8 => "vgg-8",
            Family::MobileNet => "mobilenet-v2",
            Family::ResNet => "resnet-20",
            Family::Mlp => "mlp",
        }
    }

    /// The name in model cards.
    pub fn name(self) -> &'static str {
        match self {
            Family::Lenet => "LeNet-3C1L",
            Family::Vgg8 => "vgg-8",
            Family::MobileNet => "MobileNetV2",
            Family::ResNet => "ResNet-20",
            Family::Mlp => "MLP",
        }
    }
}

const LENET: usize = 32;
const VGG8: [usize; 3] = [64, 128, 256];
const MLP: usize = 256;

fn only(family: Family, channels: &[usize], usual: usize) -> Result<usize, SettingError> {
    several(family, channels, [usual]).map(|[channels]| channels)
}

fn several<const N: usize>(family: Family, channels: &[usize], usual: [usize; N]) -> Result<[usize; N], SettingError> {
    match channels {
        [] => Ok(usual),
        _ => channels.try_into().map_err(|_| {
            let wanted = match N {
                1 => "one",
                3 => "three",
                _ => "nine",
            };
            SettingError::conflict("channels", format!("{} numbers, {} has {wanted}", channels.len(), family.name()))
        }),
    }
}

impl Architecture {
    /// The architecture without its size.
    pub fn family(self) -> Family {
        match self {
            Architecture::Lenet { .. } => Family::Lenet,
            Architecture::Vgg8 { .. } => Family::Vgg8,
            Architecture::MobileNet { .. } => Family::MobileNet,
            Architecture::ResNet { .. } => Family::ResNet,
            Architecture::Mlp { .. } => Family::Mlp,
        }
    }

    /// The name in model cards.
    pub fn name(self) -> &'static str {
        self.family().name()
    }

    /// The channel counts that define its size.
    pub fn channels(&self) -> &[usize] {
        match self {
            Architecture::Lenet { channels } | Architecture::Mlp { channels } => std::slice::from_ref(channels),
            Architecture::Vgg8 { channels } | Architecture::ResNet { channels } => channels,
            Architecture::MobileNet { channels } => channels,
        }
    }

    /// Its size for model cards, such as "45 channels in every hidden layer".
    pub fn size(self) -> String {
        match self {
            Architecture::Lenet { channels } => format!("{channels} channels in every hidden layer"),
            Architecture::Vgg8 { channels: [first, second, third] }
            | Architecture::ResNet { channels: [first, second, third] } => {
                format!("{first}, {second} and {third} channels in its three stages")
            }
            Architecture::MobileNet { channels: [stem, stages @ .., last] } => {
                let stages = stages.map(|count| count.to_string()).join(", ");
                format!("{stages} channels in its seven stages, {stem} in the stem and {last} in the last convolution")
            }
            Architecture::Mlp { channels } => format!("{channels} units in each of two hidden layers"),
        }
    }

    /// The flags of `exporter train` that select it.
    pub fn flags(self) -> String {
        let channels: Vec<String> = self.channels().iter().map(usize::to_string).collect();
        format!("--network {} --channels {}", self.family().flag(), channels.join(","))
    }

    /// The architecture with the channels that are active at `width`, for each count separately.
    pub fn narrowed(self, width: Width) -> Architecture {
        let active = |channels: usize| width.active(channels);
        match self {
            Architecture::Lenet { channels } => Architecture::Lenet { channels: active(channels) },
            Architecture::Vgg8 { channels } => Architecture::Vgg8 { channels: channels.map(active) },
            Architecture::MobileNet { channels } => Architecture::MobileNet { channels: channels.map(active) },
            Architecture::ResNet { channels } => Architecture::ResNet { channels: channels.map(active) },
            Architecture::Mlp { channels } => Architecture::Mlp { channels: active(channels) },
        }
    }

    /// Whether it reads images of other sizes than it was built for: its last layer reads one pixel per map.
    pub fn reads_any_size(self) -> bool {
        matches!(self, Architecture::Vgg8 { .. } | Architecture::MobileNet { .. } | Architecture::ResNet { .. })
    }

    /// The smallest image side that a network built for images of shape `image` can read, if it [reads any
    /// size](Architecture::reads_any_size).
    pub fn least_side(self, image: Shape) -> usize {
        match self {
            Architecture::Vgg8 { .. } => vgg8::least_side(image.height.min(image.width)),
            _ => 1,
        }
    }

    /// Checks that the network exists for images of shape `image`.
    ///
    /// # Errors
    /// [`SettingError`] names the size or count that is out of range.
    pub fn check(self, image: Shape) -> Result<(), SettingError> {
        let (network, sides) = (self.name(), self.sides());
        if !sides.contains(&image.height) || !sides.contains(&image.width) {
            return Err(SettingError::Sides { image, network, sides });
        }
        // The stem of vgg-8 has half as many channels as the first stage.
        let stem = if let Architecture::Vgg8 { channels: [first, ..] } = self { first / 2 } else { 1 };
        if stem == 0 || self.channels().contains(&0) {
            let reason = format!("a layer of {network} would have none, with {}", self.size());
            return Err(SettingError::conflict("channels", reason));
        }
        Ok(())
    }

    /// The widths of a network that has several: evenly spaced, narrow to wide, ending with full width.
    pub fn widths(self) -> Vec<Width> {
        let count = match self {
            Architecture::Lenet { channels } | Architecture::Mlp { channels } => channels,
            Architecture::Vgg8 { .. } | Architecture::MobileNet { .. } | Architecture::ResNet { .. } => WIDTHS,
        };
        (1..=count).map(|step| Width::of_channels(step, count)).collect()
    }

    /// Its graph; `build` contains only the image.
    pub(super) fn graph<R: Rng>(self, build: Builder<'_, R>, classes: usize) -> Graph {
        match self {
            Architecture::Lenet { channels } => lenet::graph(build, [channels; 3], classes),
            Architecture::Vgg8 { channels } => vgg8::graph(build, channels, classes),
            Architecture::MobileNet { channels } => mobilenet::graph(build, channels, classes),
            Architecture::ResNet { channels } => resnet::graph(build, channels, classes),
            Architecture::Mlp { channels } => mlp::graph(build, channels, classes),
        }
    }

    fn sides(self) -> RangeInclusive<usize> {
        match self {
            Architecture::Lenet { .. } => lenet::SIDES,
            Architecture::Vgg8 { .. } => vgg8::SIDES,
            Architecture::MobileNet { .. } => mobilenet::SIDES,
            Architecture::ResNet { .. } => resnet::SIDES,
            Architecture::Mlp { .. } => mlp::SIDES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_a_network_cannot_read_are_refused_with_those_that_it_can() {
        let vgg8 = Architecture::Vgg8 { channels: [2, 1, 1] };
        let refusal = |architecture: Architecture, height, width| {
            let refused = architecture.check(Shape { channels: 3, height, width }).err();
            refused.map_or_else(String::new, |error| error.to_string())
        };
        for [height, width] in [[28, 28], [28, 128], [128, 90]] {
            assert_eq!(refusal(vgg8, height, width), "");
        }
        let wide = "images of 129x64 pixels: vgg-8 reads 28 to 128 pixels a side";
        assert_eq!(refusal(vgg8, 64, 129), wide);
        assert!(refusal(vgg8, 27, 64).starts_with("images of 64x27 pixels"));
        assert_eq!(refusal(Architecture::Lenet { channels: 1 }, 16, 128), "");
        assert!(refusal(Architecture::Lenet { channels: 1 }, 15, 128).contains("LeNet-3C1L reads 16 to 128 pixels"));
    }

    #[test]
    fn a_network_with_an_empty_layer_is_refused() {
        let image = Shape { channels: 3, height: 32, width: 32 };
        let empty = [
            Architecture::Lenet { channels: 0 },
            Architecture::Vgg8 { channels: [1, 1, 1] },
            Architecture::Vgg8 { channels: [2, 0, 1] },
        ];
        for architecture in empty {
            let message = architecture.check(image).expect_err("an empty layer").to_string();
            assert!(message.starts_with("channels: a layer of") && message.contains("would have none"), "{message}");
        }
    }
}
