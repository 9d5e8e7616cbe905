//! The server on virtual time: its own policy, and others beside it, under the same arrivals.
//!
//! A run is a function of a [`Scenario`] and a [`Policy`]: no clock, no thread, no network, and the same seed gives the
//! same [`Score`]. What is modelled: one queue in the order of deadlines, workers that run batches, and batches that take
//! what the [`World`] says, which is not quite what the policy's profile says. What is not: the network, parsing, and
//! cores that share a cache.

mod machine;
mod measured;
mod peers;
mod policies;
mod score;
mod suite;
#[cfg(test)]
mod tests;
mod world;

pub use machine::{Scenario, run};
pub use measured::{Measured, MeasuredError};
pub use peers::{MaxAccuracy, MaxBatch, RateTable, SlackFit};
pub use policies::{Choice, Pinned, Policy, Situation, WidestFitPolicy};
pub use score::Score;
pub use suite::{Case, CompareError, Contender, LIMITS, cases, compare, contenders, table};
pub use world::World;
