//! Networks as graphs of layers, run at any width.
//!
//! One graph serves training, evaluation, slicing and ONNX export: each operation walks [`Graph::nodes`] in its own
//! file. Weights are stored in full and masked at every use, so gradients never fill the upper triangle. An
//! architecture is a file that builds a graph.

mod architecture;
mod cost;
pub mod graph;
mod layer;
pub mod lenet;
pub mod mlp;
pub mod mobilenet;
pub mod resnet;
mod rows;
mod slice;
pub mod start;
mod statistics;
pub mod vgg8;

use anywidth::engine::Width;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::data::Shape;
use crate::file::md5_of;

use layer::{Member, Role};

pub use architecture::{Architecture, Family};
pub use cost::Cost;
pub use graph::{Activation, Builder, Node, NodeId};
pub use layer::{BatchNorm, Classifier, Convolution, FanIn, Layer, Linear, Matrix, NormSet, Window};

/// The fan-in of a network's hidden layers, which decides its widths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// All channels, at full width only: a dense network.
    Dense,
    /// All active channels: a slimmable network, which shares weights between widths, but not activations.
    Sliced,
    /// The channels that exist at the narrowest width at which the row exists: an any-width network.
    Triangular,
}

/// The layers of a network with their parameters.
#[derive(Debug)]
pub struct Graph {
    /// The hidden layers in topological order; the first node is the image, the last gives the features.
    pub nodes: Vec<Node>,
    /// The last layer.
    pub classifier: Classifier,
}

/// The constants that normalize an image in 0..1 to mean 0 and standard deviation 1, by channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// Subtracted first.
    pub mean: Vec<f64>,
    /// Divided by second.
    pub std: Vec<f64>,
}

/// A network with its parameters.
#[derive(Debug)]
pub struct Network {
    /// The architecture it was built from.
    pub architecture: Architecture,
    /// The fan-in of its hidden layers.
    pub weights: Weights,
    /// The normalization of its input.
    pub normalisation: Normalisation,
    /// Its layers.
    pub graph: Graph,
}

/// Parameters of a forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// Whether BatchNorm uses the batch's statistics (and updates the running ones).
    pub training: bool,
    /// Number format of convolutions.
    pub precision: Kind,
}

/// A trained tensor.
#[derive(Debug)]
pub struct Parameter<'a> {
    /// Unique within the network.
    pub name: String,
    /// The tensor, a leaf of the autograd graph.
    pub tensor: &'a Tensor,
    /// The axis of the channels of a sliced layer, if there is one.
    pub channel_axis: Option<usize>,
    /// Whether weight decay applies.
    pub decays: bool,
}

impl Mode {
    /// Evaluation in single precision, as the exported file computes.
    pub const EVALUATION: Mode = Mode { training: false, precision: Kind::Float };
}

