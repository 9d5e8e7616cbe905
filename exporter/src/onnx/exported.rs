//! Reads a file that this program wrote: the inverse of the writer.
//!
//! The file must equal what the writer writes for the network to be filled, for images of any size, node by node and
//! shape by shape; otherwise the first difference is reported. Allocations are bounded by the caller's network, not by
//! the file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anywidth::engine::MAX_FILE_BYTES;
use prost::Message;
use serde::de::DeserializeOwned;
use tch::{Kind, Tensor};
use thiserror::Error;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto};

use super::graph::graph;
use super::metadata::{EPOCHS_DONE, LABELS, TRAINING};
use crate::data::Shape;
use crate::file::md5_of;
use crate::model::{Family, Graph, Layer, Matrix, Network, NodeId, NormSet, Normalisation, start};
use crate::train::{Origin, Recipe};

/// A model file written by this program.
#[derive(Debug)]
pub struct Exported {
    graph: GraphProto,
    labels: Vec<String>,
    recipe: Recipe,
    origin: Origin,
}

/// What happened to the last layer of a filled network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// Replaced by the file's.
    Kept,
    /// This many rows, of classes with the same name, are the file's; the others are unchanged.
    Partly(usize),
    /// Unchanged: the file has other classes.
    OtherClasses,
    /// Unchanged: the file's last layer reads maps of another size, because its images have another size.
    OtherMaps,
}

