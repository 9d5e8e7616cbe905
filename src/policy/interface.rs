//! The interface between the queue and a policy: what a policy sees, and what it decides.
//!
//! A policy names jobs by their index in the view that it was given. Only [`JobQueue`](super::JobQueue) sees such a
//! [`Plan`]: it turns it at once into a [`Decision`](super::Decision) that owns its jobs.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::{ExitRule, JobConstraints, Profile, RequestOptions};
use crate::engine::Width;

/// Decides whom to accept, what a free worker does next and at which width, and whom to shed.
///
/// The queue calls it with the time, so that a policy needs no clock. Everything but [`Policy::next`] has a default: accept
/// everything, remember nothing.
pub trait Policy: fmt::Debug + Send {
    /// The options of a request as this policy reads them; a fixed width fills one in.
    fn options(&self, options: RequestOptions) -> RequestOptions {
        options
    }

    /// Whether all jobs of a request can be accepted, which are not in the queue yet.
    ///
    /// # Errors
    /// [`Overload`] says when to ask again.
    fn admit(&mut self, _jobs: &[JobConstraints], _view: QueueView<'_>) -> Result<(), Overload> {
        Ok(())
    }

    /// The jobs of a request are in the queue now.
    fn accepted(&mut self, _jobs: &[JobConstraints], _now: Instant) {}

    /// What a free worker does next. `view.workers.busy_until` does not contain that worker.
    fn next(&mut self, view: QueueView<'_>) -> Plan;

    /// Accepted jobs are finished: so many by their deadlines, so many not, late or shed.
    fn finished(&mut self, _on_time: usize, _missed: usize) {}

    /// The queue is empty and every worker is free.
    fn idle(&mut self, _now: Instant) {}

    /// The share of its slack that a job must have left to be accepted.
    fn reserve(&self) -> f64 {
        0.0
    }
}

/// What a policy sees.
#[derive(Debug, Clone, Copy)]
pub struct QueueView<'a> {
    /// The jobs in the queue, earliest deadline first; those that are being decoded are among them.
    pub jobs: &'a VecDeque<JobConstraints>,
    /// The profile of each model, as corrected so far.
    pub profiles: &'a [Profile],
    /// The workers.
    pub workers: Workers<'a>,
    /// The time.
    pub now: Instant,
}

/// The threads that run batches.
#[derive(Debug, Clone, Copy)]
pub struct Workers<'a> {
    /// Their number; at least one.
    pub count: usize,
    /// When the busy ones will be free, as predicted.
    pub busy_until: &'a [Instant],
    /// How many of them are busy with a long decoding.
    pub long_decodings: usize,
}

/// What a free worker does next, with jobs named by their index in the [`QueueView`].
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The jobs to run as one batch, earliest deadline first, all decoded and of one model. Empty if `decode` is not.
    pub batch: Vec<Assignment>,
    /// Indices of the jobs to decode, ascending.
    pub decode: Vec<usize>,
    /// Whether the decoding blocks the worker for longer than a job may.
    pub long_decoding: bool,
    /// Indices of the jobs to shed, ascending.
    pub shed: Vec<usize>,
    /// Predicted time of the batch, or of the decoding.
    pub predicted: Duration,
    /// When the images of the batch stop before their widths; `None` if they do not.
    pub exits: Option<ExitRule>,
    /// The widest width of any job whose width is not pinned; with an exit rule, the one width that takes as long.
    pub ceiling: Width,
    /// Why the ceiling is not wider.
    pub reason: CeilingReason,
}

/// One job of a planned batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    /// Its index in the queue.
    pub index: usize,
    /// The width to run it at; for a job that may stop before, the widest.
    pub width: Width,
    /// Why this width.
    pub reason: WidthReason,
}

/// Why a job runs at its width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WidthReason {
    /// It is full width.
    Full,
    /// The caller requested this width.
    Requested,
    /// The requested accuracy needs this width, and there is no time for more.
    Accuracy,
    /// The job's own budget has no time for more.
    Budget,
    /// Other jobs need the time.
    Load,
    /// The caller requested a confidence, and a narrower width reached it.
    Confident,
    /// More width would probably not change the answer, and other jobs need the time.
    Gain,
}

/// Why the width ceiling is where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CeilingReason {
    /// It is full width.
    Full,
    /// Short budgets: one job would block a worker for too long.
    Budget,
    /// A wider ceiling would make queued jobs late.
    Load,
    /// A wider ceiling would make expected arrivals late.
    Arrivals,
    /// A wider ceiling is feasible, but has not been for long enough.
    Holding,
    /// Not even the narrowest width keeps the margin.
    Overload,
}

/// A request that an idle server could satisfy, but not this one now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("overloaded: too much waits to answer this in time, even at the narrowest width that it allows")]
pub struct Overload {
    /// The time until the queue has room, if nothing else arrives.
    pub wait: Duration,
}

impl WidthReason {
    /// The word in answers and metrics.
    pub fn word(self) -> &'static str {
        match self {
            WidthReason::Full => "full",
            WidthReason::Requested => "requested",
            WidthReason::Accuracy => "accuracy",
            WidthReason::Budget => "budget",
            WidthReason::Load => "load",
            WidthReason::Confident => "confident",
            WidthReason::Gain => "gain",
        }
    }
}

impl CeilingReason {
    /// The word in logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            CeilingReason::Full => "full",
            CeilingReason::Budget => "budget",
            CeilingReason::Load => "load",
            CeilingReason::Arrivals => "arrivals",
            CeilingReason::Holding => "holding",
            CeilingReason::Overload => "overload",
        }
    }
}
