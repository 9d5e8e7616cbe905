//! The HTTP interface: routes and shared layers. One file per endpoint or concern.

mod answer;
mod body;
mod classify;
mod connection_close;
mod cors;
mod described;
mod error;
mod events;
mod form;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod health;
mod home;
mod inflate;
mod metrics;
mod models;
mod observe;
mod openapi;
mod parameters;
mod profile;
mod retry;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tower::util::option_layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};

use super::oip::{self, Health};
use super::{Service, page};
use crate::server::error::{self as errors, ApiError};
pub(super) use body::Incoming;
pub(super) use inflate::{Inflaters, MAX_ENCODINGS};
pub(super) use retry::{Chances, retry_after};

/// Every path, listed in the error for an unknown one.
pub(super) const PATHS: &str =
    "/, /classify, /models, /profile, /events, /metrics, /livez, /readyz, /openapi.json, /v2";

/// Every route, and what reports the server's health over gRPC.
pub(super) fn router(service: Arc<Service>) -> (Router, Health) {
    let (grpc, health) = oip::grpc_routes(&service);
    for reason in errors::REFUSALS {
        // Creates the series at zero.
        service.metrics.refusals.with_label_values(&[reason]);
    }
    let router = Router::new()
        .route("/", get(home::home))
        // The handler enforces its own limits.
        .route("/classify", post(classify::classify).layer(DefaultBodyLimit::disable()))
        .route("/models", get(models::models))
        .route("/profile", get(profile::profile))
        .route("/events", get(events::events))
        .route("/metrics", get(metrics::metrics))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/openapi.json", get(openapi::openapi))
        .merge(page::routes())
        .merge(oip::rest_routes())
        .merge(grpc)
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(service.clone())
        // One call, outermost first: each call of `layer` costs every request some allocations.
        .layer((
            from_fn(observe::check_request_id),
            SetRequestIdLayer::x_request_id(MakeRequestUuid),
            PropagateRequestIdLayer::x_request_id(),
            from_fn(observe::observe),
            from_fn_with_state(service.clone(), connection_close::close_when_stopping),
            option_layer(cors::layer(&service.cors_origins)),
            CatchPanicLayer::custom(|_| error::into_response(ApiError::Internal)),
        ));
    (router, health)
}

/// The answer to invalid headers. It replaces `head`, hyper's own answer, of which only the status is used.
pub(super) fn rejection(head: &[u8]) -> Vec<u8> {
    let status = head.split(|&byte| byte == b' ').nth(1).and_then(|status| StatusCode::from_bytes(status).ok());
    let error = match status {
        Some(StatusCode::URI_TOO_LONG) => ApiError::TargetTooLong,
        Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => ApiError::HeadTooLarge,
        _ => ApiError::BadHead,
    };
    error.written()
}

/// The answer to headers that do not arrive in time.
pub(super) fn slow_head(read_timeout: Duration) -> Vec<u8> {
    ApiError::SlowHead { timeout_ms: read_timeout.as_millis() }.written()
}

async fn no_such_path(request: Request) -> ApiError {
    ApiError::NoSuchPath { path: path(&request) }
}

async fn no_such_method(request: Request) -> ApiError {
    ApiError::NoSuchMethod { method: request.method().to_string(), path: path(&request) }
}

/// The path, cut for an error message.
fn path(request: &Request) -> String {
    request.uri().path().chars().take(100).collect()
}
