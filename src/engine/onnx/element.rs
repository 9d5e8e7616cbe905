//! The number types of a file: encoding and names.

use super::tensor::{Data, Int};

/// ONNX's code for float32, the type of images and weights.
pub(super) const FLOAT: i32 = 1;
pub(super) const DOUBLE: i32 = 11;
pub(super) const FLOAT16: i32 = 10;
pub(super) const BFLOAT16: i32 = 16;
const UINT8: i32 = 2;
const INT8: i32 = 3;
const UINT16: i32 = 4;
const INT16: i32 = 5;
const INT32: i32 = 6;
const INT64: i32 = 7;
const TEXT: i32 = 8;
const BOOL: i32 = 9;
const UINT32: i32 = 12;
const UINT64: i32 = 13;

/// How to convert other types to float32.
pub(super) const TO_FLOAT32: &str = "float32 is: convert the network with model.float() and export it again";

/// The encoding of a number.
#[derive(Clone, Copy)]
pub(super) enum Element {
    F32,
    F64,
    /// With this number of bytes.
    Signed(usize),
    Unsigned(usize),
}

/// The encoding of a type, or what is supported instead.
pub(super) fn element(data_type: i32) -> Result<Element, &'static str> {
    match data_type {
        FLOAT => Ok(Element::F32),
        DOUBLE => Ok(Element::F64),
        INT64 => Ok(Element::Signed(8)),
        INT32 => Ok(Element::Signed(4)),
        INT16 => Ok(Element::Signed(2)),
        INT8 => Ok(Element::Signed(1)),
        UINT64 => Ok(Element::Unsigned(8)),
        UINT32 => Ok(Element::Unsigned(4)),
        UINT16 => Ok(Element::Unsigned(2)),
        UINT8 | BOOL => Ok(Element::Unsigned(1)),
        FLOAT16 | BFLOAT16 => Err(TO_FLOAT32),
        _ => Err("float32 is, and integers for shapes"),
    }
}

impl Element {
    pub(super) fn bytes(self) -> usize {
        match self {
            Element::F32 => 4,
            Element::F64 => 8,
            Element::Signed(bytes) | Element::Unsigned(bytes) => bytes,
        }
    }

    pub(super) fn read_bytes(self, raw: &[u8]) -> Data {
        match self {
            Element::F32 => Data::Float(raw.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()),
            Element::F64 => {
                Data::Float(raw.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes) as f32).collect())
            }
            Element::Signed(len) | Element::Unsigned(len) => {
                let signed = matches!(self, Element::Signed(_));
                let int = |bytes: &[u8]| {
                    let negative = signed && bytes.last().is_some_and(|&top| top >= 0x80);
                    let mut wide = if negative { [0xff; 8] } else { [0; 8] };
                    wide[..len].copy_from_slice(bytes);
                    Int::Known(i64::from_le_bytes(wide))
                };
                Data::Int(raw.chunks_exact(len).map(int).collect())
            }
        }
    }

    pub(super) fn read_fields(
        self,
        floats: Vec<f32>,
        doubles: Vec<f64>,
        narrow: &[i32],
        wide: &[i64],
        unsigned: &[u64],
    ) -> Data {
        match self {
            Element::F32 => Data::Float(floats),
            Element::F64 => Data::Float(doubles.into_iter().map(|value| value as f32).collect()),
            Element::Signed(8) => Data::Int(wide.iter().map(|&value| Int::Known(value)).collect()),
            Element::Unsigned(4 | 8) => Data::Int(unsigned.iter().map(|&value| Int::Known(value as i64)).collect()),
            Element::Signed(_) | Element::Unsigned(_) => {
                Data::Int(narrow.iter().map(|&value| Int::Known(value.into())).collect())
            }
        }
    }
}

/// Name of a type, as in PyTorch and NumPy.
pub(super) fn type_name(data_type: i32) -> &'static str {
    match data_type {
        FLOAT => "float32",
        DOUBLE => "float64",
        FLOAT16 => "float16",
        BFLOAT16 => "bfloat16",
        INT8 => "int8",
        INT16 => "int16",
        INT32 => "int32",
        INT64 => "int64",
        UINT8 => "uint8",
        UINT16 => "uint16",
        UINT32 => "uint32",
        UINT64 => "uint64",
        BOOL => "bool",
        TEXT => "text",
        14 | 15 => "complex",
        _ => "unknown",
    }
}
