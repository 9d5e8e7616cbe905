//! The wire format of an answer to `/classify`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::engine::{Prediction, Scores, Width};
use crate::repository::ServedModel;
use crate::scheduler::Answer;
use crate::server::answered::{Answered, Milliseconds};
use crate::server::request::Ask;

/// The answer to one image, or to several files.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Answer)]
pub(super) enum Body<'a> {
    One(One<'a>),
    Several(Several<'a>),
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
pub(super) fn one(ask: &Ask, answer: &Answer, top_k: usize) -> Response {
    let served = ask.model.as_ref();
    let answered = Answered::of(&served.name, std::slice::from_ref(answer), ask.arrived);
    let body = Body::One(One {
        model: &served.name,
        version: served.version.to_string(),
        precision: served.model.precision().name(),
        result: Classified::of(served, answer, top_k),
        timing_ms: answered.timing,
    });
    respond(&body, answered)
}

/// The answer to one or more files of a form, in their order.
pub(super) fn several(ask: &Ask, names: &[String], answers: &[Answer], top_k: usize) -> Response {
    let served = ask.model.as_ref();
    let answered = Answered::of(&served.name, answers, ask.arrived);
    let results = names.iter().zip(answers);
    let results = results.map(|(name, answer)| Named { name, result: Classified::of(served, answer, top_k) });
    let body = Body::Several(Several {
        model: &served.name,
        version: served.version.to_string(),
        precision: served.model.precision().name(),
        results: results.collect(),
        timing_ms: answered.timing,
    });
    respond(&body, answered)
}

impl Classified {
    fn of(served: &ServedModel, answer: &Answer, top_k: usize) -> Classified {
        let step = |(width, scores): &(Width, Scores)| WidthStep {
            width: *width,
            predictions: labelled(served, &scores.top(top_k)),
        };
        Classified {
            width: answer.width,
            reason: answer.reason.word(),
            late: answer.late,
            predictions: labelled(served, &answer.scores.top(top_k)),
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

fn respond(body: &Body<'_>, answered: Answered) -> Response {
    let mut response = Json(body).into_response();
    answered.put_in(&mut response);
    response
}
