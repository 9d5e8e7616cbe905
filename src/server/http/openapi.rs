//! `/openapi.json`: the OpenAPI document, assembled from the annotations of handlers and wire types.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::schema::{Array, Object, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{OpenApi, PartialSchema, ToSchema};

use super::error;
use super::{classify, events, health, metrics, models, profile};
use crate::engine::Width;
use crate::image::{Filter, Preprocessing};
use crate::server::error::ApiError;

// The paths bring their schemas, except that of errors.
#[derive(OpenApi)]
#[openapi(
    servers((url = "/", description = "The server that serves this document.")),
    paths(
        classify::classify,
        models::models,
        profile::profile,
        events::events,
        metrics::metrics,
        health::live,
        health::ready,
        openapi,
    ),
    components(schemas(error::Body))
)]
struct Document;

/// This document.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, description = "OpenAPI 3.1.", body = Object)))]
pub(super) async fn openapi() -> Response {
    match &*TEXT {
        Ok(text) => ([(CONTENT_TYPE, "application/json")], text.as_str()).into_response(),
        Err(reason) => {
            tracing::error!(%reason, "the description of the API cannot be written");
            ApiError::Internal.into_response()
        }
    }
}

/// Serialised once, because it is the same for every request.
static TEXT: LazyLock<serde_json::Result<String>> = LazyLock::new(|| Document::openapi().to_pretty_json());

impl PartialSchema for Width {
    fn schema() -> RefOr<Schema> {
        let number = Object::builder().schema_type(Type::Number).exclusive_minimum(Some(0)).maximum(Some(1));
        number.description(Some("Share of the channels: above 0 and up to 1, in steps of a millionth. 1 is written without a decimal point, so a parser may read an integer.")).into()
    }
}

impl ToSchema for Width {}

impl PartialSchema for Preprocessing {
    fn schema() -> RefOr<Schema> {
        let number = || Object::builder().schema_type(Type::Number);
        let crop = number().description(Some("Share of the shorter side that the centre crop keeps."));
        let range = Array::builder().items(number()).min_items(Some(2)).max_items(Some(2));
        let range = range.description(Some("The values of black and white in the input."));
        let filter = Object::builder().schema_type(Type::String).enum_values(Some(Filter::ALL.map(Filter::name)));
        let filter = filter.description(Some("The scaling filter; default bilinear."));
        let all = Object::builder().property("crop", crop).property("range", range).property("filter", filter);
        all.required("crop").required("range").description(Some("How an image is converted to the input.")).into()
    }
}

impl ToSchema for Preprocessing {}
