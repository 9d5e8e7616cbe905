//! The table of methods: table files, results of runs, and the page that compares them with the paper.
//!
//! Must not know how rows are trained.

pub mod config;
pub mod outcome;
pub mod page;

pub use config::{Config, ConfigError, Row, RowError, RunId, TableError};
pub use outcome::{Curve, Outcome, OutcomeError, Trained};
