//! Which width, which batch, and whether at all: the decisions of a server under load.
//!
//! Promises that no request runs wider than it asked or narrower than it allowed; that a backlog which can be answered in
//! time at the narrowest width is, as far as the [`Profile`] knows; and that each decision says why. Knows no clock, no
//! thread and no queue: time is an argument, a backlog is a sequence of [`Demand`]s in the order of their deadlines, and
//! a decision names its jobs by their place in that sequence.
//!
//! A server [asks](Demand::new) whether a request can be met at all, then whether it can be met [now](WidestFit::admit),
//! and whenever a worker is free lets [`WidestFit::next_batch`] say what to decode or to run.
//! What it then took goes back into [`Profile::record`] and [`DecodeTimes::record`].

mod admission;
mod backlog;
mod batch;
mod decode_times;
mod demand;
mod fit;
mod forecast;
mod profile;
mod reserve;
#[cfg(test)]
mod tests;
mod traffic;
mod tuning;
mod widest_fit;
mod window;

pub use admission::Overload;
pub use batch::{Assignment, WidthReason};
pub use decode_times::DecodeTimes;
pub use demand::{DeadlineKind, Demand, MAX_BUDGET, Priority, Stage, Unsatisfiable, Widths, Wish};
pub use profile::{Measurement, Profile, ProfileError};
pub use tuning::Tuning;
pub use widest_fit::{Decision, Limits, Reason, WidestFit, Workers};
