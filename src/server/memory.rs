//! Bounds the memory of all request bodies in progress.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A budget of bytes, counted in KiB. Each request reserves the part of its body that has arrived.
#[derive(Debug)]
pub(super) struct Memory(Arc<Semaphore>);

/// A reservation that can still change its size.
#[derive(Debug)]
pub(super) struct Growing {
    memory: Arc<Semaphore>,
    /// `None` until the first byte is reserved.
    permit: Option<OwnedSemaphorePermit>,
}

/// A reservation of fixed size. It is released when this value and all bytes that it holds are dropped.
#[derive(Debug, Clone, Default)]
pub(super) struct Reserved {
    _permit: Arc<Option<OwnedSemaphorePermit>>,
}

/// Bytes with their reservation.
struct Held {
    bytes: Bytes,
    _reserved: Reserved,
}

impl Memory {
    pub(super) fn new(bytes: usize) -> Memory {
        Memory(Arc::new(Semaphore::new(kibibytes(bytes) as usize)))
    }

    /// An empty reservation.
    pub(super) fn begin(&self) -> Growing {
        Growing { memory: self.0.clone(), permit: None }
    }
}

impl Growing {
    /// Grows or shrinks the reservation to `bytes`. Returns `None` and leaves it unchanged if the budget is exhausted.
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

    /// Fixes the size.
    pub(super) fn reserved(self) -> Reserved {
        Reserved { _permit: Arc::new(self.permit) }
    }
}

impl Reserved {
    /// Attaches the reservation to `bytes` without a copy. They stay counted until dropped, even if the caller disconnects.
    pub(super) fn hold(&self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Held { bytes, _reserved: self.clone() })
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Converts to KiB, rounding up, so that the reservations never sum to less than the bytes held.
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
