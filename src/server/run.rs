//! Runs the jobs of a request, and counts the request.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::response::Response;
use futures_util::future::try_join_all;
use prometheus::IntGauge;

use super::Service;
use super::answered::Answered;
use super::error::ApiError;
use super::http::retry_after;
use super::request::Ask;
use crate::scheduler::{Answer, Job, JobError, Ticket};

/// Counts a request while it is in progress, including one that is dropped because its caller disconnects.
pub(super) struct InFlight<'a>(&'a IntGauge);

impl Service {
    /// The answers to all jobs in order, or the first error. On an error, the other jobs are abandoned.
    pub(super) async fn run(
        &self,
        jobs: Vec<Job>,
        blame: impl Fn(usize, JobError) -> ApiError,
    ) -> Result<Vec<Answer>, ApiError> {
        let tickets = self.scheduler.submit(jobs)?;
        let blame = &blame;
        let answer = |(index, ticket): (usize, Ticket)| async move {
            ticket.answer().await.map_err(|error| blame(index, error))
        };
        try_join_all(tickets.into_iter().enumerate().map(answer)).await
    }

    /// Counts a request that begins.
    pub(super) fn begin_request(&self) -> InFlight<'_> {
        self.metrics.requests_in_flight.inc();
        InFlight(&self.metrics.requests_in_flight)
    }

    /// Counts a request that ended with this status, in HTTP's terms. `ask` is what it asked for, if that could be read.
    pub(super) fn count(
        &self,
        ask: Option<&Ask>,
        answered: Option<&Answered>,
        status: StatusCode,
        started_at: Instant,
    ) {
        let model = ask.map(|ask| ask.model.name.as_str());
        let step = ask.zip(answered).map(|(ask, answered)| ask.model.model.step(answered.width));
        self.metrics.request_ended(model, step, status.as_str(), started_at.elapsed());
    }

    /// Counts a request that ended with this response.
    pub(super) fn count_response(&self, ask: Option<&Ask>, response: &Response, started_at: Instant) {
        self.count(ask, response.extensions().get(), response.status(), started_at);
    }

    /// The time after which a retry may succeed, random so that retries are spread out; `None` if it cannot.
    pub(super) fn retry_after(&self, error: &ApiError) -> Option<Duration> {
        error.wait().map(|wait| retry_after(wait, self.chances.next()))
    }

    /// The response for an error of a classification request, which counts if it is a refusal.
    pub(super) fn refuse(&self, error: ApiError) -> Response {
        if let Some(reason) = error.refusal() {
            self.metrics.request_refused(reason);
        }
        error.answer(self.chances.next())
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
