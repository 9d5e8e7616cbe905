//! Handles Ctrl-C and SIGTERM from the start of `main`.
//!
//! The kernel delivers a signal to process 1 of a container only if a handler exists. This handler is installed before anything
//! is read, loaded or measured, and ends the process at once. A server replaces it once it can drain its requests.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag::{register, register_conditional_shutdown};

/// Ends the process at a signal, with the exit code that shells report for it: 130 or 143.
#[derive(Debug)]
pub(super) struct EndAtOnce {
    armed: Arc<AtomicBool>,
}

impl EndAtOnce {
    /// Installs the handlers, armed.
    pub(super) fn begin() -> io::Result<EndAtOnce> {
        let armed = Arc::new(AtomicBool::new(true));
        for signal in [SIGINT, SIGTERM] {
            register_conditional_shutdown(signal, 128 + signal, armed.clone())?;
        }
        // A file at its size limit, such as a log, makes the write fail and must not end the process.
        register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        Ok(EndAtOnce { armed })
    }

    /// Disarms the handlers. Others must be installed already.
    pub(super) fn stand_back(&self) {
        self.armed.store(false, Ordering::SeqCst);
    }

    /// Arms the handlers again.
    pub(super) fn resume(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }
}
