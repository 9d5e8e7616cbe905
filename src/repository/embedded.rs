//! The models inside the binary, so that one command serves something real.

use super::{RepositoryError, ServedModel};

/// Name and contents of each; all are version 1.
const MODELS: [(&str, &[u8]); 0] = [];

pub(super) fn load() -> Result<Vec<ServedModel>, RepositoryError> {
    let load = |&(name, bytes)| {
        ServedModel::from_onnx(name, 1, bytes).map_err(|reason| RepositoryError::Embedded { name, reason })
    };
    MODELS.iter().map(load).collect()
}
