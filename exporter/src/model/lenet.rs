//! LeNet-3C1L: three convolutions, two poolings, one linear layer; no padding.

use rand::Rng;
use tch::Kind;

use super::layers::{BatchNorm, Classifier, Convolution, Input, Layer};
use crate::data::Shape;

/// Pixels a side that leave one position for the last layer.
const SMALLEST: usize = 16;

/// The layers for images of shape `image`, with these `channels` after each of the three convolutions.
///
/// # Panics
/// If the images have fewer than 16 pixels a side, or a count is zero.
pub fn layers(
    channels: [usize; 3],
    image: Shape,
    classes: usize,
    kind: Kind,
    random: &mut impl Rng,
) -> (Vec<Layer>, Classifier) {
    assert!(image.height.min(image.width) >= SMALLEST, "LeNet-3C1L reads no images below {SMALLEST} pixels a side");
    let [first, second, third] = channels;
    let mut convolution =
        |index, input, size| Layer::Convolution(Convolution::new(index, input, size, 0, kind, random));
    let norm = |index, channels| Layer::Norm(BatchNorm::new(index, channels, kind));
    let layers = vec![
        convolution(1, Input::Image, [first, image.channels, 3]),
        norm(1, first),
        Layer::Relu,
        convolution(2, Input::Channels, [second, first, 3]),
        norm(2, second),
        Layer::Relu,
        Layer::MaxPool { size: 2 },
        convolution(3, Input::Channels, [third, second, 5]),
        norm(3, third),
        Layer::Relu,
        Layer::MaxPool { size: 2 },
    ];
    let side = |length: usize| ((length - 4) / 2 - 4) / 2;
    let positions = side(image.height) * side(image.width);
    (layers, Classifier::new(classes, third, positions, kind, random))
}
