//! LeNet-3C1L: three convolutions, two poolings, one linear layer; no padding.

use std::ops::RangeInclusive;

use rand::Rng;

use super::Graph;
use super::graph::{Activation, Builder};
use super::layer::Window;

/// Supported image sides: 16 leaves one position for the last layer, 128 leaves 841.
pub const SIDES: RangeInclusive<usize> = 16..=128;

/// The graph with these `channels` after each of the three convolutions.
///
/// # Panics
/// If a side of the images is not in [`SIDES`], or a count is zero.
pub fn graph<R: Rng>(mut build: Builder<'_, R>, channels: [usize; 3], classes: usize) -> Graph {
    let image = build.shape(build.image());
    assert!([image.height, image.width].iter().all(|side| SIDES.contains(side)), "LeNet-3C1L for images of {image}");
    let [first, second, third] = channels;
    let unpadded = |side| Window { side, stride: 1, padding: 0 };
    let maps = build.block(0, first, unpadded(3), Activation::Relu);
    let maps = build.block(maps, second, unpadded(3), Activation::Relu);
    let maps = build.max_pool(maps, 2);
    let maps = build.block(maps, third, unpadded(5), Activation::Relu);
    build.max_pool(maps, 2);
    build.finish(classes)
}
