//! The cost of one image at full width, counted as the engine counts it; also for networks that the engine refuses.

use super::{Layer, Network};

/// The cost of one image at full width.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Multiply-adds of activations and weights, without those above the triangle.
    pub multiply_adds: u64,
    /// Weights and biases, with BatchNorm folded where it follows a layer with weights, without those above the
    /// triangle.
    pub parameters: u64,
}

impl Cost {
    /// Adds the `weights` and `biases` of a layer that computes `pixels` per map.
    fn add(&mut self, weights: usize, biases: usize, pixels: usize) {
        self.multiply_adds += (weights * pixels) as u64;
        self.parameters += (weights + biases) as u64;
    }
}

impl Network {
    /// The cost of one image at full width, including normalization.
    pub fn cost(&self) -> Cost {
        let mut cost = Cost::default();
        let nodes = &self.graph.nodes;
        let folded: Vec<_> = (0..nodes.len()).filter_map(|id| self.graph.folded_norm(id)).map(|(id, _)| id).collect();
        for (id, node) in nodes.iter().enumerate() {
            let pixels = node.shape.height * node.shape.width;
            match &node.layer {
                Layer::Image => cost.add(node.shape.channels, node.shape.channels, pixels),
                Layer::Norm(norm) if !folded.contains(&id) => cost.add(norm.channels(), norm.channels(), pixels),
                layer => {
                    let Some(matrix) = layer.matrix() else { continue };
                    cost.add(matrix.count(), matrix.rows(), pixels);
                }
            }
        }
        cost.add(self.graph.classifier.weight.numel(), self.graph.classifier.bias.numel(), 1);
        cost
    }
}
