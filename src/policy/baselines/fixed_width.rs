//! One width for every request that does not set its own; everything else as widest fit does it.

use std::time::Instant;

use super::super::{JobConstraints, Overload, Plan, Policy, QueueView, RequestOptions, WidestFit};
use crate::engine::Width;

/// The policy.
#[derive(Debug, Clone)]
pub struct FixedWidth {
    width: Width,
    server: WidestFit,
}

impl FixedWidth {
    /// Pins requests to `width`; `server` does the rest.
    pub fn new(width: Width, server: WidestFit) -> FixedWidth {
        FixedWidth { width, server }
    }
}

impl Policy for FixedWidth {
    fn options(&self, options: RequestOptions) -> RequestOptions {
        // A requested accuracy remains a choice of width.
        let width = options.width.or(options.min_accuracy.is_none().then_some(self.width));
        RequestOptions { width, ..options }
    }

    fn admit(&mut self, jobs: &[JobConstraints], view: QueueView<'_>) -> Result<(), Overload> {
        self.server.admit(jobs, view)
    }

    fn accepted(&mut self, jobs: &[JobConstraints], now: Instant) {
        self.server.accepted(jobs, now);
    }

    fn next(&mut self, view: QueueView<'_>) -> Plan {
        self.server.next(view)
    }

    fn finished(&mut self, on_time: usize, missed: usize) {
        self.server.finished(on_time, missed);
    }

    fn idle(&mut self, now: Instant) {
        self.server.idle(now);
    }

    fn reserve(&self) -> f64 {
        self.server.reserve()
    }
}
