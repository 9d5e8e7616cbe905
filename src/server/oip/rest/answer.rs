//! The answer to a request, as JSON or as JSON followed by binary tensors.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use serde::Serialize;

use super::body::JSON_LENGTH;
use crate::server::error::ApiError;
use crate::server::oip::infer::{InferAnswer, Told};
use crate::server::oip::{OutputData, OutputTensor};

#[derive(Serialize)]
struct Written<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    parameters: Parameters<'a>,
    outputs: Vec<WrittenOutput<'a>>,
}

#[derive(Serialize)]
struct Parameters<'a> {
    width: f64,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    widths: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    late: bool,
    precision: &'a str,
}

#[derive(Serialize)]
struct WrittenOutput<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: [usize; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinaryData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
}

#[derive(Serialize)]
struct BinaryData {
    binary_data_size: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Numbers(&'a [f32]),
    Classes(&'a [String]),
}

/// The response of an answer.
pub(super) fn respond(answer: InferAnswer) -> Result<Response, ApiError> {
    let InferAnswer { model_name, model_version, id, outputs, binary_outputs, told, answered } = answer;
    let mut binary = Vec::new();
    let outputs: Vec<_> = outputs.iter().map(|output| write(output, binary_outputs, &mut binary)).collect();
    let is_binary = outputs.iter().any(|output| output.data.is_none());
    let written = Written {
        model_name: &model_name,
        model_version: &model_version,
        id: &id,
        parameters: Parameters::of(&told),
        outputs,
    };
    let mut body = serde_json::to_vec(&written).map_err(|_| ApiError::Internal)?;
    let json_length = body.len();
    body.append(&mut binary);
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    if is_binary {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(HeaderName::from_static(JSON_LENGTH), json_length.into());
    } else {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    answered.put_in(&mut response);
    Ok(response)
}

/// An output; appends its data to `binary` if they are.
fn write<'a>(output: &'a OutputTensor, binary_outputs: bool, binary: &mut Vec<u8>) -> WrittenOutput<'a> {
    let OutputTensor { name, shape, data, .. } = output;
    let (datatype, written) = match data {
        OutputData::Numbers(numbers) => ("FP32", Data::Numbers(numbers)),
        OutputData::Classes(classes) => ("BYTES", Data::Classes(classes)),
    };
    let (parameters, data) = match output.binary.unwrap_or(binary_outputs) {
        true => {
            let bytes = data.raw();
            binary.extend_from_slice(&bytes);
            (Some(BinaryData { binary_data_size: bytes.len() }), None)
        }
        false => (None, Some(written)),
    };
    WrittenOutput { name, datatype, shape: *shape, parameters, data }
}

impl Parameters<'_> {
    fn of(told: &Told) -> Parameters<'_> {
        let Told { width, reason, widths, late, precision } = told;
        Parameters { width: *width, reason, widths: widths.as_deref(), late: *late, precision }
    }
}
