//! Batches made beside training: in order, a bounded number ahead, by as many threads as one likes.
//!
//! Thread `i` of `n` makes every `n`-th batch from the `i`-th on, so their order does not depend on their number.

use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use super::{Batch, DataError};

/// Batches that each thread may be ahead.
const AHEAD: usize = 3;

/// Batches to come.
#[derive(Debug)]
pub struct Loader {
    /// One for each thread.
    batches: Vec<Receiver<Result<Batch, DataError>>>,
    taken: usize,
    waited: Duration,
}

impl Loader {
    /// Starts `threads` threads in `scope`, which make the batches of `steps`; each has a function of its own, made by
    /// `maker`, from a step's number to its batch. They end when the loader is dropped.
    ///
    /// # Panics
    /// If `threads` is zero.
    pub fn start<'scope, M, F>(
        scope: &'scope Scope<'scope, '_>,
        threads: usize,
        steps: Range<usize>,
        maker: M,
    ) -> Loader
    where
        M: Fn() -> F,
        F: FnMut(usize) -> Result<Batch, DataError> + Send + 'scope,
    {
        assert!(threads > 0, "a thread that makes batches");
        let start = |first: usize| {
            let (sender, receiver) = sync_channel(AHEAD);
            let (mut make, steps) = (maker(), steps.clone().skip(first).step_by(threads));
            scope.spawn(move || {
                for step in steps {
                    // Nobody takes them any more: training stopped.
                    if sender.send(make(step)).is_err() {
                        break;
                    }
                }
            });
            receiver
        };
        Loader { batches: (0..threads).map(start).collect(), taken: 0, waited: Duration::ZERO }
    }

    /// The next step's batch; waits for it if it is not ready.
    ///
    /// # Errors
    /// What kept it from being made.
    ///
    /// # Panics
    /// If all steps' batches were taken, or the thread that makes it panicked.
    pub fn next_batch(&mut self) -> Result<Batch, DataError> {
        let begin = Instant::now();
        let batch = self.batches[self.taken % self.batches.len()].recv().expect("a thread that still makes batches");
        self.waited += begin.elapsed();
        self.taken += 1;
        batch
    }

    /// How long [`Loader::next_batch`] has waited since this was last asked.
    pub fn take_waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }
}
