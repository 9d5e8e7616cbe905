//! `/livez` and `/readyz`, for orchestrators and load balancers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::server::Service;

/// The body of `/livez`.
#[derive(Serialize, ToSchema)]
pub(super) struct Liveness {
    live: bool,
}

/// The body of `/readyz`.
#[derive(Serialize, ToSchema)]
pub(super) struct Readiness {
    ready: bool,
    /// Why the server is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

/// 200 while the process is alive.
#[utoipa::path(get, path = "/livez", responses((status = 200, description = "The process is alive.", body = Liveness)))]
pub(super) async fn live() -> Json<Liveness> {
    Json(Liveness { live: true })
}

/// 200 once every worker has warmed up, until the server is asked to stop.
#[utoipa::path(get, path = "/readyz", responses(
    (status = 200, description = "The server is ready for requests.", body = Readiness),
    (status = 503, description = "The server is warming up or stopping.", body = Readiness),
))]
pub(super) async fn ready(State(service): State<Arc<Service>>) -> (StatusCode, Json<Readiness>) {
    if service.is_ready() {
        (StatusCode::OK, Json(Readiness { ready: true, error: None, code: None }))
    } else {
        let error = Some("the server is warming up or stopping");
        (StatusCode::SERVICE_UNAVAILABLE, Json(Readiness { ready: false, error, code: Some("not_ready") }))
    }
}
