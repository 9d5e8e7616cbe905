//! The parameters of a request in this protocol: those of every protocol, and those that Triton's clients send.

use super::{MAX_ENTRIES, Scalar, unreadable};
use crate::server::error::ApiError;
use crate::server::request::WrittenParameters;

/// Adds the body's parameters to those of the query and the headers. Returns whether they ask for binary outputs.
pub(super) fn read(parameters: Vec<(String, Scalar)>, written: &mut WrittenParameters) -> Result<bool, ApiError> {
    if parameters.len() > MAX_ENTRIES {
        return Err(unreadable(format!("there are more than {MAX_ENTRIES} parameters")));
    }
    let mut binary_outputs = false;
    for (name, value) in parameters {
        match (name.as_str(), value) {
            ("binary_data_output", Scalar::Bool(binary)) => binary_outputs = binary,
            ("binary_data_output", _) => return Err(unreadable("binary_data_output must be true or false")),
            // Triton's own: microseconds, of which 0 is none.
            ("timeout", value) => match budget_ms(&value) {
                Some(0.0) => {}
                Some(budget_ms) => written.set_as("timeout", "budget_ms", budget_ms.to_string())?,
                None => return Err(unreadable("timeout must be a whole number of microseconds, at least 0")),
            },
            // Triton's own: 1 is the highest, and 0 the default.
            ("priority", Scalar::Integer(level)) => written.set("priority", priority(level).to_owned())?,
            // A request of a sequence is like any other here, for no model has a state.
            (name, _) if IGNORED.contains(&name) || name.starts_with("triton_") => {}
            (_, value) => written.set(&name, value.text())?,
        }
    }
    Ok(binary_outputs)
}

/// Parameters without a meaning here, which clients and gateways send.
const IGNORED: [&str; 5] = ["content_type", "headers", "sequence_end", "sequence_id", "sequence_start"];

fn budget_ms(timeout: &Scalar) -> Option<f64> {
    match timeout {
        Scalar::Integer(us) => u64::try_from(*us).ok().map(|us| us as f64 / 1e3),
        Scalar::Text(text) => text.parse::<u64>().ok().map(|us| us as f64 / 1e3),
        Scalar::Bool(_) | Scalar::Number(_) => None,
    }
}

fn priority(level: i64) -> &'static str {
    match level {
        0 | 2 => "normal",
        1 => "high",
        _ => "low",
    }
}

impl Scalar {
    /// The value as a query would write it.
    fn text(self) -> String {
        match self {
            Scalar::Bool(value) => value.to_string(),
            Scalar::Integer(value) => value.to_string(),
            Scalar::Number(value) => value.to_string(),
            Scalar::Text(value) => value,
        }
    }
}
