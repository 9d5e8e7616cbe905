//! The page of a real server in a real browser: Debian's Chromium, controlled by its driver.
//!
//! [`Server`] is the complete service with the built-in models, in this process; [`Browser`] is a window with its own
//! profile. Both stop when they are dropped. Must not know the page's contents, which `tests/` checks.

mod browser;
mod driver;
mod server;
pub mod terminal;

pub use browser::{Browser, Look};
pub use server::Server;
