//! vgg-8: a stem, three or more stages of two 3x3 convolutions with zero padding, and one linear layer.
//!
//! The shorter image side decides the depth. With `k = round(log2(side / 32))`, the stem has stride `2^k`, so that its
//! maps are about as large as those of 32 pixels; a stem with stride 4 has 5x5 kernels, because 3x3 ones would skip
//! pixels. There are `3 + k` stages, as far as each stage has at least 2 pixels to pool. Stages beyond the third have
//! as many channels as the third.
//!
//! | side | stem | stages |
//! |---|---|---|
//! | 28 to 45 | 3x3 | 3 |
//! | 46 to 90 | 3x3, stride 2 | 4 |
//! | 91 to 124 | 5x5, stride 4 | 4 |
//! | 125 to 128 | 5x5, stride 4 | 5 |

use std::ops::RangeInclusive;

use rand::Rng;

use super::Graph;
use super::graph::{Activation, Builder};
use super::layer::Window;

/// Supported image sides.
pub const SIDES: RangeInclusive<usize> = 28..=128;

/// The side for which the stem has stride 1.
const USUAL_SIDE: f64 = 32.0;

/// The graph with these `channels` in the stages, and half of the first in the stem.
///
/// The first convolution of a stage is pooled before it is normalized, which leaves a quarter of the values to
/// normalize. This normalization cannot be folded into the convolution, because a negative factor would turn the
/// maximum into a minimum.
///
/// # Panics
/// If a side of the images is not in [`SIDES`], or a count is zero (below 2 in the first stage).
pub fn graph<R: Rng>(mut build: Builder<'_, R>, channels: [usize; 3], classes: usize) -> Graph {
    let image = build.shape(build.image());
    assert!([image.height, image.width].iter().all(|side| SIDES.contains(side)), "vgg-8 for images of {image}");
    let side = image.height.min(image.width);
    let mut maps = build.block(0, channels[0] / 2, stem(side), Activation::Relu);
    for stage in 0..stages(side) {
        let here = channels[stage.min(2)];
        maps = build.convolution(maps, here, Window::same(3));
        maps = build.max_pool(maps, 2);
        maps = build.normalized(maps, Activation::Relu);
        maps = build.block(maps, here, Window::same(3), Activation::Relu);
    }
    build.global_max_pool(maps);
    build.finish(classes)
}

/// The smallest image side that a network built for `side` pixels can read: each stage halves the map, rounded down.
pub(super) fn least_side(side: usize) -> usize {
    stem(side).stride * ((1 << stages(side)) - 1) + 1
}

/// Number of doublings from the usual side to about `side`.
fn doublings(side: usize) -> u32 {
    (side as f64 / USUAL_SIDE).log2().round() as u32
}

/// The stem's kernel for images with the shorter side `side`.
fn stem(side: usize) -> Window {
    let stride = 1 << doublings(side);
    let kernel = if stride < 4 { 3 } else { 5 };
    Window { side: kernel, stride, padding: kernel / 2 }
}

/// Number of stages after the stem; each halves the map, rounded down.
fn stages(side: usize) -> usize {
    let map = side.div_ceil(stem(side).stride);
    (3 + doublings(side)).min(map.ilog2()) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table in the module documentation.
    #[test]
    fn the_shorter_side_decides_the_stem_and_the_stages() {
        for (sides, kernel, stride, count) in
            [(28..=45, 3, 1, 3), (46..=90, 3, 2, 4), (91..=124, 5, 4, 4), (125..=128, 5, 4, 5)]
        {
            for side in sides {
                let window = Window { side: kernel, stride, padding: kernel / 2 };
                assert_eq!((stem(side), stages(side)), (window, count), "{side} pixels");
            }
        }
    }
}
