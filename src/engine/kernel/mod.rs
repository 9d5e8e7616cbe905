//! The arithmetic: each kernel computes the channels `from..to` of one value of one item, and touches no other.
//!
//! A kernel reads only channels that exist; what lies beyond them may be anything.

pub(crate) mod conv;
pub(crate) mod elementwise;
pub(crate) mod linear;
pub(crate) mod pool;
pub(crate) mod repack;
pub(crate) mod simd;
mod tile;

use super::buffer::BufferLayout;

/// A step that is to compute channels `from..to` of its output.
struct Run<'a, S> {
    step: &'a S,
    /// The memory that the step reads, from where its input begins or from the item's start.
    input: &'a [f32],
    /// The memory from where its output begins.
    output: &'a mut [f32],
    from: usize,
    to: usize,
}

/// The memory before `output` begins, to read from, and that from there on, to write to.
fn split<'a>(item: &'a mut [f32], output: &BufferLayout) -> (&'a [f32], &'a mut [f32]) {
    let (before, after) = item.split_at_mut(output.start);
    (before, after)
}
