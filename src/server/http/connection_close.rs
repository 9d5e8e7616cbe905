//! Adds `Connection: close` to answers while the server is stopping.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::middleware::Next;
use axum::response::Response;

use crate::server::Service;

/// Ends each connection after its next answer while the server is stopping. Callers then reconnect through the load balancer,
/// and no request is under way when the last connections are closed.
pub(super) async fn close_when_stopping(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if service.is_stopping() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
