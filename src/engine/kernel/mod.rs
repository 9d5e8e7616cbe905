//! The kernels: each computes channels `from..to` of one value of an item, and writes nothing but that value's blocks.
//!
//! A kernel is packed for a layer at load ([`conv`], [`lane_wise`], [`linear`]) and then run for every item. A block of channels that a
//! width cuts is computed whole and again when the item is widened, with the same bits in the channels that existed. A kernel reads
//! only active channels as factors; lanes beyond them pass through lane by lane and may hold anything.
#![expect(
    clippy::manual_map,
    clippy::needless_range_loop,
    reason = "closures are compiled for the baseline, and constant indices keep arrays of vectors in registers"
)]

pub(crate) mod conv;
mod epilogue;
mod function;
mod gemm;
pub(crate) mod lane_wise;
pub(crate) mod linear;
pub(crate) mod simd;

use std::fmt::Debug;

use super::buffer::BufferLayout;
use super::memory::Aligned;
use simd::InstructionSet;

pub(crate) use epilogue::{Epilogue, Pooling};

/// A layer, ready to run.
pub(crate) trait Step: Debug + Send + Sync {
    /// Buffer of the value that it computes.
    fn output(&self) -> &BufferLayout;

    /// Computes channels `from..to` of its value, `from < to`, for each item. Each item is the memory of one image.
    fn run(&self, context: &mut Context<'_>, items: &mut [&mut [f32]], from: usize, to: usize);

    /// Bytes of its packed weights.
    fn packed_bytes(&self) -> usize {
        0
    }
}

/// What every step runs with.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) set: InstructionSet,
    pub(crate) scratch: &'a mut Scratch,
}

/// Memory for what steps compute in between.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The contiguous pixels of a value.
    pub(crate) features: Vec<f32>,
    /// Transformed tiles of a convolution.
    pub(crate) tiles: Aligned,
}

impl Scratch {
    /// Its floats.
    pub(crate) fn len(&self) -> usize {
        self.features.capacity() + self.tiles.len()
    }
}

/// Splits an item at the start of `output`: memory to read, and memory to write.
fn split<'a>(item: &'a mut [f32], output: &BufferLayout) -> (&'a [f32], &'a mut [f32]) {
    let (before, after) = item.split_at_mut(output.start);
    (before, after)
}

/// The number of lanes to compute in block `index` of a value whose first `to` channels are active.
fn lanes_of(index: usize, to: usize, lanes: usize) -> usize {
    (to - index * lanes).min(lanes)
}
