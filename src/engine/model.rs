//! A loaded network: read, proved triangular, packed once, then immutable.

use super::graph::{Graph, Op, Shape};
use super::metadata::Metadata;
use super::onnx::{self, DataFiles, LoadError, TensorNames};
use super::plan::Plan;
use super::precision::Precision;
use super::summary::{LayerSummary, WidthCost, summarise};
use super::triangular;
use super::width::Width;

/// A network that runs at any width. It is immutable: share it between threads in an [`Arc`](std::sync::Arc).
#[derive(Debug)]
pub struct Model {
    pub(crate) plan: Plan,
    metadata: Metadata,
    precision: Precision,
    input: Shape,
    grid: Vec<Width>,
    layers: Vec<LayerSummary>,
    tensors: TensorNames,
    notes: Vec<String>,
}

/// Maximum number of widths in a grid.
const MAX_GRID: usize = 32;

/// A model file that has been read and not compiled yet.
#[derive(Debug)]
pub struct ModelFile(onnx::Contents);

impl ModelFile {
    /// Reads an ONNX file. `files` gives the data files with external weights, if there are any.
    ///
    /// # Errors
    /// [`LoadError`] names the problem and its position in the files.
    pub fn read(bytes: &[u8], files: Option<&mut dyn DataFiles>) -> Result<ModelFile, LoadError> {
        onnx::read(bytes, files).map(ModelFile)
    }

    /// The largest loss of accuracy at any width of the grid with `precision` instead of `f32`, from 0 to 1; `None` if the file does not
    /// state it for each of them.
    pub fn loss(&self, precision: Precision) -> Option<f64> {
        self.0.metadata.loss(precision, &grid(&self.0.graph))
    }

    /// Proves that the network runs at any width, and packs its weights for products of `precision`, which need not be available on
    /// this processor.
    ///
    /// # Errors
    /// [`LoadError`] names the problem and its position in the file.
    pub fn compile(self, precision: Precision) -> Result<Model, LoadError> {
        let onnx::Contents { graph, mut metadata, tensors, notes } = self.0;
        // From here on the accuracies are those of what runs.
        if let Some(accuracy) = metadata.precision.get(&precision) {
            metadata.accuracy.clone_from(accuracy);
        }
        let model = Model::new(&graph, metadata, precision)?;
        Ok(Model { tensors, notes, ..model })
    }
}

impl Model {
    /// Reads an ONNX file, proves that it runs at any width, and packs its weights, for products of `f32`.
    ///
    /// The file must contain all weights; for external data, and other precisions, use [`ModelFile`].
    ///
    /// # Errors
    /// [`LoadError`] names the problem and its position in the file.
    pub fn from_onnx(bytes: &[u8]) -> Result<Model, LoadError> {
        ModelFile::read(bytes, None)?.compile(Precision::F32)
    }

    pub(crate) fn new(graph: &Graph, metadata: Metadata, precision: Precision) -> Result<Model, LoadError> {
        triangular::prove(graph)?;
        let plan = Plan::new(graph, precision)?;
        let (grid, layers) = (grid(graph), summarise(graph));
        Ok(Model {
            plan,
            metadata,
            precision,
            input: graph.input(),
            grid,
            layers,
            tensors: TensorNames::default(),
            notes: vec![],
        })
    }

    /// The numbers that it multiplies.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Shape of the image that the network reads.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.plan.head.classes
    }

    /// Metadata of the file.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The grid of widths, ascending to full width: at most 32 equal steps of a few channels of the narrowest layer.
    ///
    /// Any width can run. The grid gives metrics, profiles and policies a bounded set.
    pub fn grid(&self) -> &[Width] {
        &self.grid
    }

    /// The narrowest width of the grid that is at least `width`.
    pub fn step(&self, width: Width) -> Width {
        let index = self.grid.partition_point(|&step| step < width);
        self.grid.get(index).copied().unwrap_or(Width::FULL)
    }

    /// The layers in order of execution; the last computes the logits.
    pub fn layers(&self) -> &[LayerSummary] {
        &self.layers
    }

    /// The names of its input and output in the file.
    pub fn tensors(&self) -> &TensorNames {
        &self.tensors
    }

    /// Parts of the file that were left out because they change no prediction, one sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Cost of one image at `width`.
    pub fn cost(&self, width: Width) -> WidthCost {
        let mut cost = WidthCost::default();
        for layer in &self.layers {
            let (multiply_adds, parameters) = layer.work.at(width);
            cost.multiply_adds += multiply_adds;
            cost.parameters += parameters;
        }
        let floats: usize = self.plan.buffers().map(|buffer| buffer.range(buffer.active(Some(width))).len()).sum();
        cost.activation_bytes = (floats * size_of::<f32>()) as u64;
        cost
    }

    /// Bytes of the packed weights, the one copy that serves every width.
    pub fn packed_bytes(&self) -> usize {
        self.plan.packed_bytes()
    }
}

/// Equal steps of the layer with the fewest channels outside of gates, thinned to at most [`MAX_GRID`].
fn grid(graph: &Graph) -> Vec<Width> {
    // The few hidden channels of a gate would leave few widths.
    let layers = graph.nodes.iter().zip(graph.gates()).filter(|(_, gate)| !gate).map(|(node, _)| node);
    let sliced = layers.filter(|node| matches!(node.op, Op::Conv(_) | Op::Linear(_)));
    let Some(channels) = sliced.map(|node| node.shape.channels).min() else { return vec![Width::FULL] };
    let rows = channels_per_step(channels);
    let step = rows * channels.div_ceil(rows).div_ceil(MAX_GRID);
    let mut grid: Vec<Width> = (step..channels).step_by(step).map(|c| Width::of_channels(c, channels)).collect();
    grid.push(Width::FULL);
    grid
}

/// Four to six channels: the number that leaves the fewest over, the largest on a tie. A width that cuts a block of channels costs
/// less than the whole block, so the steps need not be blocks.
fn channels_per_step(channels: usize) -> usize {
    let over = |step: usize| channels.div_ceil(step) * step - channels;
    [6, 5, 4].into_iter().min_by_key(|&step| over(step)).unwrap_or(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_leave_the_fewest_channels_over() {
        assert_eq!([45, 64, 90, 23, 6, 1].map(channels_per_step), [5, 4, 6, 6, 6, 4]);
    }
}
