//! anywidth
pub mod engine;
pub mod picture;
