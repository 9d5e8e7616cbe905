//! The memory that all bodies under way may take together.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A budget of bytes, counted in KiB, of which each request reserves what has come of its body.
#[derive(Debug)]
pub(super) struct Memory(Arc<Semaphore>);

/// A part of the budget whose size is not yet known.
#[derive(Debug)]
pub(super) struct Growing {
    memory: Arc<Semaphore>,
    /// None of nothing.
    permit: Option<OwnedSemaphorePermit>,
}

/// A part of the budget; it is given back when this and all bytes that it holds are dropped.
#[derive(Debug, Clone)]
pub(super) struct Reserved {
    _permit: Arc<Option<OwnedSemaphorePermit>>,
}

/// Bytes with the part of the budget that they stand for.
struct Held {
    bytes: Bytes,
    _reserved: Reserved,
}

impl Memory {
    pub(super) fn new(bytes: usize) -> Memory {
        Memory(Arc::new(Semaphore::new(kibibytes(bytes) as usize)))
    }

    /// A part of nothing yet.
    pub(super) fn begin(&self) -> Growing {
        Growing { memory: self.0.clone(), permit: None }
    }
}

impl Growing {
    /// Makes it so many bytes, more or fewer than it has; `None`, and as large as before, when there is not so much left.
    pub(super) fn resize(&mut self, bytes: usize) -> Option<()> {
        let has = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = kibibytes(bytes);
        let more = self.memory.clone().try_acquire_many_owned(wanted.saturating_sub(has as u32)).ok()?;
        match &mut self.permit {
            Some(permit) => {
                permit.merge(more);
                drop(permit.split(has.saturating_sub(wanted as usize)));
            }
            None => self.permit = Some(more),
        }
        Some(())
    }

    /// As large as it will be.
    pub(super) fn reserved(self) -> Reserved {
        Reserved { _permit: Arc::new(self.permit) }
    }
}

impl Reserved {
    /// The same bytes, not copied. Wherever they go, also after their caller has left, they stay counted.
    pub(super) fn hold(&self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Held { bytes, _reserved: self.clone() })
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Rounded up, so that the sum of the parts is never below the whole.
fn kibibytes(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_given_back_with_the_last_of_its_bytes() {
        let memory = Memory::new(4096);
        let reserve = |bytes: usize| {
            let mut growing = memory.begin();
            (1..=bytes).step_by(500).try_for_each(|bytes| growing.resize(bytes))?;
            growing.resize(bytes)?;
            Some(growing.reserved())
        };
        let reserved = reserve(3000).unwrap();
        let (one, two) = (reserved.hold(Bytes::from_static(b"one")), reserved.hold(Bytes::from_static(b"two")));
        drop(reserved);
        let slice = one.slice(1..);
        drop((one, two));
        assert_eq!(&slice[..], b"ne");
        assert!(reserve(3000).is_none());
        drop(slice);
        assert!(reserve(4096).is_some());
    }

    #[test]
    fn a_part_that_becomes_smaller_gives_back_the_rest() {
        let memory = Memory::new(4096);
        let (mut one, mut two) = (memory.begin(), memory.begin());
        one.resize(4096).unwrap();
        assert_eq!(two.resize(1), None);
        one.resize(1025).unwrap();
        two.resize(2048).unwrap();
        assert_eq!((one.resize(2049), two.resize(2049)), (None, None));
        two.resize(0).unwrap();
        one.resize(4096).unwrap();
    }
}
