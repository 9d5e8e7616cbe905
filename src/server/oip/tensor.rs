//! The input tensor: checks what a request says of it, and cuts it into images.

use bytes::Bytes;

use super::unreadable;
use crate::engine::Shape;
use crate::repository::ServedModel;
use crate::scheduler::Input;
use crate::server::error::ApiError;
use crate::server::request::shortened;

/// An input of a request.
#[derive(Debug)]
pub(super) struct InputTensor {
    pub(super) name: String,
    pub(super) datatype: String,
    pub(super) shape: Vec<i64>,
    pub(super) contents: Contents,
}

/// The elements of a tensor, in row-major order.
#[derive(Debug, PartialEq)]
pub(super) enum Contents {
    /// As they lie in memory, little-endian. Each element of a BYTES tensor follows its length, a `u32`.
    Raw(Bytes),
    /// Numbers, of whatever datatype.
    Numbers(Vec<f32>),
    /// The elements of a BYTES tensor.
    Texts(Vec<Bytes>),
}

/// The datatypes of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Datatype {
    Fp32,
    Uint8,
    Bytes,
}

impl InputTensor {
    /// The images of the tensor, which is the only input of a request for `served`. `max_images` is the limit of their number.
    pub(super) fn images(self, served: &ServedModel, max_images: usize) -> Result<Vec<Input>, ApiError> {
        let known = &served.model.tensors().input;
        if self.name != *known {
            let name = shortened(&self.name);
            return Err(ApiError::NoSuchTensor { kind: "input", name, known: known.clone() });
        }
        let datatype = Datatype::read(&self)?;
        let input = served.model.input();
        let count = self.count(datatype, input)?;
        if count > max_images {
            return Err(ApiError::TooManyImages { max_images });
        }
        let len = input.len();
        match datatype {
            Datatype::Fp32 => Ok(cut(self.floats(count * len)?, len * size_of::<f32>()).map(Input::Tensor).collect()),
            Datatype::Uint8 => Ok(cut(self.pixels(count * len)?, len).map(Input::Pixels).collect()),
            Datatype::Bytes => Ok(self.files(count)?.into_iter().map(Input::Encoded).collect()),
        }
    }

    /// The number of images, from a shape that must fit the model.
    fn count(&self, datatype: Datatype, input: Shape) -> Result<usize, ApiError> {
        let (count, rest) = self.shape.split_first().unwrap_or((&-1, &[]));
        let Shape { channels, height, width } = input;
        let [nchw, nhwc] =
            [[channels, height, width], [height, width, channels]].map(|shape| shape.map(|dim| dim as i64));
        let fits = match datatype {
            Datatype::Fp32 | Datatype::Uint8 => rest == nchw,
            Datatype::Bytes => matches!(rest, [] | [1]),
        };
        let allowed = match datatype {
            Datatype::Fp32 | Datatype::Uint8 => format!("[N, {channels}, {height}, {width}]"),
            Datatype::Bytes => "[N] or [N, 1], one image file per element".to_owned(),
        };
        match usize::try_from(*count) {
            Ok(count) if count > 0 && fits => Ok(count),
            _ if rest == nhwc => Err(self.bad(format!("the channels are last; allowed: {allowed}, channels first"))),
            _ => Err(self.bad(format!("the shape is {}; allowed: {allowed}, N from 1", shown(&self.shape)))),
        }
    }

    /// `len` numbers as little-endian float32.
    fn floats(self, len: usize) -> Result<Bytes, ApiError> {
        let raw = match self.contents {
            Contents::Raw(ref raw) => raw.clone(),
            Contents::Numbers(ref numbers) => {
                self.check_len(numbers.len(), len, "numbers")?;
                little_endian(numbers).into()
            }
            Contents::Texts(_) => return Err(self.bad("FP32 elements are numbers, not strings")),
        };
        self.check_len(raw.len(), len * size_of::<f32>(), "bytes")?;
        let finite = |value: &[u8; 4]| f32::from_le_bytes(*value).is_finite();
        match raw.as_chunks().0.iter().position(|value| !finite(value)) {
            None => Ok(raw),
            Some(index) => Err(self.bad(format!("element {index} is infinite or not a number"))),
        }
    }

