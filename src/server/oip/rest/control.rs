//! The routes that load and unload models. Bodies are ignored: the files are in the server's own folder.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::{ModelPath, model_of};
use crate::server::Service;
use crate::server::error::ApiError;

type Named = Result<Path<ModelPath>, PathRejection>;

/// Loads a model from the folder, or loads its new versions.
pub(super) async fn load(State(service): State<Arc<Service>>, path: Named) -> Result<Json<Value>, ApiError> {
    service.load(&model_of(path)?.model).await?;
    Ok(Json(json!({})))
}

/// Serves a model no longer.
pub(super) async fn unload(State(service): State<Arc<Service>>, path: Named) -> Result<Json<Value>, ApiError> {
    service.unload(&model_of(path)?.model).await?;
    Ok(Json(json!({})))
}
