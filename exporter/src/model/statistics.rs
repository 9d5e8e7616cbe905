//! Normalization statistics of networks that do not share them among widths.

use anywidth::engine::Width;
use tch::Tensor;

use super::layer::Layer;
use super::{Mode, Network, channels_last};

impl Network {
    /// The same network with a set of statistics, factors and summands of its own for each of the ascending `widths`, the last
    /// of which is full; each begins as a copy of what was shared.
    #[must_use]
    pub fn with_norms_for(mut self, widths: &[Width]) -> Network {
        for node in &mut self.graph.nodes {
            if let Layer::Norm(norm) = &mut node.layer {
                norm.split(widths);
            }
        }
        self
    }

    /// Measures the statistics of every set anew, each at its own width, as those of `images` (`[N, C, H, W]` in 0..1).
    ///
    /// Layer by layer: a layer's statistics are those of what the layers before it give with their new ones.
    pub fn recalibrate(&self, images: &Tensor) {
        let mode = Mode { training: false, precision: images.kind() };
        tch::no_grad(|| {
            for width in self.norm_widths() {
                let images = channels_last(&self.normalised(images));
                let _ = self.graph.walk(images, |node, inputs| {
                    if let Layer::Norm(norm) = &node.layer {
                        norm.at(width).measure(&inputs[0]);
                    }
                    node.layer.forward(inputs, width, mode)
                });
            }
        });
    }

    /// The widths that have normalization statistics of their own, ascending; full width alone where all widths share them.
    pub fn norm_widths(&self) -> Vec<Width> {
        let norms = self.graph.nodes.iter().find_map(|node| match &node.layer {
            Layer::Norm(norm) => Some(norm.sets.iter().map(|set| set.width).collect()),
            _ => None,
        });
        norms.unwrap_or_else(|| vec![Width::FULL])
    }
}
