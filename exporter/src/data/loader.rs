//! Batches made concurrently with training: in order, a bounded number ahead, by any number of threads.
//!
//! Thread `i` of `n` makes batches `i`, `i + n`, ..., so the order of batches does not depend on the number of threads.

use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use super::{Batch, DataError};

/// Maximum number of batches that each thread is ahead.
const AHEAD: usize = 3;

/// The batches to come.
#[derive(Debug)]
pub struct Loader {
    /// One per thread.
    batches: Vec<Receiver<Result<Batch, DataError>>>,
    taken: usize,
    waited: Duration,
}

impl Loader {
    /// Starts `threads` threads in `scope` that make the batches of `steps`. `maker` makes one function per thread,
    /// from a step number to its batch. The threads end when the loader is dropped.
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
        assert!(threads > 0, "at least one loader thread");
        let start = |first: usize| {
            let (sender, receiver) = sync_channel(AHEAD);
            let (mut make, steps) = (maker(), steps.clone().skip(first).step_by(threads));
            scope.spawn(move || {
                for step in steps {
                    // The receiver is closed: training stopped.
                    if sender.send(make(step)).is_err() {
                        break;
                    }
                }
            });
            receiver
        };
        Loader { batches: (0..threads).map(start).collect(), taken: 0, waited: Duration::ZERO }
    }

    /// The batch of the next step; waits until it is ready.
    ///
    /// # Errors
    /// The error that prevented the batch.
    ///
    /// # Panics
    /// If all batches were taken, or the loader thread panicked.
    pub fn next_batch(&mut self) -> Result<Batch, DataError> {
        let begin = Instant::now();
        let batch = self.batches[self.taken % self.batches.len()].recv().expect("a running loader thread");
        self.waited += begin.elapsed();
        self.taken += 1;
        batch
    }

    /// The time [`Loader::next_batch`] has waited since the last call.
    pub fn take_waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }
}
