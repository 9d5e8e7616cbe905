//! What happens to the sums of a convolution before they are written: bias, an addition or pooling, and a clamp.

use super::simd::Simd;
use crate::engine::buffer::{BLOCK, BufferLayout};
use crate::engine::graph::{Affine, Clamp};

/// The layers fused into a convolution, in order of application.
#[derive(Debug)]
pub(crate) struct Epilogue {
    /// `[blocks][BLOCK]`
    bias: Vec<f32>,
    /// A value of the same shape that is added.
    pub(super) residual: Option<BufferLayout>,
    /// A maximum over squares of 2x2 pixels.
    pub(super) pooling: Option<Pooling>,
    clamp: Clamp,
}

/// A maximum over 2x2 pixels with stride 2, with what is fused around it.
#[derive(Debug)]
pub(crate) struct Pooling {
    /// The clamp before it.
    clamp: Clamp,
    /// Scale and shift after it, `[blocks][BLOCK]` each.
    affine: [Vec<f32>; 2],
}

impl Epilogue {
    /// `bias` has an entry for each channel.
    pub(crate) fn new(
        bias: &[f32],
        residual: Option<BufferLayout>,
        pooling: Option<Pooling>,
        clamp: Clamp,
    ) -> Epilogue {
        Epilogue { bias: padded(bias, 0.0), residual, pooling, clamp }
    }

    /// What happens in some lanes of block `index` that start at lane `part`.
    #[inline(always)]
    pub(super) fn of<S: Simd>(&self, simd: S, index: usize, part: usize) -> Finish<S> {
        let at = index * BLOCK + part;
        Finish { bias: simd.read(&self.bias[at..]), bounds: bounds(simd, self.clamp) }
    }

    /// Bytes of its numbers.
    pub(super) fn bytes(&self) -> usize {
        let affine = self.pooling.iter().flat_map(|pooling| &pooling.affine);
        (self.bias.len() + affine.map(Vec::len).sum::<usize>()) * size_of::<f32>()
    }
}

impl Pooling {
    /// What happens in some lanes of block `index` that start at lane `part`.
    #[inline(always)]
    pub(super) fn of<S: Simd>(&self, simd: S, index: usize, part: usize) -> Pooled<S> {
        let at = index * BLOCK + part;
        let [scale, shift] = &self.affine;
        Pooled { bounds: bounds(simd, self.clamp), affine: [simd.read(&scale[at..]), simd.read(&shift[at..])] }
    }

    /// `affine` has an entry for each channel.
    pub(crate) fn new(clamp: Clamp, affine: Option<&Affine>, channels: usize) -> Pooling {
        Pooling { clamp, affine: scale_and_shift(affine, channels) }
    }
}

/// `clamp(x * scale + shift)` per channel: the end of layers that are no convolutions.
#[derive(Debug)]
pub(super) struct Rescaling {
    /// Scale and shift, `[blocks][BLOCK]` each.
    affine: [Vec<f32>; 2],
    clamp: Clamp,
}

impl Rescaling {
    /// `affine` has an entry for each channel.
    pub(super) fn new(affine: Option<&Affine>, clamp: Clamp, channels: usize) -> Rescaling {
        Rescaling { affine: scale_and_shift(affine, channels), clamp }
    }

    /// Its numbers in some lanes of block `index` that start at lane `part`.
    #[inline(always)]
    pub(super) fn of<S: Simd>(&self, simd: S, index: usize, part: usize) -> Rescaled<S> {
        let (at, [scale, shift]) = (index * BLOCK + part, &self.affine);
        Rescaled { affine: [simd.read(&scale[at..]), simd.read(&shift[at..])], bounds: bounds(simd, self.clamp) }
    }
}

/// A [`Rescaling`] in the lanes of one vector.
#[derive(Clone, Copy)]
pub(super) struct Rescaled<S: Simd> {
    affine: [S::V; 2],
    bounds: [S::V; 2],
}

impl<S: Simd> Rescaled<S> {
    #[inline(always)]
    pub(super) fn pixel(&self, simd: S, value: S::V) -> S::V {
        simd.clamp(simd.mul_add(value, self.affine[0], self.affine[1]), self.bounds[0], self.bounds[1])
    }
}

/// An [`Epilogue`] in the lanes of one vector.
#[derive(Clone, Copy)]
pub(super) struct Finish<S: Simd> {
    bias: S::V,
    bounds: [S::V; 2],
}

/// A [`Pooling`] in the lanes of one vector.
#[derive(Clone, Copy)]
pub(super) struct Pooled<S: Simd> {
    bounds: [S::V; 2],
    affine: [S::V; 2],
}

impl<S: Simd> Finish<S> {
    /// The pixel of a sum, without pooling.
    #[inline(always)]
    pub(super) fn pixel(&self, simd: S, sum: S::V, residual: Option<S::V>) -> S::V {
        let mut value = simd.add(sum, self.bias);
        if let Some(residual) = residual {
            value = simd.add(value, residual);
        }
        simd.clamp(value, self.bounds[0], self.bounds[1])
    }

    /// The pixel of the largest of four sums.
    #[inline(always)]
    pub(super) fn pool(&self, simd: S, pooled: &Pooled<S>, sums: [S::V; 4]) -> S::V {
        let largest = simd.max(simd.max(sums[0], sums[1]), simd.max(sums[2], sums[3]));
        let value = simd.clamp(simd.add(largest, self.bias), pooled.bounds[0], pooled.bounds[1]);
        simd.clamp(simd.mul_add(value, pooled.affine[0], pooled.affine[1]), self.bounds[0], self.bounds[1])
    }
}

#[inline(always)]
fn bounds<S: Simd>(simd: S, clamp: Clamp) -> [S::V; 2] {
    [simd.splat(clamp.low), simd.splat(clamp.high)]
}

/// Numbers per channel, with `rest` in the lanes of the last block that are no channels.
fn padded(numbers: &[f32], rest: f32) -> Vec<f32> {
    let mut padded = numbers.to_vec();
    padded.resize(numbers.len().next_multiple_of(BLOCK), rest);
    padded
}

/// Scale and shift of each channel; those of the identity without `affine`.
fn scale_and_shift(affine: Option<&Affine>, channels: usize) -> [Vec<f32>; 2] {
    match affine {
        Some(Affine { scale, shift }) => [padded(scale, 0.0), padded(shift, 0.0)],
        None => [padded(&vec![1.0; channels], 1.0), padded(&vec![0.0; channels], 0.0)],
    }
}
