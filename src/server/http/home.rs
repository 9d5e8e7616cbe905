//! `/`: the page for browsers, a JSON summary for programs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::VARY;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::PATHS;
use crate::server::{Service, page};

pub(super) async fn home(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    match page::prefers_html(&headers) {
        true => page::index(&headers),
        false => ([(VARY, "accept")], Json(about(&service))).into_response(),
    }
}

fn about(service: &Service) -> Value {
    let repository = service.repository();
    json!({
        "name": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "about": env!("CARGO_PKG_DESCRIPTION"),
        "models": repository.by_name().map(|(name, _)| name).collect::<Vec<_>>(),
        "default_model": repository.default_name(),
        "paths": PATHS.split(", ").collect::<Vec<_>>(),
        "try": "curl --data-binary @photo.jpg 'http://HOST:PORT/classify?width=0.5'",
    })
}
