//! What an answer to classify looks like on the wire.

use std::time::{Duration, Instant};

use axum::Json;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::engine::Width;
use crate::repository::ServedModel;
use crate::scheduler::{Answer, Prediction, Timing};

/// What the log line says of an answer.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    pub(super) model: String,
    pub(super) width: Width,
    pub(super) images: usize,
    pub(super) timing: Milliseconds,
}

/// The parts of a request's time. `total` is from the request's head to its answer, so it holds the body's arrival too.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Milliseconds {
    pub(super) queue: f64,
    pub(super) decode: f64,
    pub(super) inference: f64,
    pub(super) total: f64,
}

#[derive(Serialize)]
struct One<'a> {
    model: &'a str,
    version: String,
    #[serde(flatten)]
    result: Classified<'a>,
    timing_ms: Milliseconds,
}

#[derive(Serialize)]
struct Several<'a> {
    model: &'a str,
    version: String,
    results: Vec<Named<'a>>,
    timing_ms: Milliseconds,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    #[serde(flatten)]
    result: Classified<'a>,
}

#[derive(Serialize)]
struct Classified<'a> {
    width: Width,
    reason: &'static str,
    predictions: Vec<Labelled<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Vec<Step<'a>>>,
}

#[derive(Serialize)]
struct Step<'a> {
    width: Width,
    predictions: Vec<Labelled<'a>>,
}

#[derive(Serialize)]
struct Labelled<'a> {
    label: String,
    #[serde(flatten)]
    prediction: &'a Prediction,
}

/// The answer to one image.
pub(super) fn one(served: &ServedModel, answer: &Answer, started_at: Instant) -> Response {
    let timing_ms = Milliseconds::of(&[answer.timing], started_at);
    let body = One {
        model: &served.name,
        version: served.version.to_string(),
        result: Classified::of(served, answer),
        timing_ms,
    };
    respond(body, Answered { model: served.name.clone(), width: answer.width, images: 1, timing: timing_ms })
}

/// The answer to several files, at least one, in their order.
pub(super) fn several(served: &ServedModel, names: &[String], answers: &[Answer], started_at: Instant) -> Response {
    let timings: Vec<_> = answers.iter().map(|answer| answer.timing).collect();
    let timing_ms = Milliseconds::of(&timings, started_at);
    let results = names.iter().zip(answers);
    let results = results.map(|(name, answer)| Named { name, result: Classified::of(served, answer) }).collect();
    let body = Several { model: &served.name, version: served.version.to_string(), results, timing_ms };
    let width = answers.iter().map(|answer| answer.width).max().unwrap_or(Width::FULL);
    respond(body, Answered { model: served.name.clone(), width, images: answers.len(), timing: timing_ms })
}

impl Classified<'_> {
    fn of<'a>(served: &'a ServedModel, answer: &'a Answer) -> Classified<'a> {
        let step = |(width, predictions): &'a (Width, Vec<Prediction>)| Step {
            width: *width,
            predictions: labelled(served, predictions),
        };
        Classified {
            width: answer.width,
            reason: answer.reason.word(),
            predictions: labelled(served, &answer.predictions),
            profile: answer.profile.as_ref().map(|profile| profile.iter().map(step).collect()),
        }
    }
}

fn labelled<'a>(served: &ServedModel, predictions: &'a [Prediction]) -> Vec<Labelled<'a>> {
    let metadata = served.model.metadata();
    predictions.iter().map(|prediction| Labelled { label: metadata.label(prediction.index), prediction }).collect()
}

fn respond(body: impl Serialize, answered: Answered) -> Response {
    let mut response = Json(body).into_response();
    let headers = response.headers_mut();
    // Digits and punctuation only: these are always header values.
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
    /// The slowest of each part: the files of a request run side by side.
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

/// To the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
