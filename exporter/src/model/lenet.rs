//! LeNet-3C1L: three convolutions, two poolings, one linear layer; no padding.

use std::ops::RangeInclusive;

use rand::Rng;

use super::Graph;
use super::graph::{Builder, NodeId};
use super::layer::Window;

/// Pixels that an image may have on each side: 16 leave one position for the last layer, 128 leave 841.
pub const SIDES: RangeInclusive<usize> = 16..=128;

/// The graph with these `channels` after each of the three convolutions.
///
/// # Panics
/// If a side of the images is not in [`SIDES`], or a count is zero.
pub fn graph<R: Rng>(mut build: Builder<'_, R>, channels: [usize; 3], classes: usize) -> Graph {
    let image = build.shape(build.image());
    assert!([image.height, image.width].iter().all(|side| SIDES.contains(side)), "LeNet-3C1L for images of {image}");
    let [first, second, third] = channels;
    let maps = block(&mut build, 0, first, 3);
    let maps = block(&mut build, maps, second, 3);
    let maps = build.max_pool(maps, 2);
    let maps = block(&mut build, maps, third, 5);
    build.max_pool(maps, 2);
    build.finish(classes)
}

fn block<R: Rng>(build: &mut Builder<'_, R>, input: NodeId, channels: usize, side: usize) -> NodeId {
    let maps = build.convolution(input, channels, Window { side, stride: 1, padding: 0 });
    let maps = build.norm(maps);
    build.relu(maps)
}
