//! The table of methods: what a file of rows asks for, what a trained row was worth, and the page that shows both beside the
//! paper's values.
//!
//! Knows how rows are written down and compared, not how they are trained.

pub mod config;
pub mod outcome;
pub mod page;

pub use config::{Config, ConfigError, Row, RunId};
pub use outcome::{Curve, Outcome, Trained};
