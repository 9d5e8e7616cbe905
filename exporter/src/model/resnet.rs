//! ResNet-20 for CIFAR (He et al., "Deep Residual Learning for Image Recognition", 2015, section 4.2).
//!
//! A stem and three stages of three blocks of two 3x3 convolutions, each block's input added to what it makes of it. Where a
//! stage begins with a stride and more channels, the input goes through a 1x1 convolution, which is triangular like all
//! others, so that the sum has the same active channels on both sides.

use std::ops::RangeInclusive;

use rand::Rng;

use super::Graph;
use super::graph::{Builder, NodeId};
use super::layer::Window;

/// Pixels that an image may have on each side.
pub const SIDES: RangeInclusive<usize> = 16..=128;

/// Channels of the published network's three stages.
pub const CHANNELS: [usize; 3] = [16, 32, 64];

/// Blocks in each stage.
const BLOCKS: usize = 3;
/// The largest side for which the stem does not stride.
const USUAL_SIDE: usize = 45;

/// The graph with these `channels` in the three stages; the stem has those of the first. The stem strides by 2 for images
/// of more than 45 pixels, and by 4 for more than 90.
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
    let maps = build.convolution(0, channels[0], stem);
    let maps = build.norm(maps);
    let mut maps = build.relu(maps);
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
    let maps = build.convolution(input, channels, Window::same(3).strided(stride));
    let maps = build.norm(maps);
    let maps = build.relu(maps);
    let maps = build.convolution(maps, channels, Window::same(3));
    let maps = build.norm(maps);
    let mut shortcut = input;
    if stride > 1 || before != channels {
        shortcut = build.convolution(input, channels, Window::same(1).strided(stride));
        shortcut = build.norm(shortcut);
    }
    let sum = build.add(maps, shortcut);
    build.relu(sum)
}
