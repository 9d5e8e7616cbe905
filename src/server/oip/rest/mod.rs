//! The REST encoding: routes, paths and status codes.

mod answer;
mod body;
mod control;
mod describe;
mod json;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;

use super::infer::Prepared;
use super::{InferRequest, infer, unreadable};
use crate::server::Service;
use crate::server::error::ApiError;
use crate::server::http::Incoming;
use crate::server::memory::Growing;
use crate::server::request::WrittenParameters;

/// The model of a path, and its version; an empty one is the default.
#[derive(Debug, Deserialize)]
struct ModelPath {
    model: String,
    #[serde(default)]
    version: String,
}

/// The routes under `/v2`.
pub(in crate::server) fn routes() -> Router<Arc<Service>> {
    let infer = || post(infer_model).layer(DefaultBodyLimit::disable());
    let mut routes = Router::new()
        .route("/v2", get(describe::server))
        .route("/v2/health/live", get(describe::live))
        .route("/v2/health/ready", get(describe::ready))
        .route("/v2/models", get(describe::models))
        .route("/v2/models/stats", get(describe::all_statistics))
        .route("/v2/repository/index", post(describe::index))
        .route("/v2/repository/models/{model}/load", post(control::load))
        .route("/v2/repository/models/{model}/unload", post(control::unload));
    for model in ["/v2/models/{model}", "/v2/models/{model}/versions/{version}"] {
        routes = routes
            .route(model, get(describe::model))
            .route(&format!("{model}/ready"), get(describe::model_ready))
            .route(&format!("{model}/config"), get(describe::config))
            .route(&format!("{model}/stats"), get(describe::statistics))
            .route(&format!("{model}/infer"), infer());
    }
    routes
}

/// Runs a model.
async fn infer_model(
    State(service): State<Arc<Service>>,
    path: Result<Path<ModelPath>, PathRejection>,
    request: Request,
) -> Response {
    let started_at = Instant::now();
    let _in_flight = service.begin_request();
    let (parts, body) = request.into_parts();
    let mut body = Incoming::new(body, &service);
    let prepared = read(&service, path, &parts, &mut body, started_at).await;
    let (ask, outcome) = match prepared {
        Ok((prepared, growing)) => {
            let ask = prepared.ask.clone();
            (Some(ask), infer(&service, prepared, growing.reserved()).await)
        }
        Err(error) => (None, Err(error)),
    };
    let response = match outcome.and_then(answer::respond) {
        Ok(response) => response,
        Err(error) => {
            body.discard(&parts).await;
            service.refuse(error)
        }
    };
    service.count_response(ask.as_ref(), &response, started_at);
    response
}

async fn read(
    service: &Arc<Service>,
    path: Result<Path<ModelPath>, PathRejection>,
    parts: &Parts,
    body: &mut Incoming<'_>,
    arrived: Instant,
) -> Result<(Prepared, Growing), ApiError> {
    let ModelPath { model, version } = model_of(path)?;
    let served = service.model(&model, &version)?;
    let written = WrittenParameters::of(parts.uri.query().unwrap_or_default(), &parts.headers)?;
    let json_length = body::json_length(&parts.headers)?;
    let (bytes, growing) = body.bytes(&parts.headers).await?;
    let (request, growing): (InferRequest, Growing) = body::read(service, bytes, growing, json_length, &served).await?;
    let prepared = Prepared::read(service, served, request, written, arrived)?;
    Ok((prepared, growing))
}

fn model_of(path: Result<Path<ModelPath>, PathRejection>) -> Result<ModelPath, ApiError> {
    path.map(|Path(path)| path).map_err(|_| unreadable("the path is not valid UTF-8"))
}
