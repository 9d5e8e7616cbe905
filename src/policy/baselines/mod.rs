//! Policies of other systems as published, to compare widest fit with: on the real server (`--policy`) and in the simulator.
//!
//! With [`Hardening`] they shed what cannot be met any more and leave a margin, as widest fit does; the published forms do
//! neither. What no publication covers follows one rule for all: the images of the next batch are decoded first, a batch has one
//! model, and a job never runs outside its allowed widths.

mod base;
mod fixed_width;
mod max_accuracy;
mod max_batch;
mod rate_table;
mod slack_fit;
#[cfg(test)]
mod tests;

pub use base::Hardening;
pub use fixed_width::FixedWidth;
pub use max_accuracy::MaxAccuracy;
pub use max_batch::MaxBatch;
pub use rate_table::RateTable;
pub use slack_fit::SlackFit;
