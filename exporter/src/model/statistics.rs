//! Normalization statistics per width, for networks that do not share them.

use anywidth::engine::Width;
use tch::Tensor;

use super::layer::Layer;
use super::{Mode, Network, channels_last};

impl Network {
    /// The network with a separate normalization set for each of the ascending `widths`, the last of which is full;
    /// each is initialized as a copy of the shared set.
    #[must_use]
    pub fn with_norms_for(mut self, widths: &[Width]) -> Network {
        for node in &mut self.graph.nodes {
            if let Layer::Norm(norm) = &mut node.layer {
                norm.split(widths);
            }
        }
        self
    }

    /// Recalibrates the statistics of every set at its own width to those of `images` (`[N, C, H, W]` in 0..1).
    ///
    /// Proceeds layer by layer: each layer is measured on the output of the recalibrated layers before it.
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

    /// The widths with separate normalization statistics, ascending; only full width if all widths share them.
    pub fn norm_widths(&self) -> Vec<Width> {
        let norms = self.graph.nodes.iter().find_map(|node| match &node.layer {
            Layer::Norm(norm) => Some(norm.sets.iter().map(|set| set.width).collect()),
            _ => None,
        });
        norms.unwrap_or_else(|| vec![Width::FULL])
    }
}
