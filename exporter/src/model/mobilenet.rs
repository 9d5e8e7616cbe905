//! MobileNetV2 (Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018) for small images.
//!
//! Each block expands its maps sixfold by a 1x1 convolution, filters each map (depthwise 3x3), and projects them by a
//! 1x1 convolution without an activation; if the shape is unchanged, its input is added. 1x1 convolutions are
//! triangular; depthwise ones read their own channel at any width.
//!
//! The published network halves images of 224 pixels five times. For 32 pixels the stem and the first stages have
//! stride 1, as is usual for CIFAR, which leaves three halvings. Each doubling of the image size restores one of these
//! strides, from the last removed, so that the last maps have 4 to 7 pixels per side.

use std::ops::RangeInclusive;

use rand::Rng;

use super::Graph;
use super::graph::{Activation, Builder, NodeId};
use super::layer::Window;

/// Supported image sides.
pub const SIDES: RangeInclusive<usize> = 32..=224;

/// Channels of the published network: the stem, the seven stages, and the last convolution.
pub const CHANNELS: [usize; 9] = [32, 16, 24, 32, 64, 96, 160, 320, 1280];

/// Blocks in each stage.
const BLOCKS: [usize; 7] = [1, 2, 3, 4, 3, 3, 1];
/// Published strides of the stem and of each stage's first block.
const STRIDES: [usize; 8] = [2, 1, 2, 2, 2, 1, 2, 1];
/// Expansion of a block's channels; 1 in the first stage.
const EXPANSION: usize = 6;
/// Minimum number of halvings: the last ones.
const LEAST_HALVINGS: u32 = 2;

/// The graph with these `channels` in the stem, the stages, and the last convolution.
///
/// # Panics
/// If a side of the images is not in [`SIDES`], or a count is zero.
pub fn graph<R: Rng>(mut build: Builder<'_, R>, channels: [usize; 9], classes: usize) -> Graph {
    let image = build.shape(build.image());
    assert!([image.height, image.width].iter().all(|side| SIDES.contains(side)), "MobileNetV2 for images of {image}");
    let strides = strides(image.height.min(image.width));
    let [stem, stages @ .., last] = channels;
    let mut maps = build.block(0, stem, Window::same(3).strided(strides[0]), Activation::Relu6);
    for (stage, (channels, blocks)) in stages.into_iter().zip(BLOCKS).enumerate() {
        let expansion = if stage == 0 { 1 } else { EXPANSION };
        for block in 0..blocks {
            let stride = if block == 0 { strides[stage + 1] } else { 1 };
            maps = inverted_residual(&mut build, maps, channels, expansion, stride);
        }
    }
    let maps = build.block(maps, last, Window::same(1), Activation::Relu6);
    build.global_average_pool(maps);
    build.finish(classes)
}

/// The strides for images with the shorter side `side`: the published ones, of which smaller images omit the first few.
fn strides(side: usize) -> [usize; 8] {
    let halvings = STRIDES.iter().filter(|&&stride| stride == 2).count() as u32;
    let wanted = (side as f64 / 32.0).log2().round() as u32 + LEAST_HALVINGS + 1;
    let mut left = halvings - wanted.min(halvings);
    STRIDES.map(|stride| {
        if stride == 2 && left > 0 {
            left -= 1;
            return 1;
        }
        stride
    })
}

fn inverted_residual<R: Rng>(
    build: &mut Builder<'_, R>,
    input: NodeId,
    channels: usize,
    expansion: usize,
    stride: usize,
) -> NodeId {
    let before = build.shape(input).channels;
    let mut maps = input;
    if expansion > 1 {
        maps = build.block(maps, expansion * before, Window::same(1), Activation::Relu6);
    }
    maps = build.depthwise_block(maps, Window::same(3).strided(stride), Activation::Relu6);
    maps = build.block(maps, channels, Window::same(1), Activation::None);
    if stride == 1 && before == channels { build.add(input, maps) } else { maps }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_maps_have_about_as_many_pixels_whatever_the_image_has() {
        for side in SIDES {
            let last = strides(side).iter().fold(side, |length, &stride| length.div_ceil(stride));
            assert!((3..=7).contains(&last), "{side}: {last}");
        }
        // The common variant for CIFAR, and the published network.
        assert_eq!(strides(32), [1, 1, 1, 2, 2, 1, 2, 1]);
        assert_eq!(strides(224), STRIDES);
    }
}
