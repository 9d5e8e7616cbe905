//! ONNX export: opset 17, BatchNorm folded where it follows a convolution, exact zeros above the triangles, and the
//! server's metadata.
//!
//! Must not know training. [`Exported`] reads such a file.

mod exported;
mod graph;
mod metadata;

use prost::Message;
use tract_onnx::pb::{ModelProto, OperatorSetIdProto, StringStringEntryProto};

use crate::model::Network;

pub use exported::{Exported, Head, ReadError};
pub use metadata::{Metadata, Training};

/// ONNX operators of December 2021, supported by every current runtime.
const OPSET: i64 = 17;
/// The file format version of that operator set.
const IR_VERSION: i64 = 8;

/// The ONNX file of `network`.
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
