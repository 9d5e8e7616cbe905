//! Busy threads beside a run: what a server does on a core that it shares with a compiler, a sidecar or a shell loop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// One thread of normal priority for each of some cores, which computes without a pause until this is dropped.
#[derive(Debug)]
pub struct Busy {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    /// Keeps these cores busy from now on, one thread on each; a core that is listed twice gets two.
    ///
    /// # Errors
    /// When the system gives no thread, has no such core, or cannot pin threads (other systems than Linux).
    pub fn on(cores: &[usize]) -> io::Result<Busy> {
        let mut busy = Busy { stop: Arc::default(), threads: Vec::new() };
        for &core in cores {
            let (stop, (pinned, outcome)) = (busy.stop.clone(), std::sync::mpsc::channel());
            let thread = thread::Builder::new().name(format!("busy-{core}")).spawn(move || {
                let fine = pin(core);
                let go_on = fine.is_ok();
                // Whoever starts it waits for this.
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
            // It computes nothing that could fail.
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
