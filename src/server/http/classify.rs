//! `POST /classify`: classifies images.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;

use super::answer::{self, Body};
use super::body::{Images, Incoming};
use super::described::{Form, ImageFile};
use super::error::Described;
use super::parameters::{Headers, Query};
use crate::engine::Width;
use crate::scheduler::Input;
use crate::server::Service;
use crate::server::error::{ApiError, File};
use crate::server::request::{Ask, Parameters, WrittenParameters};

/// The default of `top_k`.
const USUAL_TOP_K: usize = 5;

/// Classifies one image or several files, at the widest width that time allows.
#[utoipa::path(
    post,
    path = "/classify",
    params(Query, Headers),
    request_body(
        description = "An image, or several as files of a form. An image's type is detected from its first bytes.",
        content(
            (inline(ImageFile) = "application/octet-stream"),
            (inline(ImageFile) = "image/jpeg"),
            (inline(ImageFile) = "image/png"),
            (inline(ImageFile) = "image/webp"),
            (Form = "multipart/form-data"),
        ),
    ),
    responses(
        (
            status = 200, description = "The most probable classes, in descending order.", body = Body,
            headers(
                ("x-width" = Width, description = "The width that ran; of several files, the widest."),
                ("server-timing" = String, description = "The values of `timing_ms`, for browsers."),
                ("x-request-id" = String, description = "The request's ID: the caller's, or a generated one."),
            ),
        ),
        Described,
    ),
)]
pub(super) async fn classify(State(service): State<Arc<Service>>, request: Request) -> Response {
    let started_at = Instant::now();
    let _in_flight = service.begin_request();
    let (parts, body) = request.into_parts();
    let mut body = Incoming::new(body, &service);

    let ask = read(&service, &parts, started_at);
    let outcome = match &ask {
        Ok((ask, top_k)) => answer(&service, ask, *top_k, &mut body, &parts.headers).await,
        Err(error) => Err(error.clone()),
    };
    let response = match outcome {
        Ok(response) => response,
        Err(error) => {
            body.discard(&parts).await;
            service.refuse(error)
        }
    };
    service.count_response(ask.ok().map(|(ask, _)| ask).as_ref(), &response, started_at);
    response
}

/// What the request asks for, and how many classes its answer names.
fn read(service: &Service, parts: &Parts, arrived: Instant) -> Result<(Ask, usize), ApiError> {
    let written = WrittenParameters::of(parts.uri.query().unwrap_or_default(), &parts.headers)?;
    let parameters = Parameters::read(written)?;
    let model = service.repository().find(parameters.model.as_deref(), parameters.version)?.clone();
    let classes = model.model.classes();
    let top_k = match &parameters.top_k {
        Some(number) => number.within(1..=classes)?,
        None => USUAL_TOP_K.min(classes),
    };
    Ok((Ask::new(&parameters, model, arrived), top_k))
}

async fn answer(
    service: &Service,
    ask: &Ask,
    top_k: usize,
    body: &mut Incoming<'_>,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let (images, reserved) = body.images(headers).await?;
    // The images now hold the memory: it is released when the last of them is decoded, not when the request is answered.
    match images {
        Images::One { image, stripped } => {
            let job = ask.job(Input::Encoded(reserved.hold(image)));
            drop(reserved);
            let answers = service.run(vec![job], |_, error| ApiError::of_job(error, None, stripped)).await?;
            Ok(answer::one(ask, &answers[0], top_k))
        }
        Images::Files(files) => {
            let (names, images): (Vec<_>, Vec<_>) = files.into_iter().unzip();
            let jobs = images.into_iter().map(|image| ask.job(Input::Encoded(reserved.hold(image)))).collect();
            drop(reserved);
            let file = |index| Some(File { index, name: String::clone(&names[index]) });
            let answers = service.run(jobs, |index, error| ApiError::of_job(error, file(index), false)).await?;
            Ok(answer::several(ask, &names, &answers, top_k))
        }
    }
}
