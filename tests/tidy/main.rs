//! Rules of the sources and documents that no compiler checks. A violation names its file and line, the rule, and the remedy.
//!
//! The tests read text and run in a second. Each rule is a function of a file's text, which a test also shows a violation.
#![allow(clippy::unwrap_used)]

mod code;
mod links;
mod modules;
mod quotes;
mod repository;
mod shape;
mod unsafe_code;
