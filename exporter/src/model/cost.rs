//! What a network costs at a width: parameters held and multiplications done, counted and not measured.

use anywidth::engine::width::Width;

use super::{Layer, Network};

/// What one image costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Numbers that are held: what is read of the weights, and the biases (with BatchNorm folded into them).
    pub parameters: usize,
    /// Multiplications, each with its addition; poolings and activations are not counted.
    pub multiply_adds: usize,
}

impl Network {
    /// The cost of one image at `width`.
    pub fn cost(&self, width: Width) -> Cost {
        let mut cost = Cost::default();
        let (mut height, mut columns) = (self.image.height, self.image.width);
        for layer in &self.layers {
            match layer {
                Layer::Convolution(convolution) => {
                    let size = convolution.weight.size();
                    let (rows, kernel) = (width.active(size[0] as usize), size[2] as usize);
                    let ones = convolution.mask.narrow(0, 0, rows as i64).sum(tch::Kind::Double).double_value(&[]);
                    let weights = ones as usize * kernel * kernel;
                    (height, columns) =
                        (height + 2 * convolution.padding + 1 - kernel, columns + 2 * convolution.padding + 1 - kernel);
                    cost.parameters += weights + rows;
                    cost.multiply_adds += weights * height * columns;
                }
                Layer::MaxPool { size } => (height, columns) = (height / size, columns / size),
                Layer::Relu => {}
            }
        }
        let [classes, channels, positions] = self.classifier.weight.size()[..] else {
            unreachable!("a classifier's weight has three axes")
        };
        let weights = (classes * positions) as usize * width.active(channels as usize);
        cost.parameters += weights + classes as usize;
        cost.multiply_adds += weights;
        cost
    }
}
