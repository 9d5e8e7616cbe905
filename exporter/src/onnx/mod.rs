//! ONNX export: opset 17, BatchNorm folded where it follows a convolution, exact zeros above the triangles, and the
//! server's metadata.
//!
//! Must not know training. [`Exported`] reads such a file.

mod exported;
mod graph;
mod metadata;

use std::collections::BTreeMap;

use anywidth::engine::{Evaluation, GainTable, Precision, Width};
use prost::Message;
use tract_onnx::pb::{ModelProto, OperatorSetIdProto, StringStringEntryProto};

use crate::model::Network;
use metadata::{json, measured, rounded};

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

/// A file of this program with other measurements of its validation split: the accuracy and temperature at each of `widths`,
/// and the gain table, from so many images.
///
/// # Errors
/// When `bytes` are not an ONNX file.
pub fn remeasured(
    bytes: &[u8],
    (widths, accuracy, temperature): (&[Width], &[f64], &[f64]),
    gain: &GainTable,
    images: u64,
) -> Result<Vec<u8>, prost::DecodeError> {
    let evaluation = Evaluation { split: "validation".into(), images };
    let (accuracy, temperature) = (by_width(widths, accuracy), by_width(widths, temperature));
    with_entries(bytes, measured(&accuracy, &temperature, Some(gain), &evaluation))
}

/// A file of this program with the accuracies at each of `widths` by precisions other than `f32`; without them if there are none.
///
/// # Errors
/// When `bytes` are not an ONNX file.
pub fn with_precisions(
    bytes: &[u8],
    widths: &[Width],
    accuracies: &[(Precision, Vec<f64>)],
) -> Result<Vec<u8>, prost::DecodeError> {
    let curves: BTreeMap<&str, _> =
        accuracies.iter().map(|(precision, accuracy)| (precision.name(), by_width(widths, accuracy))).collect();
    let mut model = ModelProto::decode(bytes)?;
    model.metadata_props.retain(|entry| entry.key != PRECISION);
    let entry = (!curves.is_empty()).then(|| (PRECISION, json(&curves)));
    with_entries(&model.encode_to_vec(), entry)
}

/// Key of the accuracies by precision.
const PRECISION: &str = "anywidth.precision";

fn by_width(widths: &[Width], values: &[f64]) -> Vec<(Width, f64)> {
    widths.iter().copied().zip(values.iter().copied().map(rounded)).collect()
}

fn with_entries(
    bytes: &[u8],
    entries: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<Vec<u8>, prost::DecodeError> {
    let mut model = ModelProto::decode(bytes)?;
    for (key, value) in entries {
        match model.metadata_props.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => entry.value = value,
            None => model.metadata_props.push(StringStringEntryProto { key: key.into(), value }),
        }
    }
    Ok(model.encode_to_vec())
}
