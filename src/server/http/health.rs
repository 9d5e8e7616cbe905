//! `/livez` and `/readyz`, for whoever starts, routes to and restarts the server.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::server::Service;

/// 200 for as long as the process answers at all.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

/// 200 once every worker has warmed up, until the server is asked to stop.
pub(super) async fn ready(State(service): State<Arc<Service>>) -> (StatusCode, Json<Value>) {
    if service.is_ready() {
        (StatusCode::OK, Json(json!({ "ready": true })))
    } else {
        let error = "the server is warming up or stopping";
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "ready": false, "error": error, "code": "not_ready" })))
    }
}
