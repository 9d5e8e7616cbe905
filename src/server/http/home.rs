//! `/`: a word to whoever looks what this is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::PATHS;
use crate::server::Service;

pub(super) async fn home(State(service): State<Arc<Service>>) -> Json<Value> {
    let repository = service.repository();
    Json(json!({
        "name": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "about": env!("CARGO_PKG_DESCRIPTION"),
        "models": repository.by_name().map(|(name, _)| name).collect::<Vec<_>>(),
        "default_model": repository.default_name(),
        "paths": PATHS.split(", ").collect::<Vec<_>>(),
        "try": "curl --data-binary @photo.jpg 'http://HOST:PORT/classify?width=0.5'",
    }))
}