impl Network {
    /// A network with random weights, each row scaled for its fan-in.
    ///
    /// `kind` is the number format of its parameters. Deterministic in the seed, on every machine.
    ///
    /// # Panics
    /// If [`Architecture::check`] fails, or `classes` is zero.
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
        let graph = architecture.graph(Builder::new(image, weights, kind, &mut random), classes);
        Network { architecture, weights, normalisation, graph }
    }

    /// The shape of its input images.
    pub fn image(&self) -> Shape {
        self.graph.nodes[0].shape
    }

    /// The widths at which it is measured: evenly spaced, narrow to wide, ending with full width.
    pub fn widths(&self) -> Vec<Width> {
        match self.weights {
            Weights::Triangular | Weights::Sliced => self.architecture.widths(),
            Weights::Dense => vec![Width::FULL],
        }
    }

    /// The logits `[N, classes]` of `images` (`[N, C, H, W]` in 0..1) at `width`, computed by the network sliced to
    /// that width.
    ///
    /// # Panics
    /// If the network is dense and `width` is not full.
    pub fn logits(&self, images: &Tensor, width: Width, mode: Mode) -> Tensor {
        assert!(self.weights != Weights::Dense || width == Width::FULL, "a dense network at width {width}");
        self.graph.classifier.logits(&self.features(images, width, mode))
    }

    /// The logits at each of the ascending `widths`, `[widths, N, classes]`: in one pass for triangular weights,
    /// otherwise in a pass per width.
    ///
    /// Each row equals [`Network::logits`] at its width: the activations of a narrower triangular network are the first
    /// channels of a wider one's, and the last layer is a sum over channels.
    ///
    /// # Panics
    /// If the widths descend, or the network is dense and a width is not full.
    pub fn logits_at(&self, images: &Tensor, widths: &[Width], mode: Mode) -> Tensor {
        if self.weights != Weights::Triangular {
            let rows: Vec<Tensor> = widths.iter().map(|&width| self.logits(images, width, mode)).collect();
            return Tensor::stack(&rows, 0);
        }
        let counts: Vec<usize> = widths.iter().map(|width| width.active(self.channels())).collect();
        let widest = widths.last().copied().unwrap_or(Width::FULL);
        self.graph.classifier.logits_at(&self.features(images, widest, mode), &counts)
    }

    /// The logits at each of [`Network::widths`]: `[widths, N, classes]`.
    pub fn all_logits(&self, images: &Tensor, mode: Mode) -> Tensor {
        self.logits_at(images, &self.widths(), mode)
    }

    /// The device of its tensors, on which images must be.
    pub fn device(&self) -> Device {
        self.graph.classifier.weight.device()
    }

    /// Moves it to `device`; clears gradients.
    pub fn move_to(&mut self, device: Device) {
        let hidden = self.graph.nodes.iter_mut().flat_map(|node| node.layer.tensors_mut());
        for tensor in hidden.chain(self.graph.classifier.tensors_mut()) {
            *tensor = tensor.detach().to_device(device).set_requires_grad(tensor.requires_grad());
        }
    }

    /// Number of channels of the last hidden layer.
    pub fn channels(&self) -> usize {
        self.graph.classifier.channels()
    }

    /// The trained tensors, in the order of the layers.
    pub fn parameters(&self) -> Vec<Parameter<'_>> {
        let learned = self.members().into_iter().filter(|(_, member)| member.role != Role::Statistic);
        let parameter = |(axis, Member { name, tensor, role })| Parameter {
            name,
            tensor,
            channel_axis: axis,
            decays: role == Role::Weight,
        };
        learned.map(parameter).collect()
    }

    /// All tensors: the parameters, then the running statistics.
    pub fn tensors(&self) -> Vec<(String, &Tensor)> {
        let (statistics, learned): (Vec<_>, Vec<_>) =
            self.members().into_iter().partition(|(_, member)| member.role == Role::Statistic);
        learned.into_iter().chain(statistics).map(|(_, member)| (member.name, member.tensor)).collect()
    }

    /// The MD5 of all tensors, in hexadecimal, which identifies the network.
    pub fn md5(&self) -> String {
        let bytes: Vec<u8> = self.tensors().iter().flat_map(|(_, tensor)| bytes_of(tensor)).collect();
        md5_of(&bytes)
    }

    /// The tensors with their full names, and the axis of each that counts the channels of a sliced layer, if there is
    /// one.
    fn members(&self) -> Vec<(Option<usize>, Member<'_>)> {
        let hidden = self.graph.nodes.iter().flat_map(|node| {
            let full = |member: &Member<'_>| format!("{}.{}", node.name, member.name);
            node.layer.members().into_iter().map(move |member| (Some(0), Member { name: full(&member), ..member }))
        });
        let [weight, bias] = self.graph.classifier.members();
        let last = [(Some(1), weight), (None, bias)]
            .map(|(axis, member)| (axis, Member { name: format!("classifier.{}", member.name), ..member }));
        hidden.chain(last).collect()
    }

    fn features(&self, images: &Tensor, width: Width, mode: Mode) -> Tensor {
        self.graph.features(channels_last(&self.normalised(images)), width, mode)
    }

    fn normalised(&self, images: &Tensor) -> Tensor {
        let constants = |values: &[f64]| beside(images, values).view([1i64, -1, 1, 1]);
        (images - constants(&self.normalisation.mean)) / constants(&self.normalisation.std)
    }
}

/// The images in channels-last memory format, which convolves fastest.
fn channels_last(images: &Tensor) -> Tensor {
    images.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// The values of `tensor` as bytes, row-major.
pub(crate) fn bytes_of(tensor: &Tensor) -> Vec<u8> {
    let tensor = tensor.detach().to_device(Device::Cpu).contiguous();
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.copy_data_u8(&mut bytes, tensor.numel());
    bytes
}

/// These values as a tensor with the number format and device of `tensor`.
pub(crate) fn beside(tensor: &Tensor, values: &[f64]) -> Tensor {
    Tensor::from_slice(values).to_device(tensor.device()).to_kind(tensor.kind())
}
