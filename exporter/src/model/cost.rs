//! What one image takes at full width, counted as the engine counts it: also of a network that the engine refuses.

use tch::Kind;

use super::{Layer, Network, Window};

/// What one image takes at full width.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Multiplications of an activation by a weight; those above the triangle do not exist.
    pub multiply_adds: u64,
    /// Weights and biases, BatchNorm folded where it follows a convolution; those above the triangle do not exist.
    pub parameters: u64,
}

impl Cost {
    /// Counts `weights` and `biases` of a layer that computes maps of the size `map`.
    fn add(&mut self, weights: usize, biases: usize, map: [usize; 2]) {
        self.multiply_adds += (weights * map[0] * map[1]) as u64;
        self.parameters += (weights + biases) as u64;
    }
}

impl Network {
    /// What one image takes at full width, its normalisation included.
    pub fn cost(&self) -> Cost {
        let mut cost = Cost::default();
        let mut map = [self.image.height, self.image.width];
        cost.add(self.image.channels, self.image.channels, map);
        let mut after_convolution = false;
        for layer in &self.layers {
            match layer {
                Layer::Convolution(convolution) => {
                    let Window { side, stride, padding } = convolution.window;
                    map = map.map(|length| (length + 2 * padding - side) / stride + 1);
                    let pairs = convolution.mask.sum(Kind::Double).double_value(&[]) as usize;
                    cost.add(pairs * side * side, convolution.weight.size()[0] as usize, map);
                }
                Layer::Norm(norm) if !after_convolution => cost.add(norm.gamma.numel(), norm.beta.numel(), map),
                Layer::Norm(_) | Layer::Relu => {}
                Layer::MaxPool { size } => map = map.map(|length| length / size),
                Layer::GlobalMaxPool => map = [1, 1],
            }
            after_convolution = matches!(layer, Layer::Convolution(_));
        }
        cost.add(self.classifier.weight.numel(), self.classifier.bias.numel(), [1, 1]);
        cost
    }
}
