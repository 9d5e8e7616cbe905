//! The memory that all bodies under way may take together.

use tokio::sync::{Semaphore, SemaphorePermit};

/// A budget of bytes, counted in KiB, of which each request reserves what its body may take.
#[derive(Debug)]
pub(super) struct Memory(Semaphore);

impl Memory {
    pub(super) fn new(bytes: usize) -> Memory {
        Memory(Semaphore::new(kibibytes(bytes) as usize))
    }

    /// Reserves until the permit is dropped; `None` when there is not so much left.
    pub(super) fn reserve(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        self.0.try_acquire_many(kibibytes(bytes)).ok()
    }
}

/// Rounded up, so that the sum of the parts is never below the whole.
fn kibibytes(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}
