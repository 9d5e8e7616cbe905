//! What computes for milliseconds makes way for what must happen at once.
//!
//! Where workers and the async runtime share cores, a request that comes while a batch runs would wait in its socket for a
//! scheduling slice or several, unknown to the queue, and could not even be refused in time.

/// How many levels of niceness below the rest of the process workers are. At ten, a thread of the runtime that wakes up runs
/// at once; against other programs it matters only where these share a control group with the server.
#[cfg(target_os = "linux")]
const LEVELS: i32 = 10;

/// Lowers the priority of the calling thread, where the system knows priorities of threads. The server does without, only
/// less well under overload, so it is no matter if it cannot.
pub(super) fn step_back() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        // To Linux, a thread's id is that of a process with a priority of its own.
        let thread = Some(rustix::thread::gettid());
        let _ = getpriority_process(thread).and_then(|level| setpriority_process(thread, level + LEVELS));
    }
}
