//! The parameters of a classification request, as described in `/openapi.json`.

use utoipa::openapi::schema::{Object, OneOf, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::engine::Width;

/// The query parameters, as described in `/openapi.json`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it is only described: the hand-written parser gives better errors")]
pub(super) struct Query {
    /// The exact width, above 0 and up to 1, or `auto` (default), which lets the server choose.
    #[param(inline)]
    width: Option<WidthOrAuto>,
    /// Milliseconds from the arrival of the headers to the answer. The server chooses the widest width that fits.
    #[param(exclusive_minimum = 0, maximum = 3_600_000)]
    budget_ms: Option<f64>,
    /// Minimum accuracy: excludes widths whose accuracy in `/models` is lower.
    #[param(minimum = 0, maximum = 1)]
    min_accuracy: Option<f64>,
    /// Start narrow and stop at the first width at which the top probability reaches this value. Excludes `width` and
    /// `all_widths`.
    #[param(exclusive_minimum = 0, maximum = 1)]
    confidence: Option<f32>,
    /// Order of refusal under overload: `low` first, then `normal` (default), then `high`.
    #[param(inline)]
    priority: Option<Rank>,
    /// Number of classes in the answer, at most the model's; default 5.
    #[param(minimum = 1)]
    top_k: Option<usize>,
    /// The model's name; default: `default` in `/models`.
    model: Option<String>,
    /// The model's version; default: the latest.
    version: Option<u64>,
    /// Also return the result for every step of the model's widths, from one pass. Without `width` it pins full width: refused under
    /// load, not narrowed.
    all_widths: Option<bool>,
}

/// A request's priority.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it is only described")]
enum Rank {
    Low,
    Normal,
    High,
}

/// The request headers. A query parameter overrides its header.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "they are only described")]
pub(super) struct Headers {
    /// As `width` in the query: a number or `auto`.
    #[param(rename = "x-width", required = false)]
    width: String,
    /// As `budget_ms` in the query.
    #[param(rename = "x-latency-budget-ms", exclusive_minimum = 0, maximum = 3_600_000, required = false)]
    budget_ms: f64,
    /// The request's ID, up to 128 visible ASCII characters. The answer returns it and the server's log contains it; default:
    /// a generated ID.
    #[param(rename = "x-request-id", max_length = 128, required = false)]
    request_id: String,
}

/// A width, or `auto`.
struct WidthOrAuto;

impl PartialSchema for WidthOrAuto {
    fn schema() -> RefOr<Schema> {
        let auto = Object::builder().schema_type(Type::String).enum_values(Some(["auto"]));
        OneOf::builder().item(Width::schema()).item(auto).into()
    }
}

impl ToSchema for WidthOrAuto {}

#[cfg(test)]
mod tests {
    use utoipa::openapi::path::Parameter;

    use super::*;
    use crate::server::request::{HEADERS, KNOWN};

    #[test]
    fn what_is_described_is_what_is_known() {
        let names =
            |parameters: Vec<Parameter>| parameters.into_iter().map(|parameter| parameter.name).collect::<Vec<_>>();
        assert_eq!(names(Query::into_params(|| None)), KNOWN);
        assert_eq!(names(Headers::into_params(|| None)), [HEADERS[0].1, HEADERS[1].1, "x-request-id"]);
    }
}
