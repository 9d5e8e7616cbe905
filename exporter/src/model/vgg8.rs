//! vgg-8: a stem and three stages of two convolutions, each 3x3 with a border of zeros; one linear layer.

use rand::Rng;
use tch::Kind;

use super::layers::{BatchNorm, Classifier, Convolution, Input, Layer};
use crate::data::Shape;

/// Pixels a side that leave one position after the last stage.
const SMALLEST: usize = 8;

/// Evenly spaced widths at which the network is trained and measured.
pub const WIDTHS: usize = 32;

/// The layers for images of shape `image`, with these `channels` in the three stages and half of the first in the stem.
///
/// The first convolution of a stage is pooled before it is normalised, which leaves a quarter of the values to
/// normalise. Such a normalisation cannot be folded into the convolution: a negative factor would turn the maximum
/// into a minimum.
///
/// # Panics
/// If the images have fewer than 8 pixels a side, or a count is zero (below 2 in the first stage).
pub fn layers(
    channels: [usize; 3],
    image: Shape,
    classes: usize,
    kind: Kind,
    random: &mut impl Rng,
) -> (Vec<Layer>, Classifier) {
    assert!(image.height.min(image.width) >= SMALLEST, "vgg-8 reads no images below {SMALLEST} pixels a side");
    let mut convolution = |index, input, [c_out, c_in]: [usize; 2]| {
        Layer::Convolution(Convolution::new(index, input, [c_out, c_in, 3], 1, kind, random))
    };
    let norm = |index, channels| Layer::Norm(BatchNorm::new(index, channels, kind));
    let stem = channels[0] / 2;
    let mut layers = vec![convolution(1, Input::Image, [stem, image.channels]), norm(1, stem), Layer::Relu];
    let mut before = stem;
    for (stage, here) in channels.into_iter().enumerate() {
        let [first, second] = [2 * stage + 2, 2 * stage + 3];
        layers.extend([
            convolution(first, Input::Channels, [here, before]),
            Layer::MaxPool { size: 2 },
            norm(first, here),
            Layer::Relu,
            convolution(second, Input::Channels, [here, here]),
            norm(second, here),
            Layer::Relu,
        ]);
        before = here;
    }
    layers.push(Layer::GlobalMaxPool);
    (layers, Classifier::new(classes, before, 1, kind, random))
}
