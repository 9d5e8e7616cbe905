//! `GET /profile`: the latency of each model at each width on this machine, with the current correction.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, Object, Type};

use crate::engine::Width;
use crate::policy::Profile;
use crate::server::Service;

/// The models' latencies.
#[derive(Serialize, ToSchema)]
pub(super) struct Profiles {
    /// Worker threads.
    workers: usize,
    models: Vec<ModelProfile>,
}

/// One model's latencies.
#[derive(Serialize, ToSchema)]
struct ModelProfile {
    name: String,
    version: String,
    /// The numbers that it multiplies: `f32` or `bf16`.
    precision: String,
    /// Ratio of the batches' current run time to the time measured at start-up.
    correction: f64,
    /// Recent mean time to decode an image; null before the first.
    #[schema(required)]
    decode_us: Option<f64>,
    /// Images per second that all workers together can answer, decoding included.
    capacity_at_full_width: f64,
    steps: Vec<ProfileStep>,
}

/// Latency and accuracy at one width.
#[derive(Serialize, ToSchema)]
struct ProfileStep {
    width: Width,
    /// From 0 to 1, as stated in the model file; null if it states none.
    #[schema(required)]
    accuracy: Option<f64>,
    /// Batch sizes and their latencies.
    #[schema(schema_with = described_latency)]
    latency_us: Vec<(usize, f64)>,
}

/// Pairs of numbers, in the form that client generators understand.
fn described_latency() -> Array {
    let number = Object::builder().schema_type(Type::Number);
    let pair = Array::builder().items(number).min_items(Some(2)).max_items(Some(2));
    let about = "Pairs of a batch size in images and the batch's latency in microseconds.";
    Array::builder().items(pair).description(Some(about)).build()
}

/// The latency of each width on this machine, with the current correction.
#[utoipa::path(get, path = "/profile", responses((status = 200, description = "Every served model.", body = Profiles)))]
pub(super) async fn profile(State(service): State<Arc<Service>>) -> Json<Profiles> {
    let (settings, decoding) = (service.scheduler.settings(), service.scheduler.statistics().decoding);
    let models = service.scheduler.models();
    let models = models.iter().map(|(served, profile, statistics)| ModelProfile {
        name: served.name.clone(),
        version: served.version.to_string(),
        precision: served.model.precision().to_string(),
        correction: statistics.correction,
        decode_us: (!decoding.is_zero()).then(|| microseconds(decoding)),
        capacity_at_full_width: statistics.capacity,
        steps: steps(profile, settings.max_batch),
    });
    Json(Profiles { workers: settings.workers, models: models.collect() })
}

fn steps(profile: &Profile, max_batch: usize) -> Vec<ProfileStep> {
    let mut sizes = vec![1, max_batch];
    sizes.dedup();
    let step = |width| ProfileStep {
        width,
        accuracy: profile.accuracy(width),
        latency_us: sizes.iter().map(|&size| (size, microseconds(profile.latency(width, size)))).collect(),
    };
    profile.widths().map(step).collect()
}

fn microseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}
