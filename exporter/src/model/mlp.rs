//! A multilayer perceptron: two hidden linear layers of the same size, for images of any size.

use std::ops::RangeInclusive;

use rand::Rng;

use super::Graph;
use super::graph::{Activation, Builder};

/// Supported image sides.
pub const SIDES: RangeInclusive<usize> = 1..=128;

/// Number of hidden layers.
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
        units = build.normalized(units, Activation::Relu);
    }
    build.finish(classes)
}
