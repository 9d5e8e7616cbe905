//! `/metrics` for Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus::{TEXT_FORMAT, TextEncoder};
use tracing::error;

use crate::server::Service;
use crate::server::error::ApiError;

/// The metrics for Prometheus, described in docs/metrics.md.
#[utoipa::path(get, path = "/metrics", responses(
    (status = 200, description = "The Prometheus text format.", body = String, content_type = "text/plain"),
))]
pub(super) async fn metrics(State(service): State<Arc<Service>>) -> Response {
    service.scheduler.update_metrics();
    service.metrics.ready.set(service.is_ready().into());
    match TextEncoder::new().encode_to_string(&service.registry.gather()) {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(reason) => {
            error!(%reason, "the metrics cannot be written");
            ApiError::Internal.into_response()
        }
    }
}
