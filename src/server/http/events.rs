//! `GET /events`: serves the stream of [`crate::server::events`].

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::error::Body;
use crate::scheduler::Refused;
use crate::server::Service;
use crate::server::error::ApiError;
use crate::server::events::{SubscribeError, subscribe};

/// Turns off response buffering in proxies such as nginx.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The server's state several times per second; each event is a JSON object. The page draws these events.
#[utoipa::path(get, path = "/events", responses(
    (status = 200, description = "A stream of server-sent events.", body = String, content_type = "text/event-stream"),
    (
        status = 503, description = "Too many event subscribers, or the server is stopping.", body = Body,
        headers(("retry-after" = u64, description = "Seconds after which to retry.")),
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
