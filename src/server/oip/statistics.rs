//! Counts since start-up, per model, as the statistics extension reports them. They are those of the metrics.

use std::time::Duration;

use prometheus::HistogramVec;

use crate::repository::ServedModel;
use crate::server::Service;
use crate::telemetry::total_of;

/// What a model did so far. Versions of one name share their counts.
#[derive(Debug, Default)]
pub(super) struct ModelStatistics {
    pub(super) name: String,
    pub(super) version: String,
    /// Images answered.
    pub(super) inference_count: u64,
    /// Batches run.
    pub(super) execution_count: u64,
    /// Requests answered.
    pub(super) success: Total,
    /// Requests that failed; their time is not known.
    pub(super) fail: Total,
    pub(super) queue: Total,
    /// Decoding.
    pub(super) compute_input: Total,
    /// Running the network.
    pub(super) compute_infer: Total,
}

/// How often something happened, and how long it took in all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Total {
    pub(super) count: u64,
    pub(super) time: Duration,
}

impl ModelStatistics {
    pub(super) fn of(service: &Service, served: &ServedModel) -> ModelStatistics {
        let (metrics, name) = (&service.metrics, served.name.as_str());
        let total = |histograms: &HistogramVec| {
            let (count, time) = total_of(histograms, name);
            Total { count, time }
        };
        let compute_infer = total(&metrics.inference_duration);
        let [_, failed] = metrics.requests_of(name);
        ModelStatistics {
            name: name.to_owned(),
            version: served.version.to_string(),
            inference_count: compute_infer.count,
            execution_count: total(&metrics.batch_size).count,
            success: total(&metrics.request_duration),
            fail: Total { count: failed, time: Duration::ZERO },
            queue: total(&metrics.queue_duration),
            compute_input: total(&metrics.decode_duration),
            compute_infer,
        }
    }
}
