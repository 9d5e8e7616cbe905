//! The models inside the binary, so that one command serves something real.

use super::{RepositoryError, ServedModel};

/// Name and contents of each; all are version 1.
const MODELS: [(&str, &[u8]); 3] = [
    ("cifar10", include_bytes!("../../models/cifar10/1/model.onnx")),
    ("fashion-mnist", include_bytes!("../../models/fashion-mnist/1/model.onnx")),
    ("mnist", include_bytes!("../../models/mnist/1/model.onnx")),
];

pub(super) fn load() -> Result<Vec<ServedModel>, RepositoryError> {
    let load = |&(name, bytes)| {
        ServedModel::from_onnx(name, 1, bytes).map_err(|reason| RepositoryError::Embedded { name, reason })
    };
    MODELS.iter().map(load).collect()
}
