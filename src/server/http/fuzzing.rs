//! Entry points for the fuzz targets in `fuzz/`: parsers of requests, which no public item reaches alone.

use axum::body::Bytes;
use axum::http::HeaderMap;

use super::{body, inflate};
use crate::server::request::{Parameters, WrittenParameters};

/// Reads the query and the headers of a request to `/classify`.
///
/// # Errors
/// The message that the caller would get.
pub fn parameters(query: &str, headers: &HeaderMap) -> Result<(), String> {
    let parameters =
        WrittenParameters::of(query, headers).and_then(Parameters::read).map_err(|error| error.to_string())?;
    // The number of classes depends on the model.
    parameters.top_k.map_or(Ok(5), |top_k| top_k.within(1..=10)).map_err(|error| error.to_string())?;
    inflate::encodings(headers).map(drop).map_err(|error| error.to_string())
}

/// Reads the files of a form: their names and contents, which are slices of the body.
///
/// # Errors
/// The message that the caller would get.
pub fn files(content_type: &[u8], body: Vec<u8>, max_files: usize) -> Result<Vec<(String, Bytes)>, String> {
    body::files(content_type, &Bytes::from(body), max_files).map_err(|error| error.to_string())
}
