//! CORS: which origins may send requests from a browser, and which response headers they may read.

use std::time::Duration;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer, ExposeHeaders};

use crate::server::CorsOrigin;

/// The response headers of `/classify` that pages may read.
const EXPOSED: [HeaderName; 4] = [
    HeaderName::from_static("x-width"),
    HeaderName::from_static("server-timing"),
    HeaderName::from_static("x-request-id"),
    RETRY_AFTER,
];
/// How long a browser may cache the answer to a preflight request.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// The layer that answers preflight requests and adds CORS headers; `None` if no other origin is allowed.
pub(super) fn layer(origins: &[CorsOrigin]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let one = |origin: &CorsOrigin| match origin {
        CorsOrigin::Any => None,
        CorsOrigin::One(origin) => Some(HeaderValue::try_from(origin).ok()),
    };
    let allowed = match origins.iter().map(one).collect::<Option<Vec<_>>>() {
        Some(origins) => AllowOrigin::list(origins.into_iter().flatten()),
        None => AllowOrigin::any(),
    };
    let cors = CorsLayer::new().allow_origin(allowed).allow_methods([Method::GET, Method::HEAD, Method::POST]);
    let cors = cors.allow_headers(AllowHeaders::mirror_request()).expose_headers(ExposeHeaders::list(EXPOSED));
    Some(cors.max_age(MAX_AGE))
}
