//! Parses and validates the parameters of a classification request, from the query and the headers.

use std::ops::RangeInclusive;
use std::time::Duration;

use axum::http::HeaderMap;
use form_urlencoded::parse;
use utoipa::openapi::schema::{Object, OneOf, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::error::ApiError;
use crate::engine::{Width, WidthError};
use crate::nearest::nearest;
use crate::policy::{MAX_BUDGET, Priority, RequestOptions};

/// The parameters of a classification request.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Parameters {
    /// Width, accuracy and priority; the server chooses what is missing.
    pub(super) options: RequestOptions,
    /// The time from the arrival of the request's headers to its answer.
    pub(super) budget: Option<Duration>,
    /// The top probability at which a narrower width suffices.
    pub(super) confidence: Option<f32>,
    /// Number of classes in the answer; `None` for the default.
    pub(super) top_k: Option<Number>,
    pub(super) model: Option<String>,
    pub(super) version: Option<u64>,
    pub(super) all_widths: bool,
}

/// An unparsed number. Its range depends on the model, so it is checked once the model is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number {
    text: String,
    parameter: String,
}

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

const KNOWN: [&str; 9] =
    ["width", "budget_ms", "min_accuracy", "confidence", "priority", "top_k", "model", "version", "all_widths"];
const WIDTH_HEADER: &str = "x-width";
const BUDGET_HEADER: &str = "x-latency-budget-ms";

impl Parameters {
    /// Parses the query and the headers. A query parameter overrides its header.
    pub(super) fn read(query: &str, headers: &HeaderMap) -> Result<Parameters, ApiError> {
        let mut values: [Option<String>; KNOWN.len()] = Default::default();
        for (name, value) in parse(query.as_bytes()) {
            let Some(index) = KNOWN.iter().position(|known| *known == name) else {
                return Err(unknown(&name));
            };
            if values[index].replace(value.into_owned()).is_some() {
                return Err(ApiError::RepeatedParameter { name: KNOWN[index] });
            }
        }
        let [width, budget, min_accuracy, confidence, priority, top_k, model, version, all_widths] = values;
        let or_header = |value: Option<String>, name, header_name| match value {
            Some(text) => Ok(Some((text, in_query(name)))),
            None => header(headers, header_name),
        };
        let width = or_header(width, "width", WIDTH_HEADER)?;
        let budget = or_header(budget, "budget_ms", BUDGET_HEADER)?;
        let parameters = Parameters {
            options: RequestOptions {
                width: width.map(|(text, parameter)| read_width(&text, &parameter)).transpose()?.flatten(),
                min_accuracy: min_accuracy.map(|text| read_min_accuracy(&text)).transpose()?,
                priority: priority.map(|text| read_priority(&text)).transpose()?.unwrap_or_default(),
            },
            budget: budget.map(|(text, parameter)| read_budget(&text, &parameter)).transpose()?,
            confidence: confidence.map(|text| read_confidence(&text)).transpose()?,
            top_k: top_k.map(|text| Number { text, parameter: in_query("top_k") }),
            model: model.map(read_name).transpose()?,
            version: version.map(read_version).transpose()?,
            all_widths: all_widths.map(read_switch).transpose()?.unwrap_or(false),
        };
        parameters.check_conflicts()?;
        Ok(parameters)
    }

    /// `confidence` excludes `width` and `all_widths`.
    fn check_conflicts(&self) -> Result<(), ApiError> {
        let contradiction = |other| Err(ApiError::Contradiction { one: "confidence", other });
        match self.confidence {
            Some(_) if self.options.width.is_some() => contradiction("width"),
            Some(_) if self.all_widths => contradiction("all_widths"),
            _ => Ok(()),
        }
    }
}

impl Number {
    /// Parses the number and checks its range.
    pub(super) fn within(&self, range: RangeInclusive<usize>) -> Result<usize, ApiError> {
        let allowed = || format!("a whole number from {} to {}", range.start(), range.end());
        let bad = |reason| bad_value(&self.text, &self.parameter, reason, allowed());
        match self.text.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            Ok(_) => Err(bad("out of range")),
            Err(_) => Err(bad(if self.text.is_empty() { "empty" } else { "not a whole number" })),
        }
    }
}

fn read_width(text: &str, parameter: &str) -> Result<Option<Width>, ApiError> {
    if text == "auto" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| {
        let reason = match error {
            _ if text.is_empty() => "empty",
            WidthError::NotDecimal => "not a decimal number",
            WidthError::OutOfRange => "out of range",
        };
        bad_value(text, parameter, reason, "a decimal number above 0 and up to 1, or auto".to_owned())
    })
}

fn read_budget(text: &str, parameter: &str) -> Result<Duration, ApiError> {
    let most = MAX_BUDGET.as_millis();
    let range = |ms: f64| ms > 0.0 && ms <= most as f64;
    let ms =
        read_decimal(text, parameter, range, || format!("a decimal number of milliseconds above 0 and up to {most}"))?;
    Ok(Duration::from_secs_f64(ms / 1e3))
}

