//! How long threads are ready to run but wait for a core: what tells a busy machine from a slow network.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The threads that are counted. On systems other than Linux nothing is known of them.
#[derive(Debug, Default)]
pub(super) struct RunDelay(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The system's ids of the threads.
    threads: Vec<i32>,
    /// The sum that was told last.
    told: Duration,
}

impl RunDelay {
    /// Counts the calling thread from now on.
    pub(super) fn count_this_thread(&self) {
        #[cfg(target_os = "linux")]
        self.lock().threads.push(rustix::thread::gettid().as_raw_nonzero().get());
    }

    /// What has been added to the waits of all threads together since the last call.
    pub(super) fn since_last_call(&self) -> Duration {
        let mut state = self.lock();
        let now: Duration = state.threads.iter().filter_map(|&thread| of_thread(thread)).sum();
        // A thread that has ended takes its part with it.
        let more = now.saturating_sub(state.told);
        state.told = now;
        more
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The second number of the thread's `schedstat` (Linux, Documentation/scheduler/sched-stats): nanoseconds on a run queue.
fn of_thread(thread: i32) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    Some(Duration::from_nanos(text.split_ascii_whitespace().nth(1)?.parse().ok()?))
}
