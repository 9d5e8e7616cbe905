//! The compute kernels. Each computes channels `from..to` of one value of one item and writes nothing else.
//!
//! A kernel reads only active channels; the contents of other channels are undefined.

pub(crate) mod conv;
pub(crate) mod elementwise;
pub(crate) mod linear;
pub(crate) mod pool;
pub(crate) mod repack;
pub(crate) mod simd;
mod tile;
pub(crate) mod winograd;

use super::buffer::BufferLayout;

/// One call of a step: channels `from..to` of its output.
struct Run<'a, S> {
    step: &'a S,
    /// Memory that the step reads, from the start of its input or of the item.
    input: &'a [f32],
    /// Memory from the start of its output.
    output: &'a mut [f32],
    from: usize,
    to: usize,
}

/// Splits an item at the start of `output`: memory to read, and memory to write.
fn split<'a>(item: &'a mut [f32], output: &BufferLayout) -> (&'a [f32], &'a mut [f32]) {
    let (before, after) = item.split_at_mut(output.start);
    (before, after)
}
