//! What an answered request tells its caller and the log about itself, whatever its protocol.

use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::engine::Width;
use crate::scheduler::{Answer, Timing};

/// The values of an answer that headers and the log line show.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    pub(super) model: String,
    pub(super) width: Width,
    pub(super) images: usize,
    pub(super) timing: Milliseconds,
}

/// The parts of a request's time; of several files, the slowest of each. `total` is from the arrival of the headers to the
/// answer, so it includes the body's arrival.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(super) struct Milliseconds {
    pub(super) queue: f64,
    pub(super) decode: f64,
    pub(super) inference: f64,
    pub(super) total: f64,
}

impl Answered {
    /// Of the answers to a request, which arrived at `arrived`.
    pub(super) fn of(model: &str, answers: &[Answer], arrived: Instant) -> Answered {
        let timings: Vec<_> = answers.iter().map(|answer| answer.timing).collect();
        let width = answers.iter().map(|answer| answer.width).max().unwrap_or(Width::FULL);
        let timing = Milliseconds::of(&timings, arrived);
        Answered { model: model.to_owned(), width, images: answers.len(), timing }
    }

    /// Adds the headers `X-Width` and `Server-Timing` to the response, and this for the log line.
    pub(super) fn put_in(self, response: &mut Response) {
        let headers = response.headers_mut();
        // Digits and punctuation only, which are always valid in a header.
        if let Ok(width) = HeaderValue::try_from(self.width.to_string()) {
            headers.insert("x-width", width);
        }
        if let Ok(timing) = HeaderValue::try_from(self.timing.server_timing()) {
            headers.insert("server-timing", timing);
        }
        response.extensions_mut().insert(self);
    }
}

impl Milliseconds {
    /// The slowest of each part, because the files of a request run concurrently.
    fn of(timings: &[Timing], started_at: Instant) -> Milliseconds {
        let slowest = |part: fn(&Timing) -> Duration| milliseconds(timings.iter().map(part).max().unwrap_or_default());
        Milliseconds {
            queue: slowest(|timing| timing.queue),
            decode: slowest(|timing| timing.decode),
            inference: slowest(|timing| timing.inference),
            total: milliseconds(started_at.elapsed()),
        }
    }

    fn server_timing(&self) -> String {
        let Milliseconds { queue, decode, inference, total } = self;
        format!("queue;dur={queue}, decode;dur={decode}, inference;dur={inference}, total;dur={total}")
    }
}

/// Milliseconds with microsecond resolution.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
