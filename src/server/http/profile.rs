//! `GET /profile`: what each model takes on this machine at each width, as corrected while running.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::engine::Width;
use crate::policy::Profile;
use crate::repository::ServedModel;
use crate::scheduler::Settings;
use crate::server::Service;

#[derive(Serialize)]
pub(super) struct Listing {
    workers: usize,
    models: Vec<Profiled>,
}

#[derive(Serialize)]
struct Profiled {
    name: String,
    version: String,
    /// How many times longer batches take now than was measured at start-up.
    correction: f64,
    /// Mean time that decoding a picture was expected to take of late; none before the first.
    decode_us: Option<f64>,
    /// Images per second of all workers together, decoding included.
    capacity_at_full_width: f64,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    width: Width,
    accuracy: Option<f64>,
    /// Batch sizes, and what one batch takes.
    latency_us: Vec<(usize, f64)>,
}

pub(super) async fn profile(State(service): State<Arc<Service>>) -> Json<Listing> {
    let settings = service.scheduler.settings();
    let (profiles, decoding) = service.scheduler.profiles();
    let models = profiles.iter().map(|(served, profile)| Profiled::of(served, profile, decoding, &settings)).collect();
    Json(Listing { workers: settings.workers, models })
}

impl Profiled {
    fn of(served: &ServedModel, profile: &Profile, decoding: Duration, settings: &Settings) -> Profiled {
        let batch = settings.max_batch;
        let seconds = profile.latency(Width::FULL, batch).as_secs_f64() / batch as f64 + decoding.as_secs_f64();
        let mut sizes = vec![1, batch];
        sizes.dedup();
        let step = |width| Step {
            width,
            accuracy: profile.accuracy(width),
            latency_us: sizes.iter().map(|&size| (size, microseconds(profile.latency(width, size)))).collect(),
        };
        Profiled {
            name: served.name.clone(),
            version: served.version.to_string(),
            correction: profile.correction(),
            decode_us: (!decoding.is_zero()).then(|| microseconds(decoding)),
            capacity_at_full_width: settings.workers as f64 / seconds,
            steps: profile.widths().map(step).collect(),
        }
    }
}

fn microseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}
