//! ResNet-20 for CIFAR (He et al., "Deep Residual Learning for Image Recognition", 2015, section 4.2).
//!
//! A stem and three stages of three residual blocks of two 3x3 convolutions. Where a stage starts with a stride and
//! more channels, the shortcut has a 1x1 convolution, which is triangular like all others, so that both sides of the
//! sum have the same active channels.

use std::ops::RangeInclusive;

use rand::Rng;

use super::Graph;
use super::graph::{Activation, Builder, NodeId};
use super::layer::Window;

/// Supported image sides.
pub const SIDES: RangeInclusive<usize> = 16..=128;

/// Channels of the published network's three stages.
pub const CHANNELS: [usize; 3] = [16, 32, 64];

/// Blocks in each stage.
const BLOCKS: usize = 3;
/// Largest side for which the stem has stride 1.
const USUAL_SIDE: usize = 45;

/// The graph with these `channels` in the three stages; the stem has those of the first. The stem has stride 2 for
/// images of more than 45 pixels, and 4 for more than 90.
///
/// # Panics
/// If a side of the images is not in [`SIDES`], or a count is zero.
pub fn graph<R: Rng>(mut build: Builder<'_, R>, channels: [usize; 3], classes: usize) -> Graph {
    let image = build.shape(build.image());
    assert!([image.height, image.width].iter().all(|side| SIDES.contains(side)), "ResNet-20 for images of {image}");
    let stem = match image.height.min(image.width) {
        ..=USUAL_SIDE => Window::same(3),
        side if side <= 2 * USUAL_SIDE => Window::same(3).strided(2),
        _ => Window::same(5).strided(4),
    };
    let mut maps = build.block(0, channels[0], stem, Activation::Relu);
    for (stage, here) in channels.into_iter().enumerate() {
        for block in 0..BLOCKS {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            maps = residual(&mut build, maps, here, stride);
        }
    }
    build.global_average_pool(maps);
    build.finish(classes)
}

fn residual<R: Rng>(build: &mut Builder<'_, R>, input: NodeId, channels: usize, stride: usize) -> NodeId {
    let before = build.shape(input).channels;
    let maps = build.block(input, channels, Window::same(3).strided(stride), Activation::Relu);
    let maps = build.block(maps, channels, Window::same(3), Activation::None);
    let mut shortcut = input;
    if stride > 1 || before != channels {
        shortcut = build.block(input, channels, Window::same(1).strided(stride), Activation::None);
    }
    let sum = build.add(maps, shortcut);
    build.relu(sum)
}
