//! The server on virtual time: its own queue under its own policy and under others, with the same arrivals.
//!
//! A run is a function of a [`Scenario`] and a [`Player`]: no clock, no thread, no network, and the same seed gives the same
//! [`Score`]. It models the server's [`JobQueue`](anywidth::policy::JobQueue), which is the server's own code; workers that
//! decode and run batches; and times that differ from the profile's by a [`NoiseModel`]. It does not model the network, parsing,
//! and cores that share a cache.

mod machine;
mod measured;
mod noise;
mod recording;
mod score;
mod suite;
#[cfg(test)]
mod tests;

pub use machine::{Event, Player, Scenario, run};
pub use measured::{Measured, MeasuredError, Strategy};
pub use noise::NoiseModel;
pub use recording::Recording;
pub use score::Score;
pub use suite::{Case, CompareError, Contender, SETTINGS, cases, compare, contenders, table};
