//! The routes that describe the server and its models, as JSON.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{ModelPath, model_of};
use crate::repository::ServedModel;
use crate::server::Service;
use crate::server::error::ApiError;
use crate::server::oip::describe::{self, IndexEntry, ModelMetadata, PLATFORM, TensorMetadata};
use crate::server::oip::statistics::{ModelStatistics, Total};
use crate::server::oip::{EXTENSIONS, SERVER, unreadable};

type Named = Result<Path<ModelPath>, PathRejection>;

/// The server.
pub(super) async fn server() -> Json<Value> {
    Json(json!({ "name": SERVER, "version": env!("CARGO_PKG_VERSION"), "extensions": EXTENSIONS }))
}

/// Whether the process is alive.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

/// Whether the server is ready. The specification shows `live` in this answer; clients read `ready`.
pub(super) async fn ready(State(service): State<Arc<Service>>) -> (StatusCode, Json<Value>) {
    let ready = service.is_ready();
    (status(ready), Json(json!({ "live": true, "ready": ready })))
}

/// The names of all models.
pub(super) async fn models(State(service): State<Arc<Service>>) -> Json<Value> {
    let repository = service.repository();
    Json(json!({ "models": repository.by_name().map(|(name, _)| name).collect::<Vec<_>>() }))
}

/// A model's metadata.
pub(super) async fn model(State(service): State<Arc<Service>>, path: Named) -> Result<Json<Value>, ApiError> {
    let metadata = ModelMetadata::of(&service, find(&service, path)?.as_ref());
    let tensors = |tensors: &[TensorMetadata]| tensors.iter().map(tensor).collect::<Vec<_>>();
    Ok(Json(json!({
        "name": metadata.name,
        "versions": metadata.versions,
        "platform": PLATFORM,
        "inputs": tensors(&metadata.inputs),
        "outputs": tensors(&metadata.outputs),
        "properties": metadata.properties,
    })))
}

/// Whether a model is ready.
pub(super) async fn model_ready(
    State(service): State<Arc<Service>>,
    path: Named,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let (served, ready) = (find(&service, path)?, service.is_ready());
    Ok((status(ready), Json(json!({ "name": served.name, "ready": ready }))))
}

/// A model's configuration, in Triton's form.
pub(super) async fn config(State(service): State<Arc<Service>>, path: Named) -> Result<Json<Value>, ApiError> {
    let metadata = ModelMetadata::of(&service, find(&service, path)?.as_ref());
    let tensors = |tensors: &[TensorMetadata]| {
        let config = |tensor: &TensorMetadata| json!({ "name": tensor.name, "data_type": format!("TYPE_{}", tensor.datatype), "dims": tensor.shape[1..] });
        tensors.iter().map(config).collect::<Vec<_>>()
    };
    Ok(Json(json!({
        "name": metadata.name,
        "platform": PLATFORM,
        "backend": SERVER,
        "max_batch_size": service.limits.max_files,
        "input": tensors(&metadata.inputs),
        "output": tensors(&metadata.outputs),
        "instance_group": [{ "name": metadata.name, "kind": "KIND_CPU", "count": service.scheduler.settings().workers }],
    })))
}

/// What a model did so far.
pub(super) async fn statistics(State(service): State<Arc<Service>>, path: Named) -> Result<Json<Value>, ApiError> {
    let served = find(&service, path)?;
    Ok(Json(json!({ "model_stats": [model_statistics(&service, &served)] })))
}

/// What every model did so far.
pub(super) async fn all_statistics(State(service): State<Arc<Service>>) -> Json<Value> {
    let repository = service.repository();
    let all = repository.all().map(|served| model_statistics(&service, served));
    Json(json!({ "model_stats": all.collect::<Vec<_>>() }))
}

/// All models of the repository.
pub(super) async fn index(State(service): State<Arc<Service>>, body: Bytes) -> Result<Json<Value>, ApiError> {
    let request: Value = match body.trim_ascii() {
        b"" => Value::Null,
        text => serde_json::from_slice(text).map_err(|error| unreadable(error.to_string()))?,
    };
    let only_ready = request.get("ready").and_then(Value::as_bool).unwrap_or(false);
    let entry = |IndexEntry { name, version, state, reason }: IndexEntry| match reason.is_empty() {
        true => json!({ "name": name, "version": version, "state": state }),
        false => json!({ "name": name, "version": version, "state": state, "reason": reason }),
    };
    Ok(Json(describe::index(&service, only_ready).into_iter().map(entry).collect()))
}

fn find(service: &Service, path: Named) -> Result<Arc<ServedModel>, ApiError> {
    let ModelPath { model, version } = model_of(path)?;
    service.model(&model, &version)
}

fn status(ready: bool) -> StatusCode {
    if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn tensor(tensor: &TensorMetadata) -> Value {
    json!({ "name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape })
}

fn model_statistics(service: &Service, served: &ServedModel) -> Value {
    let statistics = ModelStatistics::of(service, served);
    let total = |total: Total| json!({ "count": total.count, "ns": total.time.as_nanos() as u64 });
    json!({
        "name": statistics.name,
        "version": statistics.version,
        "inference_count": statistics.inference_count,
        "execution_count": statistics.execution_count,
        "inference_stats": {
            "success": total(statistics.success),
            "fail": total(statistics.fail),
            "queue": total(statistics.queue),
            "compute_input": total(statistics.compute_input),
            "compute_infer": total(statistics.compute_infer),
            "compute_output": total(Total::default()),
            "cache_hit": total(Total::default()),
            "cache_miss": total(Total::default()),
        },
        "batch_stats": [],
    })
}
