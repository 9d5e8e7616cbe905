//! Networks as lists of layers, run at any width.
//!
//! One list serves training, evaluation, the slicing tests and the ONNX file: whoever needs a network walks
//! [`Network::layers`]. Weights are held in full and masked when they are used, so a gradient can never fill the
//! upper triangle.

mod layers;
pub mod lenet;

use anywidth::engine::Width;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::data::Shape;

pub use layers::{BatchNorm, Classifier, Convolution, Input, Layer};

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
        }
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
    /// If the images are too small for the network, or `classes` or a channel count is zero.
    pub fn new(
        architecture: Architecture,
        image: Shape,
        classes: usize,
        normalisation: Normalisation,
        seed: u64,
        kind: Kind,
    ) -> Network {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (layers, classifier) = match architecture {
            Architecture::Lenet { channels } => lenet::layers([channels; 3], image, classes, kind, &mut random),
        };
        Network { architecture, image, normalisation, layers, classifier }
    }

    /// The logits `[N, classes]` of `images` (`[N, C, H, W]` in 0..1) at `width`, from the sliced network.
    pub fn logits(&self, images: &Tensor, width: Width, mode: Mode) -> Tensor {
        self.classifier.logits(&self.features(images, width, mode))
    }

    /// The logits of every channel count of the last hidden layer from one pass: `[channels, N, classes]`.
    ///
    /// Row `n - 1` is what [`Network::logits`] gives at the width of `n` channels: the activations of a narrower
    /// network are the first channels of a wider one's, and the last layer is a sum over channels.
    pub fn all_logits(&self, images: &Tensor, mode: Mode) -> Tensor {
        self.classifier.running_logits(&self.features(images, Width::FULL, mode))
    }

    /// Channels of the last hidden layer: the number of rows of [`Network::all_logits`].
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

    fn features(&self, images: &Tensor, width: Width, mode: Mode) -> Tensor {
        let constants =
            |values: &[f64]| Tensor::from_slice(values).to_kind(images.kind()).view([1, values.len() as i64, 1, 1]);
        let normalised = (images - constants(&self.normalisation.mean)) / constants(&self.normalisation.std);
        self.layers.iter().fold(normalised, |input, layer| layer.forward(&input, width, mode))
    }
}
