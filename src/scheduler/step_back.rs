//! What computes for milliseconds makes way for what must happen at once.
//!
//! Where workers and the async runtime share cores, a request that comes while a batch runs would wait in its socket for a
//! scheduling slice or several, unknown to the queue, and could not even be refused in time.

/// How many levels of niceness below the rest of the process workers are: as many as there are. The runtime is to run at
/// once when it wakes up, to take a request or to send what a worker has just answered. Linux lets whoever is owed time
/// finish its slice first, and a worker that waited is owed time by its weight: at ten levels one answer in twenty waited for
/// 2 ms and more to be sent, at these one in a hundred for 0.1 ms. Against other programs it matters only where these share a
/// control group with the server.
#[cfg(target_os = "linux")]
const LEVELS: i32 = 19;

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
