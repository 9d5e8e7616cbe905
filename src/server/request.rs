//! What a request asks for, whatever its protocol: reads and validates its parameters.
//!
//! A parameter has one name in every protocol. A value in the body overrides one in the query, which overrides one in a header.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use form_urlencoded::parse;

use super::error::ApiError;
use crate::engine::{Width, WidthError};
use crate::nearest::nearest;
use crate::policy::{MAX_BUDGET, Priority, RequestOptions};
use crate::repository::ServedModel;
use crate::scheduler::{Input, Job};

/// The parameters of a request.
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
    place: String,
}

/// What a request asks for each of its images.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) model: Arc<ServedModel>,
    pub(super) options: RequestOptions,
    pub(super) confidence: Option<f32>,
    pub(super) budget: Option<Duration>,
    /// Arrival of the request's headers.
    pub(super) arrived: Instant,
    pub(super) all_widths: bool,
}

/// The values of a request's parameters as it wrote them, in the order of [`KNOWN`].
#[derive(Debug, Default)]
pub(super) struct WrittenParameters([Option<Written>; KNOWN.len()]);

/// A value as a request wrote it, and its place, for an error.
#[derive(Debug)]
struct Written {
    text: String,
    place: String,
    in_body: bool,
}

/// The names of the parameters.
pub(super) const KNOWN: [&str; 9] =
    ["width", "budget_ms", "min_accuracy", "confidence", "priority", "top_k", "model", "version", "all_widths"];
/// The headers of parameters, by the parameter's index in [`KNOWN`].
pub(super) const HEADERS: [(usize, &str); 2] = [(0, "x-width"), (1, "x-latency-budget-ms")];

impl Ask {
    /// What these parameters ask of this model.
    pub(super) fn new(parameters: &Parameters, model: Arc<ServedModel>, arrived: Instant) -> Ask {
        let &Parameters { mut options, confidence, budget, all_widths, .. } = parameters;
        if all_widths {
            // `all_widths` without `width` pins full width.
            options.width = options.width.or(Some(Width::FULL));
        }
        Ask { model, options, confidence, budget, arrived, all_widths }
    }

    /// The job for one image.
    pub(super) fn job(&self, input: Input) -> Job {
        let Ask { options, confidence, budget, arrived, all_widths, .. } = *self;
        Job { model: self.model.clone(), input, options, confidence, arrived, budget, all_widths }
    }
}

impl WrittenParameters {
    /// The parameters in the query and, where that has none, in the headers.
    pub(super) fn of(query: &str, headers: &HeaderMap) -> Result<WrittenParameters, ApiError> {
        let mut written = WrittenParameters::default();
        for (name, value) in parse(query.as_bytes()) {
            let index = written.index(&name)?;
            let place = format!("the query parameter {:?}", KNOWN[index]);
            let value = Written { text: value.into_owned(), place, in_body: false };
            if written.0[index].replace(value).is_some() {
                return Err(ApiError::RepeatedParameter { name: KNOWN[index] });
            }
        }
        for (index, name) in HEADERS {
            if written.0[index].is_none() {
                written.0[index] = header(headers, name)?;
            }
        }
        Ok(written)
    }

    /// Sets a parameter from the body.
    pub(super) fn set(&mut self, name: &str, text: String) -> Result<(), ApiError> {
        self.set_as(name, name, text)
    }

    /// Sets the parameter `name` from metadata, where it is called `alias`, unless a header has set it.
    pub(super) fn set_default(&mut self, alias: &str, name: &str, text: String) -> Result<(), ApiError> {
        let index = self.index(name)?;
        let place = format!("the header {alias}");
        self.0[index].get_or_insert(Written { text, place, in_body: false });
        Ok(())
    }

    /// Sets the parameter `name` from the body, where it is called `alias`.
    pub(super) fn set_as(&mut self, alias: &str, name: &str, text: String) -> Result<(), ApiError> {
        let index = self.index(name)?;
        let value = Written { text, place: format!("the parameter {alias:?}"), in_body: true };
        match self.0[index].replace(value) {
            Some(Written { in_body: true, .. }) => Err(ApiError::RepeatedParameter { name: KNOWN[index] }),
            _ => Ok(()),
        }
    }

    fn index(&self, name: &str) -> Result<usize, ApiError> {
        let unknown = || ApiError::UnknownParameter {
            name: shortened(name),
            nearest: nearest(name, KNOWN),
            known: KNOWN.join(", "),
        };
        KNOWN.iter().position(|known| *known == name).ok_or_else(unknown)
    }
}