fn read_min_accuracy(text: &str) -> Result<f64, ApiError> {
    let range = |share: f64| (0.0..=1.0).contains(&share);
    read_decimal(text, &in_query("min_accuracy"), range, || "a decimal number from 0 to 1".to_owned())
}

fn read_confidence(text: &str) -> Result<f32, ApiError> {
    let range = |share: f64| share > 0.0 && share <= 1.0;
    let allowed = || "a decimal number above 0 and up to 1".to_owned();
    Ok(read_decimal(text, &in_query("confidence"), range, allowed)? as f32)
}

fn read_decimal(
    text: &str,
    parameter: &str,
    range: impl Fn(f64) -> bool,
    allowed: impl Fn() -> String,
) -> Result<f64, ApiError> {
    match text.parse::<f64>() {
        Ok(number) if range(number) => Ok(number),
        Ok(number) if !number.is_nan() => Err(bad_value(text, parameter, "out of range", allowed())),
        _ if text.is_empty() => Err(bad_value(text, parameter, "empty", allowed())),
        _ => Err(bad_value(text, parameter, "not a decimal number", allowed())),
    }
}

fn read_priority(text: &str) -> Result<Priority, ApiError> {
    match text {
        "low" => Ok(Priority::Low),
        "normal" => Ok(Priority::Normal),
        "high" => Ok(Priority::High),
        _ => {
            let reason = if text.is_empty() { "empty" } else { "not a priority" };
            Err(bad_value(text, &in_query("priority"), reason, "low, normal or high".to_owned()))
        }
    }
}

fn read_name(text: String) -> Result<String, ApiError> {
    match text.is_empty() {
        true => Err(bad_value(&text, &in_query("model"), "empty", "a model's name, see /models".to_owned())),
        false => Ok(text),
    }
}

fn read_version(text: String) -> Result<u64, ApiError> {
    text.parse().map_err(|_| {
        let reason = if text.is_empty() { "empty" } else { "not a whole number" };
        bad_value(&text, &in_query("version"), reason, "a model's version, see /models".to_owned())
    })
}

fn read_switch(text: String) -> Result<bool, ApiError> {
    // Case-insensitive, because Python writes `True`.
    text.to_ascii_lowercase().parse().map_err(|_| {
        let reason = if text.is_empty() { "empty" } else { "neither true nor false" };
        bad_value(&text, &in_query("all_widths"), reason, "true or false".to_owned())
    })
}

/// The value of a header, and the header's description for an error.
fn header(headers: &HeaderMap, name: &'static str) -> Result<Option<(String, String)>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    let parameter = format!("the header {name}");
    if values.next().is_some() {
        return Err(bad_value(&text, &parameter, "repeated", "one value".to_owned()));
    }
    Ok(Some((text, parameter)))
}

fn unknown(name: &str) -> ApiError {
    ApiError::UnknownParameter { name: shortened(name), nearest: nearest(name, KNOWN), known: KNOWN.join(", ") }
}

fn in_query(name: &str) -> String {
    format!("the query parameter {name:?}")
}

fn bad_value(text: &str, parameter: &str, reason: &'static str, allowed: String) -> ApiError {
    ApiError::BadValue { value: shortened(text), parameter: parameter.to_owned(), reason, allowed }
}

