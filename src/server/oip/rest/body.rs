//! Reads a request's body: JSON, JSON followed by binary tensors, or one binary tensor alone.

use std::sync::Arc;

use axum::http::HeaderMap;
use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::json;
use crate::repository::ServedModel;
use crate::server::Service;
use crate::server::error::ApiError;
use crate::server::memory::Growing;
use crate::server::oip::{Contents, InferRequest, InputTensor, unreadable};

/// Length of the JSON in front of binary tensors.
pub(super) const JSON_LENGTH: &str = "inference-header-content-length";
/// JSON up to this length is parsed where the request is: that takes no longer than to hand it over.
const SHORT: usize = 128 << 10;
/// The most that numbers take of memory, as a multiple of their text: `1,` becomes four bytes.
const EXPANSION: usize = 2;

/// The length of the JSON that the headers state; `None` if all of the body is JSON.
pub(super) fn json_length(headers: &HeaderMap) -> Result<Option<usize>, ApiError> {
    let mut values = headers.get_all(JSON_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    match (number, values.next()) {
        (Some(number), None) => Ok(Some(number)),
        _ => Err(unreadable(format!("the header {JSON_LENGTH} must be one whole number"))),
    }
}

/// The request in a body. The returned reservation counts what it holds.
pub(super) async fn read(
    service: &Arc<Service>,
    body: Bytes,
    mut growing: Growing,
    json_length: Option<usize>,
    served: &ServedModel,
) -> Result<(InferRequest, Growing), ApiError> {
    let length = json_length.unwrap_or(body.len());
    if length > body.len() {
        let has = body.len();
        return Err(unreadable(format!("the header {JSON_LENGTH} says {length} bytes; the body has {has}")));
    }
    if json_length == Some(0) {
        return Ok((raw(body, served), growing));
    }
    let max_bytes = service.limits.max_bytes_in_flight;
    growing.resize(body.len() + EXPANSION * length).ok_or(ApiError::MemoryFull { max_bytes })?;
    let request = if length <= SHORT {
        parse(&body, length)
    } else {
        let _permit = service.inflaters.permit().await?;
        spawn_blocking(move || parse(&body, length)).await.map_err(|_| ApiError::Internal)?
    };
    Ok((request?, growing))
}

/// A body that is one binary tensor: a batch of one, whose datatype follows from the length.
fn raw(body: Bytes, served: &ServedModel) -> InferRequest {
    let input = served.model.input();
    let tensor = [input.channels, input.height, input.width].map(|dim| dim as i64);
    let (datatype, shape) = match body.len() {
        length if length == input.len() * size_of::<f32>() => ("FP32", [&[1], &tensor[..]].concat()),
        length if length == input.len() => ("UINT8", [&[1], &tensor[..]].concat()),
        _ => ("BYTES", vec![1]),
    };
    let contents = if datatype == "BYTES" { Contents::Texts(vec![body]) } else { Contents::Raw(body) };
    let name = served.model.tensors().input.clone();
    let input = InputTensor { name, datatype: datatype.to_owned(), shape, contents };
    InferRequest { inputs: vec![input], binary_outputs: true, ..InferRequest::default() }
}

fn parse(body: &Bytes, length: usize) -> Result<InferRequest, ApiError> {
    let (request, sizes) = json::request(&body[..length])?;
    let mut rest = body.slice(length..);
    let mut request = request;
    for (input, size) in request.inputs.iter_mut().zip(sizes) {
        let Some(size) = size else { continue };
        if size > rest.len() {
            let (name, left) = (crate::server::request::shortened(&input.name), rest.len());
            return Err(unreadable(format!(
                "input {name:?} has binary_data_size {size}; {left} bytes are left in the body"
            )));
        }
        input.contents = Contents::Raw(rest.split_to(size));
    }
    match rest.len() {
        0 => Ok(request),
        more => Err(unreadable(format!("{more} bytes follow the last binary tensor"))),
    }
}