/// Why a file's weights cannot be used.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot be read")]
    Io(#[from] std::io::Error),
    /// The file is larger than the server accepts.
    #[error("has more than {MAX_FILE_BYTES} bytes, the maximum")]
    TooLarge,
    /// Not an ONNX file, or a truncated one.
    #[error("is not an ONNX file, or is truncated")]
    NotOnnx(#[from] prost::DecodeError),
    /// Written or changed by another program.
    #[error("was not written by this exporter: {0}")]
    Foreign(String),
    /// A file of another network.
    #[error("{what} is {found}, but {expected} is to be trained{hint}")]
    Other {
        /// The property that differs.
        what: &'static str,
        /// The file's value.
        found: String,
        /// The network's value.
        expected: String,
        /// A hint, if there is one.
        hint: String,
    },
}

impl Exported {
    /// Reads the file `path`.
    ///
    /// # Errors
    /// [`ReadError`] if the file is missing, or was not written by this program.
    pub fn read(path: &Path) -> Result<Exported, ReadError> {
        let path = path.canonicalize()?;
        let mut bytes = Vec::new();
        File::open(&path)?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > MAX_FILE_BYTES {
            return Err(ReadError::TooLarge);
        }
        let model = ModelProto::decode(bytes.as_slice())?;
        let training: serde_json::Value = entry(&model, TRAINING)?;
        let epochs_done = training.get(EPOCHS_DONE).and_then(serde_json::Value::as_u64);
        let recipe: Recipe =
            serde_json::from_value(training).map_err(|error| ReadError::Foreign(format!("{TRAINING}: {error}")))?;
        let labels = entry(&model, LABELS)?;
        let graph = model.graph.ok_or_else(|| ReadError::Foreign("it has no graph".into()))?;
        let before = recipe.start.model.as_ref().map_or(0, |origin| origin.epochs);
        let origin = Origin {
            file: short_name(&path),
            md5: md5_of(&bytes),
            data: recipe.dataset.title(),
            epochs: epochs_done.map_or(recipe.epochs, |done| done as usize).saturating_add(before),
            normalisation: normalisation(&graph, recipe.dataset.shape().channels)?,
        };
        Ok(Exported { graph, labels, recipe, origin })
    }

    /// How the file's network was trained.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The description of the file in a recipe.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Fills `network`, whose classes are `labels`, with the file's weights. For images of the file's size, it then
    /// computes in evaluation what the file computes, up to the last layer if that is not kept. For other sizes, it has
    /// the same convolutions; [`Exported::fit`] adapts the stem.
    ///
    /// # Errors
    /// [`ReadError`] names the first difference; `network` may be partly filled.
    pub fn fill(&self, network: &Network, labels: &[String]) -> Result<Head, ReadError> {
        let source = self.network(network)?;
        let theirs = |label: &String| self.labels.iter().position(|known| known == label);
        let rows: Vec<_> = labels.iter().enumerate().filter_map(|(row, label)| Some((row, theirs(label)?))).collect();
        let head = self.head(network, labels, rows.len())?;
        if matches!(head, Head::Kept | Head::Partly(_)) {
            let [_, channels, positions] = network.graph.classifier.weight.size()[..] else {
                unreachable!("three axes")
            };
            let classes = self.labels.len() as i64;
            let weight = self.tensor("classifier.weight", &[classes, channels * positions])?;
            let weight = weight.view([classes, channels, positions]);
            let bias = self.tensor("classifier.bias", &[classes])?;
            for (ours, theirs) in rows.into_iter().map(|(ours, theirs)| (ours as i64, theirs as i64)) {
                copy(&network.graph.classifier.weight.get(ours), &weight.get(theirs));
                copy(&network.graph.classifier.bias.get(ours), &bias.get(theirs));
            }
        }
        start::transfer(&source, network);
        Ok(head)
    }

    /// Fits the first convolution of the filled `network` to that of the file, by their outputs on `images` (`[N, C, H,
    /// W]` in 0..1) at each network's size. Does nothing if the strides are equal.
    ///
    /// # Errors
    /// See [`Exported::fill`].
    pub fn fit(&self, network: &Network, images: &Tensor) -> Result<(), ReadError> {
        start::fit_stem(&self.network(network)?, network, images);
        Ok(())
    }

    /// The shape of the images that the file's network reads.
    pub fn image(&self) -> Shape {
        self.recipe.dataset.shape()
    }

    /// The file's hidden layers in a network like `network`, for the file's image size and with another last layer.
    fn network(&self, network: &Network) -> Result<Network, ReadError> {
        self.check_kind(network)?;
        let (image, normalisation) = (self.image(), self.origin.normalisation.clone());
        let architecture = network.architecture;
        architecture.check(image).map_err(|error| ReadError::Foreign(error.to_string()))?;
        let source = Network::new(architecture, network.weights, image, 1, normalisation, 0, Kind::Float);
        self.check_graph(&source)?;
        tch::no_grad(|| (0..source.graph.nodes.len()).try_for_each(|id| self.fill_node(&source.graph, id)))?;
        Ok(source)
    }

    /// Sets the layer `id` of `graph` and the normalization after it from the file's folded weights.
    fn fill_node(&self, graph: &Graph, id: NodeId) -> Result<(), ReadError> {
        let node = &graph.nodes[id];
        match (&node.layer, node.layer.matrix(), graph.folded_norm(id)) {
            (_, Some(matrix), Some((_, norm))) => {
                let bias = self.tensor(&format!("{}.bias", node.name), &norm.full().beta.size())?;
                matrix.unfold(norm, &self.weight(&node.name, matrix)?, &bias);
            }
            (_, Some(matrix), None) => copy(&matrix.values, &self.weight(&node.name, matrix)?),
            (Layer::Norm(norm), ..) => match graph.folded_norm(node.inputs[0]) {
                Some((folded, _)) if folded == id => {}
                _ => self.fill_norm(&node.name, norm.full())?,
            },
            _ => {}
        }
        Ok(())
    }

    /// Fills the last layer of `network`, which has `shared` classes in common with the file.
    fn head(&self, network: &Network, labels: &[String], shared: usize) -> Result<Head, ReadError> {
        if shared == 0 {
            return Ok(Head::OtherClasses);
        }
        let [_, channels, positions] = network.graph.classifier.weight.size()[..] else { unreachable!("three axes") };
        let found = self.graph.initializer.iter().find(|tensor| tensor.name == "classifier.weight");
        let found = found.ok_or_else(|| ReadError::Foreign("classifier.weight is missing".into()))?;
        if network.image() != self.image() && found.dims != [self.labels.len() as i64, channels * positions] {
            return Ok(Head::OtherMaps);
        }
        Ok(if self.labels == labels { Head::Kept } else { Head::Partly(shared) })
    }

    /// Checks that the file has the architecture of `network`, for images with as many channels.
    fn check_kind(&self, network: &Network) -> Result<(), ReadError> {
        let (ours, theirs) = (network.architecture, self.recipe.architecture);
        if ours != theirs {
            let [found, expected] = [theirs, ours].map(|one| format!("{} with {}", one.name(), one.size()));
            let flags = theirs.flags();
            return Err(ReadError::Other {
                what: "its network",
                found,
                expected,
                hint: format!(" (to train the file's: {flags})"),
            });
        }
        let (ours, theirs) = (network.image(), self.image());
        if ours != theirs && network.architecture.family() == Family::Mlp {
            let [found, expected] = [theirs, ours].map(|shape| shape.to_string());
            let hint = ": the first layer of an MLP reads every pixel, of images of one size".into();
            return Err(ReadError::Other { what: "the image that it reads", found, expected, hint });
        }
        if ours.channels != theirs.channels {
            let [found, expected] = [theirs, ours].map(|shape| shape.to_string());
            let hint = ": images of another size will do, grey ones for coloured ones will not".into();
            return Err(ReadError::Other { what: "the image that it reads", found, expected, hint });
        }
        Ok(())
    }

    /// Checks that the file's graph is what the writer makes of `network`, except for values and the number of classes.
    fn check_graph(&self, network: &Network) -> Result<(), ReadError> {
        let expected = tch::no_grad(|| graph(network));
        let mut pairs = self.graph.node.iter().zip(&expected.node);
        let different = pairs.find(|(found, expected)| found != expected).map(|(_, expected)| expected.name.as_str());
        match different {
            Some(node) => Err(ReadError::Foreign(format!("node {node} is another"))),
            None if self.graph.node.len() != expected.node.len() => {
                let [found, expected] = [self.graph.node.len(), expected.node.len()];
                Err(ReadError::Foreign(format!("it has {found} nodes, expected {expected}")))
            }
            None if self.graph.input != expected.input => Err(ReadError::Foreign("its input is another".into())),
            None => Ok(()),
        }
    }

    fn fill_norm(&self, node: &str, norm: &NormSet) -> Result<(), ReadError> {
        for (what, tensor) in norm.tensors() {
            let name = format!("{node}.{what}");
            let found = self.tensor(&name, &tensor.size())?;
            if name.ends_with(".variance") && found.min().double_value(&[]) < 0.0 {
                return Err(ReadError::Foreign(format!("{name} has a negative number")));
            }
            copy(tensor, &found);
        }
        Ok(())
    }

    /// The weights of the layer `node`; fails if one above the triangle is not zero.
    fn weight(&self, node: &str, matrix: &Matrix) -> Result<Tensor, ReadError> {
        let name = format!("{node}.weight");
        let size = matrix.values.size();
        // Linear layers are written as matrices.
        let written =
            if let [rows, columns, positions] = size[..] { vec![rows, columns * positions] } else { size.clone() };
        let weight = self.tensor(&name, &written)?.view(size.as_slice());
        let above: Tensor = 1.0 - &matrix.mask;
        if (&weight * above).abs().max().double_value(&[]) > 0.0 {
            return Err(ReadError::Foreign(format!("{name} has weights above the triangle, as a dense network has")));
        }
        Ok(weight)
    }

    fn tensor(&self, name: &str, size: &[i64]) -> Result<Tensor, ReadError> {
        tensor(&self.graph, name, size)
    }
}

/// The metadata entry `key`, parsed as JSON.
fn entry<T: DeserializeOwned>(model: &ModelProto, key: &str) -> Result<T, ReadError> {
    let found = model.metadata_props.iter().find(|entry| entry.key == key);
    let entry = found.ok_or_else(|| ReadError::Foreign(format!("it has no metadata {key:?}")))?;
    serde_json::from_str(&entry.value).map_err(|error| ReadError::Foreign(format!("{key}: {error}")))
}

fn normalisation(graph: &GraphProto, channels: usize) -> Result<Normalisation, ReadError> {
    let constants = |name| -> Result<Vec<f64>, ReadError> {
        let values = tensor(graph, name, &[1, channels as i64, 1, 1])?;
        let values: Vec<f32> = Vec::try_from(values.view([-1])).expect("a flat tensor of floats");
        Ok(values.into_iter().map(shortest).collect())
    };
    let (mean, std) = (constants("mean")?, constants("std")?);
    if std.iter().any(|&deviation| deviation <= 0.0) {
        return Err(ReadError::Foreign("std is not above 0".into()));
    }
    Ok(Normalisation { mean, std })
}

/// The shortest decimal that gives this number in single precision: the value originally written.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// The weights `name`; fails unless they have this `size` and are finite.
fn tensor(graph: &GraphProto, name: &str, size: &[i64]) -> Result<Tensor, ReadError> {
    let foreign = |reason: &str| ReadError::Foreign(format!("{name} {reason}"));
    let found = graph.initializer.iter().find(|tensor| tensor.name == name).ok_or_else(|| foreign("is missing"))?;
    let TensorProto { dims, data_type, raw_data, .. } = found;
    if dims != size {
        return Err(foreign(&format!("is {dims:?}, expected {size:?}")));
    }
    if *data_type != DataType::Float as i32 || raw_data.len() as i64 != 4 * size.iter().product::<i64>() {
        return Err(foreign("is not stored as 32-bit floats"));
    }
    let values = raw_data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect::<Vec<f32>>();
    if !values.iter().all(|value| value.is_finite()) {
        return Err(foreign("has a value that is not a number"));
    }
    Ok(Tensor::from_slice(&values).to_kind(Kind::Float).view(size))
}

fn copy(to: &Tensor, from: &Tensor) {
    tch::no_grad(|| to.shallow_clone().copy_(from));
}

/// `<model>/<version>/model.onnx` for a file in a model folder, otherwise the file's name.
fn short_name(path: &Path) -> String {
    let mut parts: Vec<_> = path.iter().rev().take(3).map(|part| part.to_string_lossy()).collect();
    let in_models = parts.len() == 3 && parts[1].parse::<u64>().is_ok();
    parts.truncate(if in_models { 3 } else { 1 });
    parts.reverse();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_by_its_model_and_version_where_it_has_them() {
        assert_eq!(short_name(Path::new("/home/a/models/cifar10/1/model.onnx")), "cifar10/1/model.onnx");
        assert_eq!(short_name(Path::new("/home/a/downloads/model.onnx")), "model.onnx");
    }

    #[test]
    fn what_was_written_as_a_short_decimal_is_read_as_one() {
        for value in [0.4914, 0.2435, 0.3081, 0.25] {
            assert_eq!(shortest(value as f32), value);
        }
    }
}
