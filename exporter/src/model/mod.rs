//! Networks as lists of layers, run at any width.
//!
//! One list serves training, evaluation, the slicing tests and the ONNX file: whoever needs a network walks
//! [`Network::layers`]. Weights are held in full and masked when they are used, so a gradient can never fill the
//! upper triangle.

mod cost;
mod layers;
pub mod lenet;
mod rows;
pub mod start;
pub mod vgg8;

use anywidth::engine::Width;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::data::Shape;
use crate::file::md5_of;

pub use cost::Cost;
pub use layers::{BatchNorm, Classifier, Convolution, Layer, Weights, Window};

/// Which network, and how large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "kebab-case")]
pub enum Architecture {
    /// Three convolutions and a linear layer (LeNet-3C1L).
    #[serde(rename = "lenet-3c1l")]
    Lenet {
        /// Channels of every hidden layer.
        channels: usize,
    },
    /// Seven convolutions and a linear layer (vgg-8); two more convolutions for each extra stage of large images.
    #[serde(rename = "vgg-8")]
    Vgg8 {
        /// Channels of the three stages; extra ones have the third's.
        channels: [usize; 3],
    },
}

/// The constants that bring an image in 0..1 to mean 0 and deviation 1, for each image channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// Subtracted first.
    pub mean: Vec<f64>,
    /// Divided by then.
    pub std: Vec<f64>,
}

/// A network with its parameters.
#[derive(Debug)]
pub struct Network {
    /// What it was built from.
    pub architecture: Architecture,
    /// What its hidden layers read; a dense network can be run at full width only.
    pub weights: Weights,
    /// The shape of the images that it reads.
    pub image: Shape,
    /// What it does to an image first.
    pub normalisation: Normalisation,
    /// The hidden layers, in the order in which they run.
    pub layers: Vec<Layer>,
    /// The last layer.
    pub classifier: Classifier,
}

/// How a pass is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// Does BatchNorm use the batch's own statistics (and move its running ones towards them)?
    pub training: bool,
    /// What the convolutions compute in.
    pub precision: Kind,
}

/// A tensor that training changes.
#[derive(Debug)]
pub struct Parameter<'a> {
    /// Unique within the network.
    pub name: String,
    /// The tensor itself, a leaf of the gradient's graph.
    pub tensor: &'a Tensor,
    /// Which of its axes counts the channels of a sliced layer, if one does.
    pub channel_axis: Option<usize>,
    /// Is it pulled towards zero by weight decay?
    pub decays: bool,
}

impl Architecture {
    /// The name in model cards.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::Lenet { .. } => "LeNet-3C1L",
            Architecture::Vgg8 { .. } => "vgg-8",
        }
    }

    /// Its size in model cards, as in "with 45 channels in every hidden layer".
    pub fn size(self) -> String {
        match self {
            Architecture::Lenet { channels } => format!("{channels} channels in every hidden layer"),
            Architecture::Vgg8 { channels: [first, second, third] } => {
                format!("{first}, {second} and {third} channels in its three stages")
            }
        }
    }

    /// The flags of `exporter train` that ask for it.
    pub fn flags(self) -> String {
        match self {
            Architecture::Lenet { channels } => format!("--network lenet-3c1l --channels {channels}"),
            Architecture::Vgg8 { channels: [first, second, third] } => {
                format!("--network vgg-8 --channels {first},{second},{third}")
            }
        }
    }

    /// Can there be such a network for images of shape `image`?
    ///
    /// # Errors
    /// A message that names the size or the count that is out of range.
    pub fn check(self, image: Shape) -> Result<(), String> {
        let (sides, channels) = match self {
            Architecture::Lenet { channels } => (lenet::SIDES, [channels; 3]),
            // The stem has half of the first.
            Architecture::Vgg8 { channels: [first, second, third] } => (vgg8::SIDES, [first / 2, second, third]),
        };
        let (name, (least, most)) = (self.name(), (sides.start(), sides.end()));
        if !sides.contains(&image.height) || !sides.contains(&image.width) {
            let (rows, columns) = (image.height, image.width);
            return Err(format!("images of {columns}x{rows} pixels: {name} reads {least} to {most} pixels a side"));
        }
        if channels.contains(&0) {
            return Err(format!("channels: a layer of {name} would have none, with {}", self.size()));
        }
        Ok(())
    }

    /// The widths of an any-width network, evenly spaced, narrow to wide, the last one full.
    pub fn widths(self) -> Vec<Width> {
        let count = match self {
            Architecture::Lenet { channels } => channels,
            Architecture::Vgg8 { .. } => vgg8::WIDTHS,
        };
        (1..=count).map(|step| Width::of_channels(step, count)).collect()
    }
}

impl Mode {
    /// Evaluation in single precision: what the exported file does.
    pub const EVALUATION: Mode = Mode { training: false, precision: Kind::Float };
}

