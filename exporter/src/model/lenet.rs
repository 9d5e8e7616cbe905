//! LeNet-3C1L: three convolutions, two poolings, one linear layer; no padding.

use std::ops::RangeInclusive;

use rand::Rng;
use tch::Kind;

use super::layers::{BatchNorm, Classifier, Convolution, Layer, Weights, Window};
use crate::data::Shape;

/// Pixels that an image may have on each side: 16 leave one position for the last layer, 128 leave 841.
pub const SIDES: RangeInclusive<usize> = 16..=128;

/// The layers for images of shape `image`, with these `channels` after each of the three convolutions, of which the
/// later two have `hidden` weights.
///
/// # Panics
/// If a side of the images is not in [`SIDES`], or a count is zero.
pub fn layers(
    channels: [usize; 3],
    image: Shape,
    classes: usize,
    hidden: Weights,
    kind: Kind,
    random: &mut impl Rng,
) -> (Vec<Layer>, Classifier) {
    assert!([image.height, image.width].iter().all(|side| SIDES.contains(side)), "LeNet-3C1L for images of {image}");
    let [first, second, third] = channels;
    let mut convolution = |index, weights, [c_out, c_in, side]: [usize; 3]| {
        let window = Window { side, stride: 1, padding: 0 };
        Layer::Convolution(Convolution::new(index, weights, [c_out, c_in], window, kind, random))
    };
    let norm = |index, channels| Layer::Norm(BatchNorm::new(index, channels, kind));
    let layers = vec![
        convolution(1, Weights::Dense, [first, image.channels, 3]),
        norm(1, first),
        Layer::Relu,
        convolution(2, hidden, [second, first, 3]),
        norm(2, second),
        Layer::Relu,
        Layer::MaxPool { size: 2 },
        convolution(3, hidden, [third, second, 5]),
        norm(3, third),
        Layer::Relu,
        Layer::MaxPool { size: 2 },
    ];
    let side = |length: usize| ((length - 4) / 2 - 4) / 2;
    let positions = side(image.height) * side(image.width);
    (layers, Classifier::new(classes, third, positions, kind, random))
}
