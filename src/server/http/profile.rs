//! `GET /profile`: what each model takes on this machine at each width, as corrected while running.

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

/// What is known of the models' times.
#[derive(Serialize, ToSchema)]
pub(super) struct Profiles {
    /// Worker threads.
    workers: usize,
    models: Vec<ModelProfile>,
}

/// What is known of one model's times.
#[derive(Serialize, ToSchema)]
struct ModelProfile {
    name: String,
    version: String,
    /// How many times longer batches take now than was measured at start-up.
    correction: f64,
    /// Mean time that decoding an image took of late; null before the first.
    #[schema(required)]
    decode_us: Option<f64>,
    /// Images per second of all workers together, decoding included.
    capacity_at_full_width: f64,
    steps: Vec<ProfileStep>,
}

/// What one width takes, and how often it is right.
#[derive(Serialize, ToSchema)]
struct ProfileStep {
    width: Width,
    /// From 0 to 1, on the data of whoever made the model; null where the file does not say.
    #[schema(required)]
    accuracy: Option<f64>,
    /// Batch sizes, and what one batch takes.
    #[schema(schema_with = described_latency)]
    latency_us: Vec<(usize, f64)>,
}

/// Pairs of numbers, in the words that writers of clients understand.
fn described_latency() -> Array {
    let number = Object::builder().schema_type(Type::Number);
    let pair = Array::builder().items(number).min_items(Some(2)).max_items(Some(2));
    let about = "Pairs: how many images a batch has, and how many microseconds it takes.";
    Array::builder().items(pair).description(Some(about)).build()
}

/// What each width takes on this machine, corrected while running.
#[utoipa::path(get, path = "/profile", responses((status = 200, description = "Every model that is served.", body = Profiles)))]
pub(super) async fn profile(State(service): State<Arc<Service>>) -> Json<Profiles> {
    let (settings, decoding) = (service.scheduler.settings(), service.scheduler.statistics().decoding);
    let models = service.scheduler.models();
    let models = models.iter().map(|(served, profile, statistics)| ModelProfile {
        name: served.name.clone(),
        version: served.version.to_string(),
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
