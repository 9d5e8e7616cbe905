//! What several test files share.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, reason = "each test file uses a part of it")]

pub mod binary;
pub mod djpeg;
pub mod documents;
pub mod images;
pub mod jpeg;
pub mod onnx;
pub mod random;
pub mod schema;
pub mod seeds;
pub mod server;
pub mod workers;
