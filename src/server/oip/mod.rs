//! The Open Inference Protocol, version 2, as Triton, KServe and their clients speak it.
//!
//! [`rest`] and [`grpc`] read and write the two encodings. What they carry is the same for both: an [`InferRequest`] becomes the
//! images of a [`Job`](crate::scheduler::Job), and [`infer`] the tensors of their answers. Like `/classify`, a request may name its
//! width, budget and the rest of [`request`](super::request).

mod describe;
mod grpc;
mod infer;
mod outputs;
mod parameters;
mod rest;
mod statistics;
mod tensor;

pub(super) use grpc::{Health, routes as grpc_routes};
pub(super) use rest::routes as rest_routes;

use std::sync::Arc;

use super::Service;
use super::error::ApiError;
use crate::repository::ServedModel;
use infer::infer;
use outputs::{OutputData, OutputTensor, RequestedOutput};
use tensor::{Contents, InputTensor};

/// A request to run a model.
#[derive(Debug, Default)]
struct InferRequest {
    /// The caller's name for the request, which the answer repeats; empty if there is none.
    id: String,
    /// Names and values, in the caller's order.
    parameters: Vec<(String, Scalar)>,
    inputs: Vec<InputTensor>,
    /// The outputs to return; none for all of them.
    outputs: Vec<RequestedOutput>,
    /// Whether all outputs are binary unless they say otherwise.
    binary_outputs: bool,
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq)]
enum Scalar {
    Bool(bool),
    Integer(i64),
    Number(f64),
    Text(String),
}

/// The tensor extensions that the server understands, under their names in the protocol.
const EXTENSIONS: [&str; 6] =
    ["binary_tensor_data", "classification", "model_configuration", "model_repository", "parameters", "statistics"];
/// The name that the server gives itself.
const SERVER: &str = "anywidth";
/// Maximum number of parameters, inputs or outputs of a request.
const MAX_ENTRIES: usize = 64;

impl Service {
    /// A model by its name and version, as the protocol writes them: an empty version is the default.
    fn model(&self, name: &str, version: &str) -> Result<Arc<ServedModel>, ApiError> {
        let unknown = || ApiError::BadInferRequest { reason: format!("the version {version:?} is not a whole number") };
        let version = match version {
            "" => None,
            version => Some(version.parse().map_err(|_| unknown())?),
        };
        Ok(self.repository().find(Some(name), version)?.clone())
    }
}

/// The error of a request that cannot be read.
fn unreadable(reason: impl Into<String>) -> ApiError {
    ApiError::BadInferRequest { reason: reason.into() }
}