    /// `len` numbers as bytes.
    fn pixels(self, len: usize) -> Result<Bytes, ApiError> {
        let raw = match self.contents {
            Contents::Raw(ref raw) => raw.clone(),
            Contents::Numbers(ref numbers) => {
                let byte = |&number: &f32| (f32::from(number as u8) == number).then_some(number as u8);
                let bytes: Option<Vec<u8>> = numbers.iter().map(byte).collect();
                bytes.ok_or_else(|| self.bad("UINT8 elements are whole numbers from 0 to 255"))?.into()
            }
            Contents::Texts(_) => return Err(self.bad("UINT8 elements are numbers, not strings")),
        };
        self.check_len(raw.len(), len, "elements")?;
        Ok(raw)
    }

    /// `count` image files.
    fn files(self, count: usize) -> Result<Vec<Bytes>, ApiError> {
        let files = match &self.contents {
            Contents::Texts(texts) => texts.clone(),
            Contents::Numbers(numbers) if numbers.is_empty() => Vec::new(),
            Contents::Numbers(_) => return Err(self.bad("BYTES elements are strings, not numbers")),
            Contents::Raw(raw) => {
                // One more than expected is enough to see that there are too many.
                let elements = elements(raw.clone()).take(count + 1).collect::<Option<Vec<_>>>();
                elements.ok_or_else(|| self.bad("the data end within an element, or its length is wrong"))?
            }
        };
        self.check_len(files.len(), count, "elements")?;
        Ok(files)
    }

    fn check_len(&self, len: usize, expected: usize, unit: &str) -> Result<(), ApiError> {
        match len == expected {
            true => Ok(()),
            false => {
                let shape = shown(&self.shape);
                Err(self.bad(format!("there are {len} {unit}; the shape {shape} needs {expected}")))
            }
        }
    }

    fn bad(&self, reason: impl Into<String>) -> ApiError {
        ApiError::BadTensor { name: shortened(&self.name), reason: reason.into() }
    }
}

impl Datatype {
    fn read(tensor: &InputTensor) -> Result<Datatype, ApiError> {
        match tensor.datatype.as_str() {
            "FP32" => Ok(Datatype::Fp32),
            "UINT8" => Ok(Datatype::Uint8),
            "BYTES" => Ok(Datatype::Bytes),
            other => {
                let allowed = "FP32, the values that the network reads; UINT8, pixels; BYTES, image files";
                Err(tensor.bad(format!("the datatype is {:?}; allowed: {allowed}", shortened(other))))
            }
        }
    }
}

/// The only input of a request.
pub(super) fn only(mut inputs: Vec<InputTensor>) -> Result<InputTensor, ApiError> {
    match (inputs.len(), inputs.pop()) {
        (1, Some(input)) => Ok(input),
        (count, _) => Err(unreadable(format!("there are {count} inputs; expected: one, the image"))),
    }
}

/// Numbers as they lie in memory, little-endian.
pub(super) fn little_endian(numbers: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_of_val(numbers));
    numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    bytes
}

/// The parts of so many bytes.
fn cut(all: Bytes, len: usize) -> impl Iterator<Item = Bytes> {
    (0..all.len() / len).map(move |index| all.slice(index * len..(index + 1) * len))
}

/// The elements of a BYTES tensor; `None` for one whose length exceeds the rest.
fn elements(mut rest: Bytes) -> impl Iterator<Item = Option<Bytes>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = rest.split_first_chunk().map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest.len()));
        match length {
            Some((length, left)) if length <= left => {
                let element = rest.slice(4..4 + length);
                rest = rest.slice(4 + length..);
                Some(Some(element))
            }
            _ => {
                rest = Bytes::new();
                Some(None)
            }
        }
    })
}

/// A shape, cut for an error message.
fn shown(shape: &[i64]) -> String {
    const LONGEST: usize = 6;
    let dims: Vec<String> = shape.iter().take(LONGEST).map(ToString::to_string).collect();
    let more = if shape.len() > LONGEST { ", ..." } else { "" };
    format!("[{}{more}]", dims.join(", "))
}
