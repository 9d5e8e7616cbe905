//! Busy threads beside a run: CPU contention as a compiler, a sidecar or a shell loop causes it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// One spinning thread of normal priority per listed core; stops on drop.
#[derive(Debug)]
pub struct Busy {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    /// Starts one thread per listed core, pinned to it; a core that is listed twice gets two.
    ///
    /// # Errors
    /// If a thread cannot be started or pinned (no such core, or not Linux).
    pub fn on(cores: &[usize]) -> io::Result<Busy> {
        let mut busy = Busy { stop: Arc::default(), threads: Vec::new() };
        for &core in cores {
            let (stop, (pinned, outcome)) = (busy.stop.clone(), std::sync::mpsc::channel());
            let thread = thread::Builder::new().name(format!("busy-{core}")).spawn(move || {
                let fine = pin(core);
                let go_on = fine.is_ok();
                // The starting thread waits for this message.
                let _ = pinned.send(fine);
                while go_on && !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })?;
            busy.threads.push(thread);
            outcome.recv().unwrap_or_else(|_| Err(io::Error::other("the thread failed")))?;
        }
        Ok(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // The thread only spins and cannot fail.
            let _ = thread.join();
        }
    }
}

#[cfg(target_os = "linux")]
fn pin(core: usize) -> io::Result<()> {
    use rustix::thread::{CpuSet, sched_setaffinity};
    if core >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(not(target_os = "linux"))]
fn pin(_core: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_core_that_is_not_there_is_an_error() {
        assert!(Busy::on(&[usize::MAX]).is_err());
        assert!(Busy::on(&[900]).is_err());
    }

    #[test]
    fn it_ends_when_it_is_dropped() {
        drop(Busy::on(&[0, 0]).unwrap());
    }
}
