//! Compiles layers into steps: fusion, the choice of kernels, and memory layout.
//!
//! Planning happens once at load, for full width. A narrower width runs a prefix of each step's channels.

mod fuse;

use super::buffer::{BLOCK, Border, BufferLayout};
use super::graph::{Affine, Conv, Graph, Op};
use super::kernel::conv::depthwise::DepthwiseStep;
use super::kernel::lane_wise::activated::ActivatedStep;
use super::kernel::lane_wise::elementwise::{ElementwiseStep, Other};
use super::kernel::lane_wise::pool::PoolStep;
use super::kernel::linear::LinearStep;
use super::kernel::{Epilogue, Pooling, Step};
use super::onnx::{LoadError, MAX_ITEM_LEN, MAX_PACKED, at_most};
use super::pack::{FanIn, PackedLinear};
use super::precision::Precision;
use fuse::{Fused, fuse};

/// An executable network.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Box<dyn Step>>,
    pub(crate) head: HeadStep,
    /// Buffer of the image.
    pub(crate) image: BufferLayout,
    /// What is done to the image's pixels.
    pub(crate) rescaling: Option<Affine>,
    /// Floats of memory per item.
    pub(crate) item_len: usize,
    /// The first step that all items of a group run before the next step.
    pub(crate) first_shared: usize,
    /// Buffers of earlier values that those steps and the head read.
    pub(crate) shared_inputs: Vec<BufferLayout>,
}

/// The last linear layer.
#[derive(Debug)]
pub(crate) struct HeadStep {
    pub(crate) packed: PackedLinear,
    pub(crate) input: BufferLayout,
    pub(crate) classes: usize,
}

/// Most pixels of maps whose layers all items run before the next layer: their weights are larger than their values.
const MAX_SHARED_PIXELS: usize = 64;

impl Plan {
    /// Plans a network and packs its weights.
    ///
    /// # Errors
    /// [`LoadError`] if it takes more memory than a model may.
    pub(crate) fn new(graph: &Graph, precision: Precision) -> Result<Plan, LoadError> {
        let (layers, layer_of) = fuse(graph);
        let borders = borders(&layers);
        let mut buffers: Vec<BufferLayout> = vec![];
        let mut steps = vec![];
        let (mut item_len, mut packed, mut first_shared, mut first_shared_layer) = (0, 0, 0, 0);
        for (index, layer) in layers.iter().enumerate() {
            let buffer = BufferLayout::new(layer.shape, layer.sliced, borders[index], item_len);
            // No offset is used before the sum is known to be within its limit.
            item_len = buffer.start.saturating_add(buffer.len()).div_ceil(BLOCK).saturating_mul(BLOCK);
            let conv = layer.conv(&layers).zip(layer.algorithm);
            packed = conv.map_or(packed, |(conv, algorithm)| algorithm.weights(&conv).saturating_add(packed));
            at_most("the number of values that the memory of one image holds", item_len, MAX_ITEM_LEN)?;
            at_most("the number of weights as they are packed", packed, MAX_PACKED)?;
            buffers.push(buffer);
            steps.extend(step(&layers, index, &buffers, precision));
            if layer.unpooled.pixels() > MAX_SHARED_PIXELS {
                (first_shared, first_shared_layer) = (steps.len(), index + 1);
            }
        }
        let (earlier, later) = layers.split_at(first_shared_layer);
        let inputs = later.iter().flat_map(|layer| layer.inputs.iter().chain(&layer.residual));
        let mut read: Vec<usize> = inputs.chain([&layer_of[graph.head.source]]).copied().collect();
        read.retain(|&layer| layer < earlier.len());
        read.sort_unstable();
        read.dedup();
        let shared_inputs = read.into_iter().map(|layer| buffers[layer]).collect();
        let input = buffers[layer_of[graph.head.source]];
        let classes = graph.head.linear.bias.len();
        let fan_in = FanIn { inputs: input.shape.channels, outputs: classes, triangular: false };
        let head = HeadStep { packed: PackedLinear::new(&graph.head.linear, fan_in), input, classes };
        let rescaling = layers[0].affine.cloned();
        Ok(Plan { steps, head, image: buffers[0], rescaling, item_len, first_shared, shared_inputs })
    }

    /// Bytes of all packed weights, the one copy that serves every width.
    pub(crate) fn packed_bytes(&self) -> usize {
        self.steps.iter().map(|step| step.packed_bytes()).sum::<usize>() + self.head.packed.bytes()
    }

    /// The buffers of all values.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = &BufferLayout> {
        self.steps.iter().map(|step| step.output()).chain([&self.image])
    }
}

/// The border of zeros that the readers of each layer's value need.
fn borders(layers: &[Fused<'_>]) -> Vec<Border> {
    let mut borders = vec![Border::default(); layers.len()];
    for layer in layers {
        let needed = match (layer.op, layer.conv(layers).zip(layer.algorithm)) {
            (_, Some((conv, algorithm))) => algorithm.border(&conv),
            (Op::Depthwise(Conv { window, .. }), _) => Border::of(window, layers[layer.inputs[0]].shape, layer.shape),
            _ => continue,
        };
        let border = &mut borders[layer.inputs[0]];
        *border = border.and(needed);
    }
    borders
}

/// The step of a layer; `None` for the image.
fn step(layers: &[Fused<'_>], index: usize, buffers: &[BufferLayout], precision: Precision) -> Option<Box<dyn Step>> {
    let (layer, output) = (&layers[index], buffers[index]);
    let input = |at: usize| buffers[layer.inputs[at]];
    let (affine, clamp) = (layer.affine, layer.clamp);
    let step: Box<dyn Step> = match layer.op {
        Op::Input => return None,
        Op::Conv(conv) => {
            let pooling = layer.before_pooling.map(|clamp| Pooling::new(clamp, affine, output.shape.channels));
            let residual = layer.residual.map(|residual| buffers[residual]);
            let epilogue = Epilogue::new(&conv.bias, residual, pooling, clamp);
            let (conv, algorithm) = layer.conv(layers).zip(layer.algorithm)?;
            algorithm.pack(&conv, precision, input(0), output, epilogue)
        }
        Op::Depthwise(conv) => {
            let epilogue = Epilogue::new(&conv.bias, None, None, clamp);
            Box::new(DepthwiseStep::new(conv, input(0), output, epilogue))
        }
        Op::Linear(linear) => {
            let (inputs, outputs) = (input(0).shape.channels, output.shape.channels);
            let fan_in = FanIn { inputs, outputs, triangular: input(0).sliced };
            Box::new(LinearStep { packed: PackedLinear::new(linear, fan_in), input: input(0), output, clamp })
        }
        &Op::Pool(pool) => Box::new(PoolStep::new(pool, input(0), output, affine, clamp)),
        Op::Affine(_) | Op::Clamp(_) | Op::Function(_) => {
            Box::new(ElementwiseStep::new(input(0), Other::None, output, affine, clamp))
        }
        Op::Add => Box::new(ElementwiseStep::new(input(0), Other::Term(input(1)), output, affine, clamp)),
        Op::Mul => Box::new(ElementwiseStep::new(input(0), Other::Factor(input(1)), output, affine, clamp)),
    };
    Some(match layer.function {
        Some(function) => Box::new(ActivatedStep { step, function }),
        None => step,
    })
}
