//! Layer fusion: a clamp is fused into the preceding layer, a rescaling into the preceding pooling layer, and pooling into a
//! convolution that can pool its tiles.

use crate::engine::graph::{Affine, Clamp, Graph, Op, Shape};
use crate::engine::kernel::winograd::{Tiling, tiling};

/// A layer with the cheap layers fused into it.
#[derive(Debug)]
pub(super) struct Fused<'a> {
    pub(super) op: &'a Op,
    /// Rescaling after pooling, or the [`Op::Affine`] itself.
    pub(super) affine: Option<&'a Affine>,
    pub(super) clamp: Clamp,
    /// The clamp between a convolution and the pooling that is fused into it; `None` without pooling.
    pub(super) before_pooling: Option<Clamp>,
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
        let sole = node.inputs.first().filter(|&&input| readers[input] == 1).map(|&input| layer_of[input]);
        if let Some(at) = sole
            && absorb(&mut fused, at, &node.op, node.shape)
        {
            layer_of.push(at);
            continue;
        }
        let (affine, clamp) = match &node.op {
            Op::Affine(affine) => (Some(affine), Clamp::NONE),
            Op::Clamp(clamp) => (None, *clamp),
            _ => (None, Clamp::NONE),
        };
        layer_of.push(fused.len());
        let inputs = node.inputs.iter().map(|&input| layer_of[input]).collect();
        let before_pooling = None;
        fused.push(Fused {
            op: &node.op,
            affine,
            clamp,
            before_pooling,
            inputs,
            shape: node.shape,
            sliced: node.sliced,
        });
    }
    (fused, layer_of)
}

/// Fuses `op`, whose value has this shape, into the layer `at`, which it reads. Returns whether that is possible.
fn absorb<'a>(fused: &mut [Fused<'a>], at: usize, op: &'a Op, shape: Shape) -> bool {
    if let (Op::Pool(pool), None) = (op, fused[at].before_pooling)
        && fused[at].tiling(fused).is_some_and(|tiling| tiling.pools(pool, fused[at].shape))
    {
        let layer = &mut fused[at];
        (layer.before_pooling, layer.clamp, layer.shape) = (Some(layer.clamp), Clamp::NONE, shape);
        return true;
    }
    let layer = &mut fused[at];
    if matches!(layer.op, Op::Input) || layer.clamp != Clamp::NONE {
        return false;
    }
    let pools = matches!(layer.op, Op::Pool(_)) || layer.before_pooling.is_some();
    match op {
        Op::Clamp(clamp) => layer.clamp = *clamp,
        Op::Affine(affine) if pools && layer.affine.is_none() => layer.affine = Some(affine),
        _ => return false,
    }
    true
}

impl Fused<'_> {
    /// The tiling of a convolution that runs by tiles.
    pub(super) fn tiling(&self, layers: &[Fused<'_>]) -> Option<Tiling> {
        let Op::Conv(conv) = self.op else { return None };
        let factor = if self.before_pooling.is_some() { 2 } else { 1 };
        let Shape { channels, height, width } = self.shape;
        let output = Shape { channels, height: factor * height, width: factor * width };
        tiling(conv, layers[self.inputs[0]].shape, output)
    }
}
