//! The wire format of an answer to `/classify`.

use std::time::{Duration, Instant};

use axum::Json;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::engine::{Prediction, Width};
use crate::repository::ServedModel;
use crate::scheduler::{Answer, Timing};

/// The values of an answer that the log line shows.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    pub(super) model: String,
    pub(super) width: Width,
    pub(super) images: usize,
    pub(super) timing: Milliseconds,
}

/// The answer to one image, or to several files.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Answer)]
pub(super) enum Body<'a> {
    One(One<'a>),
    Several(Several<'a>),
}

/// The parts of a request's time; of several files, the slowest of each. `total` is from the arrival of the headers to the
/// answer, so it includes the body's arrival.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(super) struct Milliseconds {
    pub(super) queue: f64,
    pub(super) decode: f64,
    pub(super) inference: f64,
    pub(super) total: f64,
}

/// The answer to one image.
#[derive(Serialize, ToSchema)]
#[schema(as = AnswerToOne)]
pub(super) struct One<'a> {
    /// The model that ran.
    model: &'a str,
    version: String,
    /// The numbers that it multiplies: `f32` or `bf16`.
    precision: &'static str,
    #[serde(flatten)]
    result: Classified,
    timing_ms: Milliseconds,
}

/// The answer to several files.
#[derive(Serialize, ToSchema)]
#[schema(as = AnswerToSeveral)]
pub(super) struct Several<'a> {
    /// The model that ran.
    model: &'a str,
    version: String,
    /// The numbers that it multiplies: `f32` or `bf16`.
    precision: &'static str,
    results: Vec<Named<'a>>,
    timing_ms: Milliseconds,
}

/// The result of one of several files.
#[derive(Serialize, ToSchema)]
#[schema(as = File)]
struct Named<'a> {
    /// The file's name, cut to 100 characters.
    name: &'a str,
    #[serde(flatten)]
    result: Classified,
}

/// The result of an image.
#[derive(Serialize, ToSchema)]
struct Classified {
    /// The width that ran.
    width: Width,
    /// What determined the width: `requested`, `budget`, `load`, `gain`, `accuracy`, `confident` or `full`.
    reason: &'static str,
    /// True if the deadline had passed when the answer was ready; otherwise omitted.
    #[serde(skip_serializing_if = "is_false")]
    #[schema(required = false)]
    late: bool,
    /// The most probable classes, in descending order.
    predictions: Vec<Labelled>,
    /// Every step of the model's widths, ascending; only with `all_widths=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    all_widths: Option<Vec<WidthStep>>,
}

/// The result of an image at one width.
#[derive(Serialize, ToSchema)]
struct WidthStep {
    width: Width,
    predictions: Vec<Labelled>,
}

/// A class and its probability.
#[derive(Serialize, ToSchema)]
#[schema(as = Prediction)]
struct Labelled {
    label: String,
    /// Counted from 0.
    index: usize,
    /// From 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    probability: f32,
}

/// The answer to one image.
pub(super) fn one(served: &ServedModel, answer: &Answer, started_at: Instant) -> Response {
    let timing_ms = Milliseconds::of(&[answer.timing], started_at);
    let body = Body::One(One {
        model: &served.name,
        version: served.version.to_string(),
        precision: served.model.precision().name(),
        result: Classified::of(served, answer),
        timing_ms,
    });
    respond(body, Answered { model: served.name.clone(), width: answer.width, images: 1, timing: timing_ms })
}

/// The answer to one or more files of a form, in their order.
pub(super) fn several(served: &ServedModel, names: &[String], answers: &[Answer], started_at: Instant) -> Response {
    let timings: Vec<_> = answers.iter().map(|answer| answer.timing).collect();
    let timing_ms = Milliseconds::of(&timings, started_at);
    let results = names.iter().zip(answers);
    let results = results.map(|(name, answer)| Named { name, result: Classified::of(served, answer) }).collect();
    let (version, precision) = (served.version.to_string(), served.model.precision().name());
    let body = Body::Several(Several { model: &served.name, version, precision, results, timing_ms });
    let width = answers.iter().map(|answer| answer.width).max().unwrap_or(Width::FULL);
    respond(body, Answered { model: served.name.clone(), width, images: answers.len(), timing: timing_ms })
}

impl Classified {
    fn of(served: &ServedModel, answer: &Answer) -> Classified {
        let step = |(width, predictions): &(Width, Vec<_>)| WidthStep {
            width: *width,
            predictions: labelled(served, predictions),
        };
        Classified {
            width: answer.width,
            reason: answer.reason.word(),
            late: answer.late,
            predictions: labelled(served, &answer.predictions),
            all_widths: answer.all_widths.as_ref().map(|widths| widths.iter().map(step).collect()),
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn labelled(served: &ServedModel, predictions: &[Prediction]) -> Vec<Labelled> {
    let label = |index| served.model.metadata().label(index);
    let labelled = |&Prediction { index, probability }: &_| Labelled { label: label(index), index, probability };
    predictions.iter().map(labelled).collect()
}

fn respond(body: Body<'_>, answered: Answered) -> Response {
    let mut response = Json(body).into_response();
    let headers = response.headers_mut();
    // Digits and punctuation only, which are always valid in a header.
    if let Ok(width) = HeaderValue::try_from(answered.width.to_string()) {
        headers.insert("x-width", width);
    }
    if let Ok(timing) = HeaderValue::try_from(answered.timing.server_timing()) {
        headers.insert("server-timing", timing);
    }
    response.extensions_mut().insert(answered);
    response
}

impl Milliseconds {
    /// The slowest of each part, because the files of a request run concurrently.
    fn of(timings: &[Timing], started_at: Instant) -> Milliseconds {
        let slowest = |part: fn(&Timing) -> Duration| milliseconds(timings.iter().map(part).max().unwrap_or_default());
        Milliseconds {
            queue: slowest(|timing| timing.queue),
            decode: slowest(|timing| timing.decode),
            inference: slowest(|timing| timing.inference),
            total: milliseconds(started_at.elapsed()),
        }
    }

    fn server_timing(&self) -> String {
        let Milliseconds { queue, decode, inference, total } = self;
        format!("queue;dur={queue}, decode;dur={decode}, inference;dur={inference}, total;dur={total}")
    }
}

/// Milliseconds with microsecond resolution.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
