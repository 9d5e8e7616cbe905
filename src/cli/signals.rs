//! Ctrl-C and SIGTERM, from the first instruction of `main` on.
//!
//! The first process of a container or a machine gets only those signals that it has a handler for. So a handler is there before
//! anything is read, loaded or measured, and ends the process at once; a server takes over once it can finish what it has begun.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag::{register, register_conditional_shutdown};

/// Ends the process at a signal, with the exit code that shells give to one that a signal has ended: 130 or 143.
#[derive(Debug)]
pub(super) struct EndAtOnce {
    armed: Arc<AtomicBool>,
}

impl EndAtOnce {
    /// Begins to.
    pub(super) fn begin() -> io::Result<EndAtOnce> {
        let armed = Arc::new(AtomicBool::new(true));
        for signal in [SIGINT, SIGTERM] {
            register_conditional_shutdown(signal, 128 + signal, armed.clone())?;
        }
        // A file that may not grow, such as the log's, is an error of whoever writes it and no reason to end.
        register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        Ok(EndAtOnce { armed })
    }

    /// Leaves the signals to other handlers, which must be there already.
    pub(super) fn stand_back(&self) {
        self.armed.store(false, Ordering::SeqCst);
    }

    /// Begins to, again.
    pub(super) fn resume(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }
}
