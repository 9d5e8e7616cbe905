//! Whole-graph passes: recognise activation functions, fold rescalings into preceding weights, and make the last layer the head.

use super::Activation;
use super::recognise::recognise;
use crate::engine::graph::{Graph, Head, Linear, Node, NodeId, Op, Pool, PoolKind, Shape, Window};
use crate::engine::onnx::LoadError;

/// Builds the graph of these layers, whose logits are `output`. Also returns notes on what was left out.
pub(super) fn finish(mut nodes: Vec<Node>, output: Activation) -> Result<(Graph, Vec<String>), LoadError> {
    let pending = [(output.pad != [0; 4], "a Pad"), (output.expanded.is_some(), "an Expand")];
    if let Some((_, operator)) = pending.into_iter().find(|(is_pending, _)| *is_pending) {
        let what = format!("the output must come from a linear layer; {operator} is not one");
        return Err(LoadError::NotAClassifier(what));
    }
    recognise(&mut nodes);
    let mut id;
    (nodes, id) = drop_unread(nodes, output.id);
    pool_before_classifier(&mut nodes, id);
    (nodes, id) = fold_affine(nodes, id)?;
    let shape = nodes[id].shape;
    if shape.pixels() != 1 {
        let (name, shape) = (&nodes[id].name, output.axes.describe(shape));
        return Err(LoadError::NotAClassifier(format!(
            "the output must come from a linear layer, or from a 1x1 convolution and global average pooling alone; {name} gives \
             {shape} instead of [N, classes]"
        )));
    }
    let graph = take_head(nodes, id)?;
    if graph.head.linear.bias.len() == 1 {
        return Err(LoadError::NotAClassifier(format!(
            "layer {} has one output, so every answer would be the same; for two classes give it two outputs, trained with \
             softmax and cross-entropy, and no sigmoid",
            graph.head.name
        )));
    }
    let note = |softmax| format!("{softmax} at the end is left out: probabilities are made of the scores before it");
    Ok((graph, output.softmax.map(note).into_iter().collect()))
}

/// Drops layers that the output does not depend on.
fn drop_unread(nodes: Vec<Node>, output: NodeId) -> (Vec<Node>, NodeId) {
    let mut read = vec![false; nodes.len()];
    // The image stays, whatever the output is.
    read[0] = true;
    read[output] = true;
    for id in (0..nodes.len()).rev() {
        if read[id] {
            nodes[id].inputs.iter().for_each(|&input| read[input] = true);
        }
    }
    let mut kept: Vec<Node> = vec![];
    let mut moved = vec![];
    for (mut node, read) in nodes.into_iter().zip(read) {
        moved.push(kept.len());
        if read {
            node.inputs.iter_mut().for_each(|input| *input = moved[*input]);
            kept.push(node);
        }
    }
    (kept, moved[output])
}

/// Moves average pooling before a 1x1 convolution that classifies each pixel: both are linear, so the order does not
/// matter.
fn pool_before_classifier(nodes: &mut [Node], output: NodeId) {
    let readers = readers(nodes, output);
    // The layers to swap, from the output up to the convolution.
    let mut chain = vec![];
    let mut at = output;
    loop {
        let sole = readers[at] == 1;
        match &nodes[at].op {
            Op::Conv(conv) if sole && conv.window == Window::POINT => break,
            Op::Affine(_) if sole => (),
            Op::Pool(Pool { kind: PoolKind::Average, window }) if sole && window.is_inside() => (),
            _ => return,
        }
        chain.push(at);
        at = nodes[at].inputs[0];
    }
    let pools = chain.iter().rev().copied().filter(|&at| matches!(nodes[at].op, Op::Pool(_))).collect::<Vec<_>>();
    let Some(&last) = pools.last() else { return };
    if nodes[last].shape.pixels() != 1 {
        return;
    }
    // Reorders in place: the pooling layers, then the classifier, then the rescalings of its output.
    let order: Vec<NodeId> = std::iter::once(at).chain(chain.into_iter().rev()).collect();
    let source = nodes[at].inputs[0];
    let (channels, sliced, classes) = (nodes[source].shape.channels, nodes[source].sliced, nodes[at].shape.channels);
    let mut layers: Vec<(String, Op, Shape, bool)> = vec![];
    for &id in &pools {
        let (name, op) = (nodes[id].name.clone(), std::mem::replace(&mut nodes[id].op, Op::Add));
        layers.push((name, op, Shape { channels, ..nodes[id].shape }, sliced));
    }
    let pixel = Shape { channels: classes, height: 1, width: 1 };
    let (name, op) = (nodes[at].name.clone(), std::mem::replace(&mut nodes[at].op, Op::Add));
    if let Op::Conv(conv) = op {
        layers.push((name, Op::Linear(Linear { weights: conv.weights, bias: conv.bias }), pixel, true));
    }
    for &id in order.iter().filter(|id| !pools.contains(id)) {
        if matches!(nodes[id].op, Op::Affine(_)) {
            layers.push((nodes[id].name.clone(), std::mem::replace(&mut nodes[id].op, Op::Add), pixel, true));
        }
    }
    let mut before = source;
    for (&id, (name, op, shape, sliced)) in order.iter().zip(layers) {
        nodes[id] = Node { name, op, inputs: vec![before], shape, sliced };
        before = id;
    }
}

