//! Layer fusion: a clamp is fused into the preceding layer, a rescaling into the preceding pooling layer.

use crate::engine::graph::{Affine, Clamp, Graph, Op, Shape};

/// A layer with the cheap layers fused into it.
#[derive(Debug)]
pub(super) struct Fused<'a> {
    pub(super) op: &'a Op,
    /// Rescaling after pooling, or the [`Op::Affine`] itself.
    pub(super) affine: Option<&'a Affine>,
    pub(super) clamp: Clamp,
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
            && fused[at].absorb(&node.op)
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
        fused.push(Fused { op: &node.op, affine, clamp, inputs, shape: node.shape, sliced: node.sliced });
    }
    (fused, layer_of)
}

impl<'a> Fused<'a> {
    /// Fuses `op`, which reads this layer's output. Returns whether that is possible.
    fn absorb(&mut self, op: &'a Op) -> bool {
        if matches!(self.op, Op::Input) || self.clamp != Clamp::NONE {
            return false;
        }
        match op {
            Op::Clamp(clamp) => self.clamp = *clamp,
            Op::Affine(affine) if matches!(self.op, Op::Pool(_)) && self.affine.is_none() => {
                self.affine = Some(affine);
            }
            _ => return false,
        }
        true
    }
}
