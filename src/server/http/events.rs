//! `GET /events`: the stream of [`crate::server::events`] as an answer.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::error::{ApiError, Body};
use crate::scheduler::Refused;
use crate::server::Service;
use crate::server::events::{SubscribeError, subscribe};

/// Tells proxies that would collect an answer before they pass it on not to.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What the server is doing, several times a second: an event is a JSON object, as the page draws it.
#[utoipa::path(get, path = "/events", responses(
    (status = 200, description = "A stream of server-sent events.", body = String, content_type = "text/event-stream"),
    (
        status = 503, description = "Too many listen, or the server is stopping.", body = Body,
        headers(("retry-after" = u64, description = "Seconds after which to try again.")),
    ),
))]
pub(super) async fn events(State(service): State<Arc<Service>>) -> Response {
    let chance = service.chances.next();
    match subscribe(service) {
        Ok(body) => {
            let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store"), (BUFFERING, "no")];
            (headers, body).into_response()
        }
        Err(SubscribeError::Full { most }) => ApiError::TooManySubscribers { most }.answer(chance),
        Err(SubscribeError::Stopping) => ApiError::Refused(Refused::Closed).answer(chance),
    }
}
