//! The server and its command line as callers, operators and browsers see them: one program, for linking takes longer than
//! compiling a module.
//!
//! All tests run in one process, as threads side by side. None may change what a process has once: its environment, working
//! directory, signal handlers, panic hook, niceness or limits. A test that must starts the binary, or is a program of its own.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod classify;
mod command_line;
mod connections;
mod cross_origin;
mod documents;
mod encodings;
mod evaluate;
mod images;
mod label;
mod late;
mod lifecycle;
mod load;
#[cfg(target_os = "linux")]
mod logging;
mod open_inference;
mod openapi;
mod operation;
mod page;
mod pytorch;
mod reduced_images;
mod reload;
mod settings;