/// A caller's text, cut for an error message.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;
    use utoipa::openapi::path::Parameter;

    use super::*;

    fn read(query: &str) -> Result<Parameters, ApiError> {
        Parameters::read(query, &HeaderMap::new())
    }

    fn with_header(query: &str, values: &[&'static str]) -> Result<Parameters, ApiError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("X-Width", HeaderValue::from_static(value));
        }
        Parameters::read(query, &headers)
    }

    #[test]
    fn every_parameter_is_read() {
        let parameters = read("width=0.50&top_k=3&model=a%2Db&version=2&all_widths=true").unwrap();
        assert_eq!(parameters.options.width.map(|width| width.to_string()).as_deref(), Some("0.5"));
        assert_eq!(parameters.top_k.unwrap().within(1..=10), Ok(3));
        assert_eq!(
            (parameters.model.as_deref(), parameters.version, parameters.all_widths),
            (Some("a-b"), Some(2), true)
        );
        assert_eq!(read("").unwrap(), Parameters::default());
        assert_eq!(read("width=auto").unwrap().options.width, None);
        let parameters = read("budget_ms=12.5&min_accuracy=0.85&confidence=0.9&priority=high").unwrap();
        assert_eq!((parameters.budget, parameters.confidence), (Some(Duration::from_micros(12_500)), Some(0.9)));
        assert_eq!((parameters.options.min_accuracy, parameters.options.priority), (Some(0.85), Priority::High));
    }

    #[test]
    fn the_query_beats_the_header() {
        let half = "0.5".parse().ok();
        let width = |query: &str, value| with_header(query, &[value]).unwrap().options.width;
        assert_eq!(width("", "0.5"), half);
        assert_eq!(width("width=1", "0.5"), Some(Width::FULL));
        assert_eq!(width("width=0.5", "rubbish"), half);
        assert_eq!(width("width=auto", "0.5"), None);
        let headers = HeaderMap::from_iter([("x-latency-budget-ms".parse().unwrap(), HeaderValue::from_static("20"))]);
        let budget = |query: &str| Parameters::read(query, &headers).unwrap().budget;
        assert_eq!(budget(""), Some(Duration::from_millis(20)));
        assert_eq!(budget("budget_ms=30"), Some(Duration::from_millis(30)));
    }

    #[test]
    fn a_bad_value_names_itself_its_place_and_what_is_allowed() {
        let widths = "a decimal number above 0 and up to 1, or auto";
        for (text, reason) in [
            ("0", "out of range"),
            ("1.01", "out of range"),
            ("1.0000001", "out of range"),
            ("NaN", "not a decimal number"),
            ("wide", "not a decimal number"),
            ("-0.5", "not a decimal number"),
            ("", "empty"),
        ] {
            assert_eq!(
                read(&format!("width={text}")).unwrap_err().to_string(),
                format!("bad value {text:?} of the query parameter \"width\": {reason}; allowed: {widths}")
            );
        }
        assert_eq!(
            with_header("", &["wide"]).unwrap_err().to_string(),
            format!("bad value \"wide\" of the header x-width: not a decimal number; allowed: {widths}")
        );
        assert!(with_header("", &["1", "1"]).unwrap_err().to_string().contains("repeated"));
        for all_widths in ["true", "True", "TRUE", "tRuE"] {
            assert!(read(&format!("all_widths={all_widths}")).unwrap().all_widths, "{all_widths}");
        }
        assert!(!read("all_widths=False").unwrap().all_widths);
        for query in ["version=x", "version=", "version=-1", "all_widths=yes", "all_widths=", "model="] {
            assert!(matches!(read(query), Err(ApiError::BadValue { .. })), "{query}");
        }
        for (text, reason) in
            [("0", "out of range"), ("-1", "out of range"), ("1e18", "out of range"), ("NaN", "not a decimal number")]
        {
            assert_eq!(
                read(&format!("budget_ms={text}")).unwrap_err().to_string(),
                format!(
                    "bad value {text:?} of the query parameter \"budget_ms\": {reason}; \
                     allowed: a decimal number of milliseconds above 0 and up to 3600000"
                )
            );
        }
        for query in ["min_accuracy=1.1", "min_accuracy=", "confidence=0", "confidence=inf", "priority=urgent"] {
            assert!(matches!(read(query), Err(ApiError::BadValue { .. })), "{query}");
        }
        for text in ["0", "11", "-1", "x", "", "99999999999999999999999"] {
            let top_k = read(&format!("top_k={text}")).unwrap().top_k.unwrap();
            let error = top_k.within(1..=10).unwrap_err().to_string();
            assert!(error.ends_with("; allowed: a whole number from 1 to 10"), "{error}");
        }
    }

    #[test]
    fn confidence_excludes_a_width() {
        for query in ["confidence=0.9&width=0.5", "confidence=0.9&all_widths=true"] {
            assert!(matches!(read(query), Err(ApiError::Contradiction { .. })), "{query}");
        }
        assert!(with_header("confidence=0.9", &["0.5"]).is_err());
        assert!(read("confidence=0.9&width=auto&all_widths=false").is_ok());
    }

    #[test]
    fn what_is_described_is_what_is_known() {
        let names =
            |parameters: Vec<Parameter>| parameters.into_iter().map(|parameter| parameter.name).collect::<Vec<_>>();
        assert_eq!(names(Query::into_params(|| None)), KNOWN);
        assert_eq!(names(Headers::into_params(|| None)), [WIDTH_HEADER, BUDGET_HEADER, "x-request-id"]);
    }

    #[test]
    fn a_repeated_parameter_is_an_error() {
        assert_eq!(read("width=1&width=1"), Err(ApiError::RepeatedParameter { name: "width" }));
    }

    #[test]
    fn an_unknown_parameter_is_told_the_nearest_known_one() {
        let nearest = |query: &str| match read(query) {
            Err(ApiError::UnknownParameter { nearest, .. }) => nearest,
            other => panic!("{other:?}"),
        };
        assert_eq!(nearest("widht=0.5"), Some("width"));
        assert_eq!(nearest("Width=0.5"), Some("width"));
        assert_eq!(nearest("topk=3"), Some("top_k"));
        assert_eq!(nearest("budget=3"), Some("budget_ms"));
        assert_eq!(nearest("colour=3"), None);
        assert_eq!(nearest("=3"), None);
    }

    proptest! {
        #[test]
        fn no_query_does_worse_than_an_error_of_readable_length(query in ".{0,300}") {
            if let Err(error) = read(&query) {
                prop_assert!(error.to_string().len() < 800, "{}", error);
            }
        }
    }
}
