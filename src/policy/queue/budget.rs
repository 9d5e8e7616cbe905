//! Which part of a caller's budget the queue may use.
//!
//! A fiftieth of it, at least 0.1 ms, remains for what happens outside of the queue: reading the request and writing the answer.

use std::time::Duration;

use crate::policy::Unsatisfiable;

const OUTSIDE: u32 = 50;
/// As on the fastest machines measured.
const MIN_OUTSIDE: Duration = Duration::from_micros(100);

/// The queue's part of a caller's budget.
pub(super) fn inside(budget: Duration) -> Duration {
    budget.saturating_sub((budget / OUTSIDE).max(MIN_OUTSIDE))
}

/// An error about the queue's part, in terms of the caller's whole budget.
pub(super) fn of_whole(error: Unsatisfiable, budget: Duration) -> Unsatisfiable {
    let whole = |least: Duration| (least + MIN_OUTSIDE).max(least * OUTSIDE / (OUTSIDE - 1));
    match error {
        Unsatisfiable::Budget { width, least, .. } => Unsatisfiable::Budget { budget, width, least: whole(least) },
        Unsatisfiable::Together { images, least, .. } => {
            Unsatisfiable::Together { budget, images, least: whole(least) }
        }
        other => other,
    }
}
