//! Memory for floats that starts at a cache line, so that no vector at a multiple of its length crosses one.

use std::ops::{Deref, DerefMut};

/// Floats; the first is at a multiple of 64 bytes.
#[derive(Debug, Default)]
pub(crate) struct Aligned {
    floats: Vec<f32>,
    /// Floats before the first cache line, and from there.
    skip: usize,
    len: usize,
}

const CACHE_LINE: usize = 64;

impl Aligned {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Aligned {
        let floats = vec![0.0; len + CACHE_LINE / size_of::<f32>() - 1];
        let skip = floats.as_ptr().align_offset(CACHE_LINE);
        Aligned { skip: if skip < CACHE_LINE / size_of::<f32>() { skip } else { 0 }, len, floats }
    }

    /// The first `len` floats; memory that is too short is replaced by zeros.
    pub(crate) fn first(&mut self, len: usize) -> &mut [f32] {
        if self.len() < len {
            *self = Aligned::zeros(len);
        }
        &mut self[..len]
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.floats[self.skip..self.skip + self.len]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.floats[self.skip..self.skip + self.len]
    }
}

impl From<Vec<f32>> for Aligned {
    fn from(floats: Vec<f32>) -> Aligned {
        let mut aligned = Aligned::zeros(floats.len());
        aligned[..floats.len()].copy_from_slice(&floats);
        aligned
    }
}
