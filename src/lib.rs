//! anywidth
pub mod engine;
