//! Who goes first where workers and the threads of the async runtime share cores: the runtime.
//!
//! A worker computes for milliseconds, while reading a request, refusing it or sending an answer takes microseconds. The system
//! divides a core evenly between both, so under overload the runtime gets less than it needs: requests wait unread in their
//! sockets, where no queue knows them and nobody can refuse them in time. So between two tasks a worker waits until the
//! runtime has nothing to do, as long as there is no core for both, and for a bounded time. It keeps the priority of the
//! process: a lower one would also let every other program on the machine go first.
//!
//! Knows no runtime: whoever builds one tells when its threads park and unpark.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The threads of a process that want its cores.
#[derive(Debug)]
pub struct Turns {
    cores: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Threads of the runtime that have something to do.
    runtime: usize,
    /// Workers that are at a task.
    workers: usize,
    /// Workers that wait for their turn.
    waiting: usize,
}

/// The longest that a worker waits for the runtime: a runtime that always has something to do still leaves it a share.
const LONGEST_WAIT: Duration = Duration::from_millis(2);

impl Turns {
    /// For a process that may use so many cores, with a runtime of so many threads, none of which has parked yet.
    pub fn new(cores: usize, runtime_threads: usize) -> Turns {
        let state = State { runtime: runtime_threads, workers: 0, waiting: 0 };
        Turns { cores, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// A thread of the runtime has nothing to do.
    pub fn parked(&self) {
        let mut state = self.lock();
        state.runtime = state.runtime.saturating_sub(1);
        let waited_for = state.waiting > 0;
        drop(state);
        if waited_for {
            self.changed.notify_one();
        }
    }

    /// A thread of the runtime has something to do again.
    pub fn unparked(&self) {
        self.lock().runtime += 1;
    }

    /// Returns when there is a core for a worker besides those threads that have something to do, or after a bounded time.
    pub(super) fn wait(&self) {
        // The system may have woken up a thread of the runtime that has not run since.
        std::thread::yield_now();
        let mut state = self.lock();
        let until = Instant::now() + LONGEST_WAIT;
        state.waiting += 1;
        while state.runtime + state.workers >= self.cores {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waiting -= 1;
    }

    /// Counts a worker as busy while it does `task`.
    pub(super) fn during<T>(&self, task: impl FnOnce() -> T) -> T {
        self.lock().workers += 1;
        let outcome = task();
        let mut state = self.lock();
        state.workers -= 1;
        let waited_for = state.waiting > 0;
        drop(state);
        if waited_for {
            self.changed.notify_one();
        }
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counts are whole after each statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_worker_waits_for_a_busy_runtime_and_no_longer_than_it_may() {
        let turns = Turns::new(1, 1);
        let asked = Instant::now();
        turns.wait();
        assert!(asked.elapsed() >= LONGEST_WAIT);
        turns.parked();
        // Nothing wants the core now: all of this takes less than one wait.
        let most = (0..100).map(|_| {
            let asked = Instant::now();
            turns.wait();
            asked.elapsed()
        });
        assert!(most.min().unwrap() < LONGEST_WAIT);
        turns.unparked();
        let asked = Instant::now();
        turns.wait();
        assert!(asked.elapsed() >= LONGEST_WAIT);
    }

    #[test]
    fn whoever_has_a_core_of_its_own_does_not_wait() {
        // Two cores, one busy thread of the runtime.
        let turns = Turns::new(2, 1);
        let quickest = |turns: &Turns| {
            let once = |_| {
                let asked = Instant::now();
                turns.wait();
                asked.elapsed()
            };
            (0..100).map(once).min().unwrap()
        };
        assert!(quickest(&turns) < LONGEST_WAIT);
        // With another worker at a task there is no core left.
        turns.during(|| assert!(quickest(&turns) >= LONGEST_WAIT));
        assert!(quickest(&turns) < LONGEST_WAIT);
    }

    #[test]
    fn many_threads_lose_no_wake_up_and_no_count() {
        let (turns, done) = (Arc::new(Turns::new(1, 0)), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        turns.unparked();
                        turns.parked();
                        turns.wait();
                        turns.during(|| done.fetch_add(1, Ordering::Relaxed));
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), 600);
        let state = turns.lock();
        assert_eq!((state.runtime, state.workers, state.waiting), (0, 0, 0));
    }
}
