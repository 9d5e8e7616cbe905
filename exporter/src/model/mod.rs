//! Networks as graphs of layers, run at any width.
//!
//! One graph serves training, evaluation, the slicing tests and the ONNX file: whoever needs a network walks
//! [`Graph::nodes`], one file for each such pass. Weights are held in full and masked when they are used, so a gradient can
//! never fill the upper triangle. An architecture is a file that builds a graph.

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
pub use graph::{Builder, Node, NodeId};
pub use layer::{BatchNorm, Classifier, Convolution, FanIn, Layer, Linear, Matrix, NormSet, Window};

/// What the hidden layers of a network read, and so which widths it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// Every channel, at full width only: an ordinary network.
    Dense,
    /// Every channel that is active: a slimmable network, which shares its weights among widths, but not its activations.
    Sliced,
    /// What exists at the narrowest width at which the row exists: an any-width network.
    Triangular,
}

/// The layers of a network with their parameters.
#[derive(Debug)]
pub struct Graph {
    /// The hidden layers, in an order in which they can run; the first node is the image, the last gives the features.
    pub nodes: Vec<Node>,
    /// The last layer.
    pub classifier: Classifier,
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
    /// What its hidden layers read.
    pub weights: Weights,
    /// What it does to an image first.
    pub normalisation: Normalisation,
    /// Its layers.
    pub graph: Graph,
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
        let graph = architecture.graph(Builder::new(image, weights, kind, &mut random), classes);
        Network { architecture, weights, normalisation, graph }
    }

    /// The shape of the images that it reads.
    pub fn image(&self) -> Shape {
        self.graph.nodes[0].shape
    }

    /// The widths at which it is measured, evenly spaced, narrow to wide, the last one full.
    pub fn widths(&self) -> Vec<Width> {
        match self.weights {
            Weights::Triangular | Weights::Sliced => self.architecture.widths(),
            Weights::Dense => vec![Width::FULL],
        }
    }

    /// The logits `[N, classes]` of `images` (`[N, C, H, W]` in 0..1) at `width`, from the sliced network.
    ///
    /// # Panics
    /// If the network is dense and `width` is not full.
    pub fn logits(&self, images: &Tensor, width: Width, mode: Mode) -> Tensor {
        assert!(self.weights != Weights::Dense || width == Width::FULL, "a dense network at width {width}");
        self.graph.classifier.logits(&self.features(images, width, mode))
    }

    /// The logits at each of the ascending `widths`, `[widths, N, classes]`: from one pass if the weights are triangular,
    /// otherwise from a pass at each width.
    ///
    /// Each row is what [`Network::logits`] gives at its width: the activations of a narrower triangular network are the first
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

    /// Where its tensors are, and so where the images have to be.
    pub fn device(&self) -> Device {
        self.graph.classifier.weight.device()
    }

    /// Moves it to `device`; its parameters lose their gradients.
    pub fn move_to(&mut self, device: Device) {
        let hidden = self.graph.nodes.iter_mut().flat_map(|node| node.layer.tensors_mut());
        for tensor in hidden.chain(self.graph.classifier.tensors_mut()) {
            *tensor = tensor.detach().to_device(device).set_requires_grad(tensor.requires_grad());
        }
    }

    /// Channels of the last hidden layer.
    pub fn channels(&self) -> usize {
        self.graph.classifier.channels()
    }

    /// What training changes, in the order in which the layers run.
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

    /// Every tensor that makes the network what it is: its parameters, then the running statistics.
    pub fn tensors(&self) -> Vec<(String, &Tensor)> {
        let (statistics, learned): (Vec<_>, Vec<_>) =
            self.members().into_iter().partition(|(_, member)| member.role == Role::Statistic);
        learned.into_iter().chain(statistics).map(|(_, member)| (member.name, member.tensor)).collect()
    }

    /// The MD5 of all its tensors, in hexadecimal: what tells two networks apart.
    pub fn md5(&self) -> String {
        let bytes: Vec<u8> = self.tensors().iter().flat_map(|(_, tensor)| bytes_of(tensor)).collect();
        md5_of(&bytes)
    }

    /// Its tensors with their full names, and which axis of each counts the channels of a sliced layer, if one does.
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
