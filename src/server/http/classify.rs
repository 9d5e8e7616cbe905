//! `POST /classify`: classifies images.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use futures_util::future::try_join_all;
use prometheus::IntGauge;

use super::answer::{self, Answered, Body};
use super::body::{Images, Incoming};
use super::described::{Form, ImageFile};
use super::error::{ApiError, Described, File};
use super::parameters::{Headers, Parameters, Query};
use crate::engine::Width;
use crate::policy::RequestOptions;
use crate::repository::ServedModel;
use crate::scheduler::{Answer, Job, JobError, Ticket};
use crate::server::Service;

/// What a request asks for each of its images.
struct Ask {
    model: Arc<ServedModel>,
    options: RequestOptions,
    confidence: Option<f32>,
    budget: Option<Duration>,
    arrived: Instant,
    top_k: usize,
    all_widths: bool,
}

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
    let _in_flight = InFlight::begin(&service.metrics.requests_in_flight);
    let (parts, body) = request.into_parts();
    let mut body = Incoming::new(body, &service);

    let ask = Ask::read(&service, &parts, started_at);
    let outcome = match &ask {
        Ok(ask) => answer(&service, ask, &mut body, &parts.headers, started_at).await,
        Err(error) => Err(error.clone()),
    };
    let response = match outcome {
        Ok(response) => response,
        Err(error) => {
            body.discard(&parts).await;
            if let Some(reason) = error.refusal() {
                service.metrics.request_refused(reason);
            }
            error.answer(service.chances.next())
        }
    };
    count(&service, ask.ok().as_ref(), &response, started_at);
    response
}

impl Ask {
    fn read(service: &Service, parts: &Parts, arrived: Instant) -> Result<Ask, ApiError> {
        let parameters = Parameters::read(parts.uri.query().unwrap_or_default(), &parts.headers)?;
        let model = service.repository.find(parameters.model.as_deref(), parameters.version)?.clone();
        let classes = model.model.classes();
        let top_k = match parameters.top_k {
            Some(number) => number.within(1..=classes)?,
            None => USUAL_TOP_K.min(classes),
        };
        let Parameters { mut options, confidence, budget, all_widths, .. } = parameters;
        if all_widths {
            // `all_widths` without `width` pins full width.
            options.width = options.width.or(Some(Width::FULL));
        }
        Ok(Ask { model, options, confidence, budget, arrived, top_k, all_widths })
    }

    fn job(&self, image: Bytes) -> Job {
        let Ask { options, confidence, budget, arrived, top_k, all_widths, .. } = *self;
        Job { model: self.model.clone(), image, options, confidence, arrived, budget, top_k, all_widths }
    }
}

async fn answer(
    service: &Service,
    ask: &Ask,
    body: &mut Incoming<'_>,
    headers: &HeaderMap,
    started_at: Instant,
) -> Result<Response, ApiError> {
    let (images, reserved) = body.images(headers).await?;
    // The images now hold the memory: it is released when the last of them is decoded, not when the request is answered.
    match images {
        Images::One { image, stripped } => {
            let job = ask.job(reserved.hold(image));
            drop(reserved);
            let answers = run(service, vec![job], |_, error| ApiError::of_job(error, None, stripped)).await?;
            Ok(answer::one(&ask.model, &answers[0], started_at))
        }
        Images::Files(files) => {
            let (names, images): (Vec<_>, Vec<_>) = files.into_iter().unzip();
            let jobs = images.into_iter().map(|image| ask.job(reserved.hold(image))).collect();
            drop(reserved);
            let file = |index| Some(File { index, name: String::clone(&names[index]) });
            let answers = run(service, jobs, |index, error| ApiError::of_job(error, file(index), false)).await?;
            Ok(answer::several(&ask.model, &names, &answers, started_at))
        }
    }
}

/// The answers to all jobs in order, or the first error. On an error, the other jobs are abandoned.
async fn run(
    service: &Service,
    jobs: Vec<Job>,
    blame: impl Fn(usize, JobError) -> ApiError,
) -> Result<Vec<Answer>, ApiError> {
    let tickets = service.scheduler.submit(jobs)?;
    let blame = &blame;
    let answer =
        |(index, ticket): (usize, Ticket)| async move { ticket.answer().await.map_err(|error| blame(index, error)) };
    try_join_all(tickets.into_iter().enumerate().map(answer)).await
}

fn count(service: &Service, ask: Option<&Ask>, response: &Response, started_at: Instant) {
    let model = ask.map(|ask| ask.model.name.as_str());
    let ran = ask.zip(response.extensions().get::<Answered>());
    let step = ran.map(|(ask, answered)| ask.model.model.step(answered.width));
    service.metrics.request_ended(model, step, response.status().as_str(), started_at.elapsed());
}

/// Counts a request while it is in progress, including one that is dropped because its caller disconnects.
struct InFlight<'a>(&'a IntGauge);

impl<'a> InFlight<'a> {
    fn begin(gauge: &'a IntGauge) -> InFlight<'a> {
        gauge.inc();
        InFlight(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
