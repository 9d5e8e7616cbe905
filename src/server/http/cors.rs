//! Pages of other origins: which of them browsers let ask, and what of an answer they may see.

use std::time::Duration;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer, ExposeHeaders};

use crate::server::CorsOrigin;

/// The headers of answers that say something of a request to classify.
const EXPOSED: [HeaderName; 4] = [
    HeaderName::from_static("x-width"),
    HeaderName::from_static("server-timing"),
    HeaderName::from_static("x-request-id"),
    RETRY_AFTER,
];
/// For so long a browser need not ask again whether it may.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// Answers browsers' questions, and says in every answer who may see it; `None` where nobody of another origin may.
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
