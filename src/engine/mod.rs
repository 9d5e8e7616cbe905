//! Width-sliced inference: pure computation, no clock, no runtime, no network.
pub mod width;
pub use width::Width;