/// Number of readers of each node, including the output.
fn readers(nodes: &[Node], output: NodeId) -> Vec<usize> {
    let mut readers = vec![0; nodes.len()];
    nodes.iter().flat_map(|node| &node.inputs).chain([&output]).for_each(|&id| readers[id] += 1);
    readers
}

/// Folds every rescaling into the preceding layer, if that layer has no other reader.
fn fold_affine(nodes: Vec<Node>, output: NodeId) -> Result<(Vec<Node>, NodeId), LoadError> {
    let readers = readers(&nodes, output);
    let mut kept: Vec<Node> = Vec::with_capacity(nodes.len());
    // For each old node, the new id of its value and the number of readers there.
    let mut moved: Vec<(NodeId, usize)> = Vec::with_capacity(nodes.len());
    for (old, mut node) in nodes.into_iter().enumerate() {
        let source = node.inputs.first().map(|&input| moved[input]);
        node.inputs.iter_mut().for_each(|input| *input = moved[*input].0);
        if let (Op::Affine(affine), Some((at, 1))) = (&node.op, source)
            && let Some((weights, bias)) = kept[at].op.rows()
        {
            affine.fold_into(weights, bias);
            if !weights.iter().chain(bias.iter()).all(|number| number.is_finite()) {
                let what = "its weights overflow when the rescaling after it is folded into them";
                return Err(LoadError::malformed(&kept[at].name, what));
            }
            moved.push((at, readers[old]));
            continue;
        }
        moved.push((kept.len(), readers[old]));
        kept.push(node);
    }
    Ok((kept, moved[output].0))
}

impl Op {
    /// Weights and bias of a layer that can absorb a rescaling of its output.
    fn rows(&mut self) -> Option<(&mut [f32], &mut [f32])> {
        match self {
            Op::Conv(conv) | Op::Depthwise(conv) => Some((&mut conv.weights, &mut conv.bias)),
            Op::Linear(linear) => Some((&mut linear.weights, &mut linear.bias)),
            Op::Affine(affine) => Some((&mut affine.scale, &mut affine.shift)),
            Op::Input | Op::Clamp(_) | Op::Function(_) | Op::Pool(_) | Op::Add | Op::Mul => None,
        }
    }
}

/// Splits off the layer that gives the output, which must be linear. No layer reads it, since those that the output does not depend on
/// are dropped.
fn take_head(mut nodes: Vec<Node>, output: NodeId) -> Result<Graph, LoadError> {
    let last = nodes.remove(output);
    let Op::Linear(linear) = last.op else {
        let name = last.name;
        return Err(LoadError::NotAClassifier(format!(
            "the output must come from a linear layer, or from a 1x1 convolution and global average pooling alone, without an \
             activation after it; {name} is none"
        )));
    };
    debug_assert_eq!(output, nodes.len(), "the output's layer is the last");
    Ok(Graph { head: Head { name: last.name, source: last.inputs[0], linear }, nodes })
}
