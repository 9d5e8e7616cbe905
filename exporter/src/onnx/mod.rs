//! The ONNX file of a network: opset 17, BatchNorm folded where it follows a convolution, exact
//! zeros above the triangles, the metadata of a server.
//!
//! Walks the network's list of layers; knows nothing of how it was trained. [`Exported`] is such a file read back.

mod exported;
mod graph;
mod metadata;

use prost::Message;
use tract_onnx::pb::{ModelProto, OperatorSetIdProto, StringStringEntryProto};

use crate::model::Network;

pub use exported::{Exported, Head, ReadError};
pub use metadata::{Metadata, Training};

/// ONNX operators as of 2021-12, which every runtime of the last years has.
const OPSET: i64 = 17;
/// The file format that came with that operator set.
const IR_VERSION: i64 = 8;

/// The bytes of the ONNX file of `network`.
pub fn model(network: &Network, metadata: &Metadata) -> Vec<u8> {
    let entries = metadata.entries().into_iter().map(|(key, value)| StringStringEntryProto { key: key.into(), value });
    let model = ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(tch::no_grad(|| graph::graph(network))),
        metadata_props: entries.collect(),
        ..ModelProto::default()
    };
    model.encode_to_vec()
}
