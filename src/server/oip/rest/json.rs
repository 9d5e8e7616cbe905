//! The JSON of a request. Numbers are parsed straight into a tensor.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::server::error::ApiError;
use crate::server::oip::{Contents, InferRequest, InputTensor, MAX_ENTRIES, RequestedOutput, Scalar, unreadable};
use crate::server::request::shortened;

/// A request as it is written.
#[derive(Deserialize)]
#[serde(expecting = "an inference request")]
struct Written {
    #[serde(default)]
    id: String,
    #[serde(default)]
    parameters: Parameters,
    inputs: Vec<WrittenInput>,
    #[serde(default)]
    outputs: Vec<WrittenOutput>,
}

#[derive(Deserialize)]
#[serde(expecting = "an input")]
struct WrittenInput {
    name: String,
    shape: Vec<i64>,
    datatype: String,
    #[serde(default)]
    parameters: Parameters,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(expecting = "an output")]
struct WrittenOutput {
    name: String,
    #[serde(default)]
    parameters: Parameters,
}

/// Parameters in the order in which they are written.
#[derive(Debug, Default)]
struct Parameters(Vec<(String, Scalar)>);

/// The elements of a tensor, flat or nested.
#[derive(Debug, Default)]
struct Data {
    numbers: Vec<f32>,
    texts: Vec<String>,
    /// The length of the lists at each depth, outermost first.
    shape: Vec<Option<usize>>,
    /// The depth of the elements.
    depth: Option<usize>,
}

/// The deepest nesting of a tensor's data.
const MAX_DEPTH: usize = 8;

/// The request, and the size of each input's binary data if it has some.
///
/// # Errors
/// [`ApiError::BadInferRequest`] says what is wrong and where.
pub(super) fn request(text: &[u8]) -> Result<(InferRequest, Vec<Option<usize>>), ApiError> {
    let written: Written = serde_json::from_slice(text).map_err(|error| unreadable(error.to_string()))?;
    let (inputs, sizes) = written.inputs.into_iter().map(input).collect::<Result<(Vec<_>, Vec<_>), _>>()?;
    let outputs = written.outputs.into_iter().map(output).collect::<Result<_, _>>()?;
    let request =
        InferRequest { id: written.id, parameters: written.parameters.0, inputs, outputs, binary_outputs: false };
    Ok((request, sizes))
}

fn input(written: WrittenInput) -> Result<(InputTensor, Option<usize>), ApiError> {
    let WrittenInput { name, shape, datatype, parameters, data } = written;
    let bad = |reason: String| ApiError::BadTensor { name: shortened(&name), reason };
    let size = match parameters.get("binary_data_size") {
        None => None,
        Some(&Scalar::Integer(size)) if size >= 0 => Some(size as usize),
        Some(_) => return Err(bad("binary_data_size must be a whole number, at least 0".into())),
    };
    let contents = match (data, size) {
        (Some(data), None) => data.contents(&shape, &datatype).map_err(bad)?,
        // The body's binary part replaces it.
        (None, Some(_)) => Contents::Numbers(Vec::new()),
        (None, None) => return Err(bad("it has neither data nor binary_data_size".into())),
        (Some(_), Some(_)) => return Err(bad("it has both data and binary_data_size".into())),
    };
    Ok((InputTensor { name, datatype, shape, contents }, size))
}

fn output(written: WrittenOutput) -> Result<RequestedOutput, ApiError> {
    let WrittenOutput { name, parameters } = written;
    let bad = |what: &str| unreadable(format!("output {:?}: {what}", shortened(&name)));
    let classification = match parameters.get("classification") {
        None => 0,
        Some(&Scalar::Integer(count)) if count >= 0 => count as u64,
        Some(_) => return Err(bad("classification must be a whole number, at least 0")),
    };
    let binary = match parameters.get("binary_data") {
        None => None,
        Some(&Scalar::Bool(binary)) => Some(binary),
        Some(_) => return Err(bad("binary_data must be true or false")),
    };
    Ok(RequestedOutput { name, classification, binary })
}

impl Parameters {
    fn get(&self, name: &str) -> Option<&Scalar> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

impl Data {
    /// The elements, whose nesting must be that of the shape if there is any.
    fn contents(self, shape: &[i64], datatype: &str) -> Result<Contents, String> {
        let lengths: Vec<i64> = self.shape.iter().map(|length| length.unwrap_or(0) as i64).collect();
        if lengths.len() > 1 && lengths != shape {
            return Err(format!("the data are nested as {lengths:?}, which is not the shape"));
        }
        match (self.texts.is_empty(), self.numbers.is_empty()) {
            (true, _) => Ok(Contents::Numbers(self.numbers)),
            (false, false) => Err("the data mix numbers and strings".into()),
            (false, true) if datatype != "BYTES" => Ok(Contents::Texts(Vec::new())),
            // Text cannot hold the bytes of an image.
            (false, true) => {
                let decode = |text: &String| STANDARD.decode(text).map(Bytes::from);
                let files = self.texts.iter().map(decode).collect::<Result<_, _>>();
                files.map(Contents::Texts).map_err(|error| format!("BYTES in JSON are base64; {error}"))
            }
        }
    }

    /// A list at this depth ended after so many elements.
    fn ended<E: Error>(&mut self, depth: usize, length: usize) -> Result<(), E> {
        match self.shape[depth].replace(length) {
            Some(other) if other != length => Err(E::custom("the lists of the data differ in length")),
            _ => Ok(()),
        }
    }

    /// An element at this depth begins.
    fn begins<E: Error>(&mut self, depth: usize) -> Result<(), E> {
        match *self.depth.get_or_insert(depth) == depth {
            true => Ok(()),
            false => Err(E::custom("the data are nested unevenly")),
        }
    }
}

/// Reads an element or a list at a depth.
struct Level<'a> {
    data: &'a mut Data,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.depth == 0 { "a list of numbers or strings" } else { "a number, a string or a list" })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Level { data, depth } = self;
        if depth == MAX_DEPTH {
            return Err(A::Error::custom(format!("the data are nested deeper than {MAX_DEPTH} lists")));
        }
        if data.shape.len() == depth {
            data.shape.push(None);
        }
        let mut length = 0;
        while list.next_element_seed(Level { data: &mut *data, depth: depth + 1 })?.is_some() {
            length += 1;
        }
        data.ended(depth, length)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.data.begins(self.depth)?;
        self.data.numbers.push(number as f32);
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.visit_f64(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.visit_f64(number as f64)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.data.begins(self.depth)?;
        self.data.texts.push(text.to_owned());
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Data, D::Error> {
        let mut data = Data::default();
        from.deserialize_seq(Level { data: &mut data, depth: 0 })?;
        Ok(data)
    }
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Parameters, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Parameters;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of parameters")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parameters, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    if entries.len() == MAX_ENTRIES {
                        return Err(A::Error::custom(format!("there are more than {MAX_ENTRIES} parameters")));
                    }
                    entries.push(entry);
                }
                Ok(Parameters(entries))
            }
        }

        from.deserialize_map(Entries)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Scalar, D::Error> {
        struct Value;

        impl Visitor<'_> for Value {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a parameter's value: a string, a number, true or false")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar::Bool(value))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar::Integer(value))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
                Ok(i64::try_from(value).map_or(Scalar::Number(value as f64), Scalar::Integer))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar::Number(value))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(value.to_owned()))
            }
        }

        from.deserialize_any(Value)
    }
}
