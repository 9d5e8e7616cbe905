//! Checkpoints: one safetensors file with every tensor of a run, and its state as metadata.
//!
//! Writes are atomic: a crash leaves the previous checkpoint.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use thiserror::Error;

use super::average::Average;
use super::optimiser::Sgd;
use super::{Epoch, Recipe};
use crate::file::write_whole;
use crate::model::{Network, bytes_of};

/// Key of the state in the file's metadata.
const STATE: &str = "anywidth.run";
/// Prefix of the optimiser's tensors.
const VELOCITY: &str = "velocity/";

/// Prefix of the averaged network's tensors.
const AVERAGE: &str = "average/";

/// The state of a run apart from its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Its recipe.
    pub recipe: Recipe,
    /// Completed steps.
    pub step: usize,
    /// Completed epochs.
    pub history: Vec<Epoch>,
    /// Sum of the losses of the current epoch.
    pub loss_sum: f64,
    /// Whether any step was computed on a GPU.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gpu: bool,
}

/// A loaded checkpoint.
#[derive(Debug)]
pub struct Checkpoint {
    /// The state of the run.
    pub state: State,
    /// Its network.
    pub network: Network,
    /// Its optimiser.
    pub sgd: Sgd,
    /// The average of its network, if the recipe has one.
    pub average: Option<Average>,
}

/// Why a checkpoint could not be written or read.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The file cannot be read.
    #[error("checkpoint {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file cannot be written, for example because the disk is full; the previous one is unchanged.
    #[error("checkpoint {} cannot be written; what was saved there before is kept", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not a checkpoint, or is truncated.
    #[error("checkpoint {}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The problem.
        reason: String,
    },
}

impl Checkpoint {
    /// Reads the file `path`.
    ///
    /// # Errors
    /// [`CheckpointError`] names what is missing or has another shape than in the recipe.
    pub fn load(path: &Path) -> Result<Checkpoint, CheckpointError> {
        let content = |reason: String| CheckpointError::Content { path: path.into(), reason };
        let bytes = fs::read(path).map_err(|source| CheckpointError::Read { path: path.into(), source })?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| content(error.to_string()))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| content(error.to_string()))?;
        let state = metadata.metadata().as_ref().and_then(|entries| entries.get(STATE));
        let state = state.ok_or_else(|| content(format!("no metadata {STATE:?}")))?;
        let state: State = serde_json::from_str(state).map_err(|error| content(format!("{STATE}: {error}")))?;

        state.recipe.check().map_err(|error| content(error.to_string()))?;
        let finished = state.history.len() == state.recipe.epochs;
        let network = if finished { state.recipe.finished_network() } else { state.recipe.network() };
        let sgd = Sgd::new(state.recipe.sgd, &network.parameters());
        // After recalibration, the network is the average.
        let average = state.recipe.average().filter(|_| !(finished && state.recipe.method.is_recalibrated()));
        for (name, tensor) in named(&network, (!finished).then_some(&sgd), average.as_ref()) {
            let view = tensors.tensor(&name).map_err(|error| content(format!("{name}: {error}")))?;
            let stored = Tensor::try_from(view).map_err(|error| content(format!("{name}: {error}")))?;
            if stored.size() != tensor.size() || stored.kind() != tensor.kind() {
                let [found, expected] = [&stored, &tensor].map(|t| format!("{:?} {:?}", t.kind(), t.size()));
                return Err(content(format!("{name}: {found}, expected {expected}")));
            }
            tch::no_grad(|| tensor.shallow_clone().copy_(&stored));
        }
        Ok(Checkpoint { state, network, sgd, average })
    }
}

/// Writes the file `path` atomically, and creates its folder if it is missing; includes the optimiser's state if steps
/// are left.
///
/// # Errors
/// [`CheckpointError::Write`] with the system's error.
pub fn save(
    path: &Path,
    state: &State,
    network: &Network,
    sgd: Option<&Sgd>,
    average: Option<&Average>,
) -> Result<(), CheckpointError> {
    let content = |reason: String| CheckpointError::Content { path: path.into(), reason };
    let json = serde_json::to_string(state).map_err(|error| content(error.to_string()))?;
    let stored: Vec<(String, Vec<usize>, tch::Kind, Vec<u8>)> =
        named(network, sgd, average).into_iter().map(|(name, tensor)| stored(name, &tensor)).collect();
    let mut views = Vec::new();
    for (name, shape, kind, bytes) in &stored {
        let kind = (*kind).try_into().map_err(|error| content(format!("{name}: {error}")))?;
        let view = TensorView::new(kind, shape.clone(), bytes).map_err(|error| content(format!("{name}: {error}")))?;
        views.push((name, view));
    }
    let metadata = Some(HashMap::from([(STATE.to_owned(), json)]));
    let bytes = safetensors::serialize(views, &metadata).map_err(|error| content(error.to_string()))?;
    write_whole(path, &bytes).map_err(|source| CheckpointError::Write { path: path.into(), source })
}

fn named(network: &Network, sgd: Option<&Sgd>, average: Option<&Average>) -> Vec<(String, Tensor)> {
    let of_network = network.tensors().into_iter().map(|(name, tensor)| (name, tensor.shallow_clone()));
    let of_sgd = sgd
        .map_or(&[][..], Sgd::tensors)
        .iter()
        .map(|(name, tensor)| (format!("{VELOCITY}{name}"), tensor.shallow_clone()));
    let averaged = average.map_or_else(Vec::new, |average| average.network().tensors());
    let of_average = averaged.into_iter().map(|(name, tensor)| (format!("{AVERAGE}{name}"), tensor.shallow_clone()));
    of_network.chain(of_sgd).chain(of_average).collect()
}

fn stored(name: String, tensor: &Tensor) -> (String, Vec<usize>, tch::Kind, Vec<u8>) {
    let size = tensor.size().iter().map(|&length| length as usize).collect();
    (name, size, tensor.kind(), bytes_of(tensor))
}
