//! What the server and its models say about themselves, for both encodings.

use std::collections::BTreeMap;

use super::outputs;
use crate::repository::ServedModel;
use crate::server::Service;

/// A model's metadata.
#[derive(Debug)]
pub(super) struct ModelMetadata {
    pub(super) name: String,
    pub(super) versions: Vec<String>,
    pub(super) inputs: Vec<TensorMetadata>,
    pub(super) outputs: Vec<TensorMetadata>,
    /// What only this server knows of a model, as texts.
    pub(super) properties: BTreeMap<String, String>,
}

/// A tensor of a model. A dimension of -1 is the batch.
#[derive(Debug)]
pub(super) struct TensorMetadata {
    pub(super) name: String,
    pub(super) datatype: &'static str,
    pub(super) shape: Vec<i64>,
}

/// A model of the repository.
#[derive(Debug)]
pub(super) struct IndexEntry {
    pub(super) name: String,
    pub(super) version: String,
    /// `READY` or `UNAVAILABLE`.
    pub(super) state: &'static str,
    /// Why it is unavailable.
    pub(super) reason: String,
}

/// The runtime, in the form in which Triton writes it.
pub(super) const PLATFORM: &str = "onnx_anywidth";

impl ModelMetadata {
    pub(super) fn of(service: &Service, served: &ServedModel) -> ModelMetadata {
        let (input, tensors) = (served.model.input(), served.model.tensors());
        let shape = [input.channels, input.height, input.width].map(|dim| dim as i64);
        let image =
            TensorMetadata { name: tensors.input.clone(), datatype: "FP32", shape: [&[-1], &shape[..]].concat() };
        let output = |(name, _): (&str, _)| TensorMetadata {
            name: name.to_owned(),
            datatype: "FP32",
            shape: vec![-1, served.model.classes() as i64],
        };
        let repository = service.repository();
        let versions = repository.by_name().find(|(name, _)| *name == served.name);
        let versions = versions.map_or(&[][..], |(_, versions)| versions);
        ModelMetadata {
            name: served.name.clone(),
            versions: versions.iter().map(|served| served.version.to_string()).collect(),
            inputs: vec![image],
            outputs: outputs::of(served).into_iter().map(output).collect(),
            properties: properties(served),
        }
    }
}

/// The widths, their accuracies, and what the tensors mean.
fn properties(served: &ServedModel) -> BTreeMap<String, String> {
    let (model, range) = (&served.model, served.input.preprocessing().range());
    let join = |texts: Vec<String>| texts.join(",");
    let mut properties = BTreeMap::from([
        ("widths".to_owned(), join(model.grid().iter().map(ToString::to_string).collect())),
        ("precision".to_owned(), model.precision().to_string()),
        ("range".to_owned(), format!("{},{}", range[0], range[1])),
    ]);
    let accuracy = &model.metadata().accuracy;
    if !accuracy.is_empty() {
        let pairs = accuracy.iter().map(|(width, accuracy)| format!("{width}:{accuracy}"));
        properties.insert("accuracy".to_owned(), join(pairs.collect()));
    }
    properties
}

/// All models of the repository; only those that can run, if so asked.
pub(super) fn index(service: &Service, only_ready: bool) -> Vec<IndexEntry> {
    let repository = service.repository();
    let ready = repository.all().map(|served| IndexEntry {
        name: served.name.clone(),
        version: served.version.to_string(),
        state: "READY",
        reason: String::new(),
    });
    let rejected = repository.rejected().iter().filter(|_| !only_ready).map(|rejected| {
        let (name, version) = rejected.path.split_once('/').unwrap_or((&rejected.path, ""));
        let (name, version, reason) = (name.to_owned(), version.to_owned(), rejected.reason.to_string());
        IndexEntry { name, version, state: "UNAVAILABLE", reason }
    });
    ready.chain(rejected).collect()
}
