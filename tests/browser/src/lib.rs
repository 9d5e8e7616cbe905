//! The page of a real server in a real browser: Debian's Chromium, driven through its own driver.
//!
//! [`Server`] is the whole service with the models that the binary has, in this process; [`Browser`] is one window with a
//! profile of its own. Both end with their owner. Knows nothing of what the page promises: `tests/` says that.

mod browser;
mod driver;
mod server;
pub mod terminal;

pub use browser::{Browser, Look};
pub use server::Server;
