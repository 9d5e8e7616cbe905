//! Layer fusion: a clamp or an activation function is fused into the layer before it, a rescaling into the image or the pooling before
//! it, and pooling and residual additions into the convolution before them.

use crate::engine::graph::{Affine, Clamp, Function, Graph, Op, Shape};
use crate::engine::kernel::conv::{Algorithm, Layer};

/// A layer with the cheap layers fused into it.
#[derive(Debug)]
pub(super) struct Fused<'a> {
    pub(super) op: &'a Op,
    /// How to compute an [`Op::Conv`].
    pub(super) algorithm: Option<Algorithm>,
    /// Shape of the value before pooling that is fused.
    pub(super) unpooled: Shape,
    /// Rescaling of the image or after pooling, or the [`Op::Affine`] itself.
    pub(super) affine: Option<&'a Affine>,
    pub(super) clamp: Clamp,
    /// The function of what the layer computes with all that is fused into it.
    pub(super) function: Option<Function>,
    /// The clamp between a convolution and the pooling that is fused into it; `None` without pooling.
    pub(super) before_pooling: Option<Clamp>,
    /// The fused layer whose value is added after a convolution.
    pub(super) residual: Option<usize>,
    /// Indices into the fused layers.
    pub(super) inputs: Vec<usize>,
    pub(super) shape: Shape,
    pub(super) sliced: bool,
}

/// The fused layers in order, and the fused layer that computes each node of the graph.
pub(super) fn fuse(graph: &Graph) -> (Vec<Fused<'_>>, Vec<usize>) {
    let readers = graph.readers();
    let mut fused: Vec<Fused<'_>> = vec![];
    let mut layer_of: Vec<usize> = vec![];
    for node in &graph.nodes {
        let inputs: Vec<usize> = node.inputs.iter().map(|&input| layer_of[input]).collect();
        // Of several inputs, the one computed last can compute this node as well.
        let last = (0..inputs.len()).max_by_key(|&at| inputs[at]);
        if let Some(last) = last.filter(|&last| readers[node.inputs[last]] == 1)
            && absorb(&mut fused, inputs[last], &node.op, inputs.iter().copied().min(), node.shape)
        {
            layer_of.push(inputs[last]);
            continue;
        }
        let (mut affine, mut clamp, mut function) = (None, Clamp::NONE, None);
        match &node.op {
            Op::Affine(own) => affine = Some(own),
            Op::Clamp(own) => clamp = *own,
            Op::Function(own) => function = Some(*own),
            _ => (),
        }
        layer_of.push(fused.len());
        let (op, shape, sliced) = (&node.op, node.shape, node.sliced);
        let layer = Fused {
            op,
            algorithm: None,
            unpooled: shape,
            affine,
            clamp,
            function,
            before_pooling: None,
            residual: None,
            inputs,
            shape,
            sliced,
        };
        let algorithm = layer.conv(&fused).map(|layer| Algorithm::of(&layer));
        fused.push(Fused { algorithm, ..layer });
    }
    (fused, layer_of)
}

/// Fuses `op`, whose value has this shape, into the layer `at`, which it reads. `other` is its earliest input. Returns whether that is
/// possible.
fn absorb<'a>(fused: &mut [Fused<'a>], at: usize, op: &'a Op, other: Option<usize>, shape: Shape) -> bool {
    let layer = &mut fused[at];
    let is_pooled = layer.before_pooling.is_some();
    match op {
        _ if layer.function.is_some() => return false,
        Op::Function(function) if !matches!(layer.op, Op::Input) => layer.function = Some(*function),
        Op::Pool(pool) if layer.algorithm.is_some_and(|algorithm| algorithm.pools(pool, layer.shape)) => {
            if is_pooled || layer.residual.is_some() {
                return false;
            }
            (layer.before_pooling, layer.clamp, layer.shape) = (Some(layer.clamp), Clamp::NONE, shape);
        }
        _ if layer.clamp != Clamp::NONE => return false,
        Op::Clamp(clamp) if !matches!(layer.op, Op::Input) => layer.clamp = *clamp,
        Op::Affine(affine) if layer.affine.is_none() => match layer.op {
            Op::Input | Op::Pool(_) | Op::Add | Op::Mul => layer.affine = Some(affine),
            _ if is_pooled => layer.affine = Some(affine),
            _ => return false,
        },
        Op::Add if layer.algorithm.is_some() && !is_pooled && layer.residual.is_none() => match other {
            Some(other) if other < at => layer.residual = Some(other),
            _ => return false,
        },
        _ => return false,
    }
    true
}

impl<'a> Fused<'a> {
    /// The convolution that it is, if it is one of many channels; `layers` are those before it.
    pub(super) fn conv(&self, layers: &[Fused<'_>]) -> Option<Layer<'a>> {
        let Op::Conv(conv) = self.op else { return None };
        let input = &layers[self.inputs[0]];
        Some(Layer { conv, input: input.shape, sliced: input.sliced, output: self.unpooled })
    }
}