impl Parameters {
    /// Reads the parameters.
    pub(super) fn read(written: WrittenParameters) -> Result<Parameters, ApiError> {
        let [width, budget, min_accuracy, confidence, priority, top_k, model, version, all_widths] = written.0;
        let parameters = Parameters {
            options: RequestOptions {
                width: width.as_ref().map(read_width).transpose()?.flatten(),
                min_accuracy: min_accuracy.as_ref().map(read_min_accuracy).transpose()?,
                priority: priority.as_ref().map(read_priority).transpose()?.unwrap_or_default(),
            },
            budget: budget.as_ref().map(read_budget).transpose()?,
            confidence: confidence.as_ref().map(read_confidence).transpose()?,
            top_k: top_k.map(|Written { text, place, .. }| Number { text, place }),
            model: model.map(read_name).transpose()?,
            version: version.as_ref().map(read_version).transpose()?,
            all_widths: all_widths.as_ref().map(read_switch).transpose()?.unwrap_or(false),
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
        let bad = |reason| bad_value(&self.text, &self.place, reason, allowed());
        match self.text.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            Ok(_) => Err(bad("out of range")),
            Err(_) => Err(bad(if self.text.is_empty() { "empty" } else { "not a whole number" })),
        }
    }
}

fn read_width(Written { text, place, .. }: &Written) -> Result<Option<Width>, ApiError> {
    if text == "auto" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| {
        let reason = match error {
            _ if text.is_empty() => "empty",
            WidthError::NotDecimal => "not a decimal number",
            WidthError::OutOfRange => "out of range",
        };
        bad_value(text, place, reason, "a decimal number above 0 and up to 1, or auto".to_owned())
    })
}

fn read_budget(budget: &Written) -> Result<Duration, ApiError> {
    let most = MAX_BUDGET.as_millis();
    let range = |ms: f64| ms > 0.0 && ms <= most as f64;
    let ms = read_decimal(budget, range, || format!("a decimal number of milliseconds above 0 and up to {most}"))?;
    Ok(Duration::from_secs_f64(ms / 1e3))
}

fn read_min_accuracy(share: &Written) -> Result<f64, ApiError> {
    let range = |share: f64| (0.0..=1.0).contains(&share);
    read_decimal(share, range, || "a decimal number from 0 to 1".to_owned())
}

fn read_confidence(share: &Written) -> Result<f32, ApiError> {
    let range = |share: f64| share > 0.0 && share <= 1.0;
    let allowed = || "a decimal number above 0 and up to 1".to_owned();
    Ok(read_decimal(share, range, allowed)? as f32)
}

fn read_decimal(
    Written { text, place, .. }: &Written,
    range: impl Fn(f64) -> bool,
    allowed: impl Fn() -> String,
) -> Result<f64, ApiError> {
    match text.parse::<f64>() {
        Ok(number) if range(number) => Ok(number),
        Ok(number) if !number.is_nan() => Err(bad_value(text, place, "out of range", allowed())),
        _ if text.is_empty() => Err(bad_value(text, place, "empty", allowed())),
        _ => Err(bad_value(text, place, "not a decimal number", allowed())),
    }
}

fn read_priority(Written { text, place, .. }: &Written) -> Result<Priority, ApiError> {
    match text.as_str() {
        "low" => Ok(Priority::Low),
        "normal" => Ok(Priority::Normal),
        "high" => Ok(Priority::High),
        _ => {
            let reason = if text.is_empty() { "empty" } else { "not a priority" };
            Err(bad_value(text, place, reason, "low, normal or high".to_owned()))
        }
    }
}

fn read_name(Written { text, place, .. }: Written) -> Result<String, ApiError> {
    match text.is_empty() {
        true => Err(bad_value(&text, &place, "empty", "a model's name, see /models".to_owned())),
        false => Ok(text),
    }
}

fn read_version(Written { text, place, .. }: &Written) -> Result<u64, ApiError> {
    text.parse().map_err(|_| {
        let reason = if text.is_empty() { "empty" } else { "not a whole number" };
        bad_value(text, place, reason, "a model's version, see /models".to_owned())
    })
}

fn read_switch(Written { text, place, .. }: &Written) -> Result<bool, ApiError> {
    // Case-insensitive, because Python writes `True`.
    text.to_ascii_lowercase().parse().map_err(|_| {
        let reason = if text.is_empty() { "empty" } else { "neither true nor false" };
        bad_value(text, place, reason, "true or false".to_owned())
    })
}

/// The value of a header.
fn header(headers: &HeaderMap, name: &'static str) -> Result<Option<Written>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    let place = format!("the header {name}");
    if values.next().is_some() {
        return Err(bad_value(&text, &place, "repeated", "one value".to_owned()));
    }
    Ok(Some(Written { text, place, in_body: false }))
}

fn bad_value(text: &str, place: &str, reason: &'static str, allowed: String) -> ApiError {
    ApiError::BadValue { value: shortened(text), parameter: place.to_owned(), reason, allowed }
}

/// A caller's text, cut for an error message.
pub(super) fn shortened(text: &str) -> String {
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

    use super::*;

    fn read(query: &str) -> Result<Parameters, ApiError> {
        Parameters::read(WrittenParameters::of(query, &HeaderMap::new())?)
    }

    fn with_header(query: &str, values: &[&'static str]) -> Result<Parameters, ApiError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("X-Width", HeaderValue::from_static(value));
        }
        Parameters::read(WrittenParameters::of(query, &headers)?)
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
        let budget = |query: &str| Parameters::read(WrittenParameters::of(query, &headers).unwrap()).unwrap().budget;
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