impl Network {
    /// A network with random weights, each row drawn for its own number of inputs.
    ///
    /// `kind` is what its parameters are held in. The same seed gives the same network on every machine.
    ///
    /// # Panics
    /// If [`Architecture::check`] finds something wrong, or `classes` is zero.
    pub fn new(
        architecture: Architecture,
        weights: Weights,
        image: Shape,
        classes: usize,
        normalisation: Normalisation,
        seed: u64,
        kind: Kind,
    ) -> Network {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (layers, classifier) = match architecture {
            Architecture::Lenet { channels } => {
                lenet::layers([channels; 3], image, classes, weights, kind, &mut random)
            }
            Architecture::Vgg8 { channels } => vgg8::layers(channels, image, classes, weights, kind, &mut random),
        };
        Network { architecture, weights, image, normalisation, layers, classifier }
    }

    /// The widths at which it is trained and measured, evenly spaced, narrow to wide, the last one full.
    pub fn widths(&self) -> Vec<Width> {
        match self.weights {
            Weights::Triangular => self.architecture.widths(),
            Weights::Dense => vec![Width::FULL],
        }
    }

    /// The logits `[N, classes]` of `images` (`[N, C, H, W]` in 0..1) at `width`, from the sliced network.
    ///
    /// # Panics
    /// If the network is dense and `width` is not full.
    pub fn logits(&self, images: &Tensor, width: Width, mode: Mode) -> Tensor {
        assert!(self.weights == Weights::Triangular || width == Width::FULL, "a dense network at width {width}");
        self.classifier.logits(&self.features(images, width, mode))
    }

    /// The logits at each of [`Network::widths`] from one pass: `[widths, N, classes]`.
    ///
    /// Each row is what [`Network::logits`] gives at its width: the activations of a narrower network are the first
    /// channels of a wider one's, and the last layer is a sum over channels.
    pub fn all_logits(&self, images: &Tensor, mode: Mode) -> Tensor {
        let last = |width: &Width| width.active(self.channels()) as i64 - 1;
        let rows: Vec<i64> = self.widths().iter().map(last).collect();
        let running = self.classifier.running_logits(&self.features(images, Width::FULL, mode));
        running.index_select(0, &Tensor::from_slice(&rows).to_device(running.device()))
    }

    /// Where its tensors are, and so where the images have to be.
    pub fn device(&self) -> Device {
        self.classifier.weight.device()
    }

    /// Moves it to `device`; its parameters lose their gradients.
    pub fn move_to(&mut self, device: Device) {
        self.layers.iter_mut().for_each(|layer| layer.move_to(device));
        self.classifier.move_to(device);
    }

    /// Channels of the last hidden layer.
    pub fn channels(&self) -> usize {
        self.classifier.channels()
    }

    /// What training changes, in the order in which the layers run.
    pub fn parameters(&self) -> Vec<Parameter<'_>> {
        self.layers.iter().flat_map(Layer::parameters).chain(self.classifier.parameters()).collect()
    }

    /// Every tensor that makes the network what it is: its parameters and BatchNorm's running statistics.
    pub fn tensors(&self) -> Vec<(String, &Tensor)> {
        let parameters = self.parameters().into_iter().map(|parameter| (parameter.name, parameter.tensor));
        parameters.chain(self.layers.iter().flat_map(Layer::buffers)).collect()
    }

    /// The MD5 of all its tensors, in hexadecimal: what tells two networks apart.
    pub fn md5(&self) -> String {
        let bytes: Vec<u8> = self.tensors().iter().flat_map(|(_, tensor)| bytes_of(tensor)).collect();
        md5_of(&bytes)
    }

    fn features(&self, images: &Tensor, width: Width, mode: Mode) -> Tensor {
        let images = channels_last(&self.normalised(images));
        self.layers.iter().fold(images, |input, layer| layer.forward(&input, width, mode))
    }

    fn normalised(&self, images: &Tensor) -> Tensor {
        let constants = |values: &[f64]| beside(images, values).view([1i64, -1, 1, 1]);
        (images - constants(&self.normalisation.mean)) / constants(&self.normalisation.std)
    }
}

/// The same images, with the channels of a pixel side by side in memory, which is what convolves them fastest.
fn channels_last(images: &Tensor) -> Tensor {
    images.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// The values of `tensor` in rows, as they lie in memory.
pub(crate) fn bytes_of(tensor: &Tensor) -> Vec<u8> {
    let tensor = tensor.detach().to_device(Device::Cpu).contiguous();
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.copy_data_u8(&mut bytes, tensor.numel());
    bytes
}

/// These values as a tensor of the kind and on the device of `tensor`.
pub(crate) fn beside(tensor: &Tensor, values: &[f64]) -> Tensor {
    Tensor::from_slice(values).to_device(tensor.device()).to_kind(tensor.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_a_network_cannot_read_are_refused_with_those_that_it_can() {
        let vgg8 = Architecture::Vgg8 { channels: [2, 1, 1] };
        let refusal = |architecture: Architecture, height, width| {
            architecture.check(Shape { channels: 3, height, width }).err().unwrap_or_default()
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
            let message = architecture.check(image).expect_err("an empty layer");
            assert!(message.starts_with("channels: a layer of") && message.contains("would have none"), "{message}");
        }
    }
}
