//! Edits the `metadata_props` of an ONNX file and keeps all other bytes unchanged.
//!
//! A protobuf message is a list of numbered fields. All fields except changed entries are copied verbatim, unknown fields
//! included.

use std::collections::BTreeMap;
use std::ops::Range;

use thiserror::Error;

/// The bytes are not a protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a readable ONNX file: it is truncated, or its fields are inconsistent")]
pub(super) struct Broken;

/// `ModelProto.metadata_props`, a list of `StringStringEntryProto`, whose `key` and `value` are fields 1 and 2.
const METADATA_PROPS: u64 = 14;
const KEY: u64 = 1;
const VALUE: u64 = 2;

/// Wire types: <https://protobuf.dev/programming-guides/encoding/>.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED32: u64 = 5;

/// The model file with these entries set, or removed where the value is `None`. Changed entries move to the end.
pub(super) fn changed(model: &[u8], changes: &BTreeMap<String, Option<String>>) -> Result<Vec<u8>, Broken> {
    let mut file = retain(model, |key| changes.keys().all(|changed| changed.as_bytes() != key))?;
    for (key, value) in changes {
        if let Some(value) = value {
            append(&mut file, key, value);
        }
    }
    Ok(file)
}

/// The model file without `metadata_props`: equal for two files of the same network.
pub(super) fn network(model: &[u8]) -> Result<Vec<u8>, Broken> {
    retain(model, |_| false)
}

/// The keys of all entries.
pub(super) fn keys(model: &[u8]) -> Result<Vec<Vec<u8>>, Broken> {
    let mut keys = vec![];
    retain(model, |key| {
        keys.push(key.to_vec());
        true
    })?;
    Ok(keys)
}

/// The file with only the entries whose keys satisfy `keep`.
fn retain(model: &[u8], mut keep: impl FnMut(&[u8]) -> bool) -> Result<Vec<u8>, Broken> {
    let mut file = Vec::with_capacity(model.len());
    let mut rest = 0;
    while rest < model.len() {
        let field = field(model, rest)?;
        let kept = match field.number {
            METADATA_PROPS if field.is_text => keep(key(&model[field.payload.clone()])?),
            _ => true,
        };
        if kept {
            file.extend_from_slice(&model[rest..field.payload.end]);
        }
        rest = field.payload.end;
    }
    Ok(file)
}

/// The key of an entry; empty if it has none.
fn key(entry: &[u8]) -> Result<&[u8], Broken> {
    let (mut key, mut rest) = (&entry[..0], 0);
    while rest < entry.len() {
        let field = field(entry, rest)?;
        if field.number == KEY && field.is_text {
            key = &entry[field.payload.clone()];
        }
        rest = field.payload.end;
    }
    Ok(key)
}

struct Field {
    number: u64,
    /// Whether the payload is a string, bytes or a message.
    is_text: bool,
    /// The payload's range, after tag and length.
    payload: Range<usize>,
}

/// The field that begins at `start`.
fn field(bytes: &[u8], start: usize) -> Result<Field, Broken> {
    let (tag, at) = varint(bytes, start)?;
    let (number, wire_type) = (tag >> 3, tag & 7);
    let (at, len) = match wire_type {
        VARINT => (at, varint(bytes, at)?.1 - at),
        FIXED64 => (at, 8),
        FIXED32 => (at, 4),
        LENGTH_DELIMITED => {
            let (len, at) = varint(bytes, at)?;
            (at, usize::try_from(len).map_err(|_| Broken)?)
        }
        _ => return Err(Broken),
    };
    let end = at.checked_add(len).filter(|&end| end <= bytes.len() && number != 0).ok_or(Broken)?;
    Ok(Field { number, is_text: wire_type == LENGTH_DELIMITED, payload: at..end })
}

/// Decodes a varint (7 bits per byte, least significant first). Returns the value and the offset after it.
fn varint(bytes: &[u8], start: usize) -> Result<(u64, usize), Broken> {
    let mut value = 0;
    for (index, &byte) in bytes.get(start..).unwrap_or_default().iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((value, start + index + 1));
        }
    }
    Err(Broken)
}

fn append(file: &mut Vec<u8>, key: &str, value: &str) {
    let mut entry = vec![];
    for (number, text) in [(KEY, key), (VALUE, value)] {
        append_field(&mut entry, number, text.as_bytes());
    }
    append_field(file, METADATA_PROPS, &entry);
}

fn append_field(message: &mut Vec<u8>, number: u64, payload: &[u8]) {
    append_varint(message, number << 3 | LENGTH_DELIMITED);
    append_varint(message, payload.len() as u64);
    message.extend_from_slice(payload);
}

fn append_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_onnx::OnnxFile;
    use proptest::prelude::*;
    use prost::Message;
    use tract_onnx::pb::{ModelProto, StringStringEntryProto};

    fn entries(file: &[u8]) -> Vec<(String, String)> {
        let model = ModelProto::decode(file).unwrap();
        model.metadata_props.into_iter().map(|entry| (entry.key, entry.value)).collect()
    }

    /// A field with a number unknown to ONNX.
    fn unknown_field() -> impl Strategy<Value = Vec<u8>> {
        (100u64..5000, prop::collection::vec(any::<u8>(), 0..20)).prop_map(|(number, payload)| {
            let mut field = vec![];
            append_field(&mut field, number, &payload);
            append_varint(&mut field, (number + 1) << 3 | VARINT);
            append_varint(&mut field, u64::MAX);
            field
        })
    }

    proptest! {
        #[test]
        fn changed_entries_are_there_once_and_the_others_are_as_they_were(
            before in prop::collection::vec(("[a-d]", ".{0,9}"), 0..6),
            changes in prop::collection::btree_map("[a-f]", prop::option::of(".{0,300}"), 0..4),
        ) {
            let mut model = OnnxFile::lenet([1, 16, 16], 4, 2).proto;
            for (key, value) in &before {
                model.metadata_props.push(StringStringEntryProto { key: key.clone(), value: value.clone() });
            }
            let mut expected: Vec<_> = before.into_iter().filter(|(key, _)| !changes.contains_key(key)).collect();
            expected.extend(changes.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))));
            prop_assert_eq!(entries(&changed(&model.encode_to_vec(), &changes).unwrap()), expected);
        }

        #[test]
        fn every_other_byte_stays(unknown in unknown_field(), value in ".{0,200}") {
            let mut bytes = unknown.clone();
            bytes.extend(OnnxFile::lenet([1, 16, 16], 4, 2).bytes());
            bytes.extend(&unknown);
            let change = |value| BTreeMap::from([("anywidth.labels".to_owned(), value)]);
            let with = changed(&bytes, &change(Some(value))).unwrap();
            prop_assert!(with.starts_with(&bytes));
            prop_assert_eq!(changed(&with, &change(None)).unwrap(), bytes.clone());
            prop_assert_eq!(network(&with).unwrap(), network(&bytes).unwrap());
        }

        #[test]
        fn any_bytes_are_copied_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(file) = changed(&bytes, &BTreeMap::new()) {
                prop_assert_eq!(file, bytes);
            }
        }
    }

    #[test]
    fn a_file_that_ends_early_is_refused() {
        let bytes = OnnxFile::lenet([1, 16, 16], 4, 2).bytes();
        assert_eq!(network(&bytes[..bytes.len() / 2]), Err(Broken));
        assert_eq!(network(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), Err(Broken));
    }
}
