//! A multilayer perceptron: two hidden linear layers of the same size, for images of any size.

use std::ops::RangeInclusive;

use rand::Rng;

use super::Graph;
use super::graph::Builder;

/// Pixels that an image may have on each side.
pub const SIDES: RangeInclusive<usize> = 1..=128;

/// Hidden layers.
const LAYERS: usize = 2;

/// The graph with `channels` units in each hidden layer.
///
/// # Panics
/// If a side of the images is not in [`SIDES`], or the count is zero.
pub fn graph<R: Rng>(mut build: Builder<'_, R>, channels: usize, classes: usize) -> Graph {
    let image = build.shape(build.image());
    assert!([image.height, image.width].iter().all(|side| SIDES.contains(side)), "an MLP for images of {image}");
    let mut units = build.image();
    for _ in 0..LAYERS {
        units = build.linear(units, channels);
        units = build.norm(units);
        units = build.relu(units);
    }
    build.finish(classes)
}
