//! Activation functions that exporters write as several nodes: SiLU, HardSwish and GELU.
//!
//! An expression is recognised by its structure, with factors and terms wherever exporters put them, and constants that are
//! exact but for rounding. What is not recognised runs as the layers that it is made of, with the same result.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, SQRT_2};

use crate::engine::graph::{Clamp, Function, Node, NodeId, Op};

/// Most rescalings in a row that are looked through: more than any exporter writes.
const MAX_RESCALINGS: usize = 4;

/// `scale * core + shift`
#[derive(Clone, Copy)]
struct Scaled {
    scale: f64,
    shift: f64,
    core: NodeId,
}

/// Replaces the last node of each expression by the function. The others stay, for they may have other readers.
pub(super) fn recognise(nodes: &mut [Node]) {
    for id in 0..nodes.len() {
        if let Some((function, x)) = function_at(nodes, id) {
            (nodes[id].op, nodes[id].inputs) = (Op::Function(function), vec![x]);
        }
    }
}

/// The function that a node computes, and of which node: a product, and maybe a factor.
fn function_at(nodes: &[Node], id: NodeId) -> Option<(Function, NodeId)> {
    let Scaled { scale, shift, core } = scaled(nodes, id, None);
    let (Op::Mul, &[a, b]) = (&nodes[core].op, &nodes[core].inputs[..]) else { return None };
    if shift != 0.0 || nodes[a].shape != nodes[b].shape {
        return None;
    }
    [(a, b), (b, a)].into_iter().find_map(|(a, b)| {
        let whole = scaled(nodes, b, None);
        // The factor `a` is a multiple of each of these.
        multiples(nodes, a).find_map(|(x, multiple)| {
            let gate = Scaled { scale: whole.scale * multiple * scale, shift: whole.shift * multiple * scale, ..whole };
            function_of(nodes, x, gate).map(|function| (function, x))
        })
    })
}

/// The function that is `x` times `gate`.
fn function_of(nodes: &[Node], x: NodeId, gate: Scaled) -> Option<Function> {
    let Scaled { scale, shift, core } = gate;
    let of = |factor: f64| of_multiple(nodes, core, x).filter(|&found| near(found, factor));
    // `1 + f`, halved.
    let half_of_more = near(scale, 0.5) && near(shift, 0.5);
    match nodes[core].op {
        Op::Function(Function::Sigmoid) if near(scale, 1.0) && shift == 0.0 => {
            let factor = of_multiple(nodes, core, x)? as f32;
            factor.is_finite().then_some(Function::Swish { factor })
        }
        Op::Function(Function::Erf) if half_of_more => of(FRAC_1_SQRT_2).map(|_| Function::Gelu),
        Op::Function(Function::Tanh) if half_of_more && is_cubic(nodes, nodes[core].inputs[0], x) => {
            Some(Function::GeluTanh)
        }
        Op::Clamp(Clamp { low: 0.0, high }) if shift == 0.0 && near(scale * f64::from(high), 1.0) => {
            let inner = scaled(nodes, nodes[core].inputs[0], Some(x));
            let is_ramp = near(scale * inner.scale, 1.0 / 6.0) && near(scale * inner.shift, 0.5);
            (inner.core == x && is_ramp).then_some(Function::HardSwish)
        }
        _ => None,
    }
}

/// Whether a node is `sqrt(2 / pi) * (x + 0.044715 * x^3)`.
fn is_cubic(nodes: &[Node], id: NodeId, x: NodeId) -> bool {
    const FACTOR: f64 = FRAC_2_SQRT_PI / SQRT_2;
    let sum = scaled(nodes, id, None);
    let (Op::Add, &[a, b]) = (&nodes[sum.core].op, &nodes[sum.core].inputs[..]) else { return false };
    sum.shift == 0.0
        && [(a, b), (b, a)].into_iter().any(|(a, b)| {
            let (first, third) = (scaled(nodes, a, Some(x)), scaled(nodes, b, None));
            let is_first = first.core == x && first.shift == 0.0 && near(sum.scale * first.scale, FACTOR);
            let is_third = is_cube(nodes, third.core, x) && third.shift == 0.0;
            is_first && is_third && near(sum.scale * third.scale, FACTOR * 0.044715)
        })
}

/// Whether a node is `x * x * x`.
fn is_cube(nodes: &[Node], id: NodeId, x: NodeId) -> bool {
    let factors = |id: NodeId| match (&nodes[id].op, &nodes[id].inputs[..]) {
        (Op::Mul, &[a, b]) => Some((a, b)),
        _ => None,
    };
    let is_square = |id: NodeId| factors(id) == Some((x, x));
    factors(id).is_some_and(|(a, b)| (a == x && is_square(b)) || (b == x && is_square(a)))
}

/// The factor `f` where the node `id` is a function of `f * x`.
fn of_multiple(nodes: &[Node], id: NodeId, x: NodeId) -> Option<f64> {
    let inner = scaled(nodes, nodes[id].inputs[0], Some(x));
    (inner.core == x && inner.shift == 0.0).then_some(inner.scale)
}

/// The nodes that a node is a multiple of, itself first, and the factors.
fn multiples(nodes: &[Node], id: NodeId) -> impl Iterator<Item = (NodeId, f64)> {
    let next = move |&(id, multiple): &(NodeId, f64)| match uniform(&nodes[id].op) {
        Some((scale, 0.0)) => Some((nodes[id].inputs[0], multiple * scale)),
        _ => None,
    };
    std::iter::successors(Some((id, 1.0)), next).take(MAX_RESCALINGS)
}

/// A node without the rescalings at its end that are the same for all channels, up to `until`.
fn scaled(nodes: &[Node], id: NodeId, until: Option<NodeId>) -> Scaled {
    let mut found = Scaled { scale: 1.0, shift: 0.0, core: id };
    for _ in 0..MAX_RESCALINGS {
        let rescaling = if Some(found.core) == until { None } else { uniform(&nodes[found.core].op) };
        let Some((scale, shift)) = rescaling else { break };
        let (scale, shift) = (found.scale * scale, found.scale * shift + found.shift);
        found = Scaled { scale, shift, core: nodes[found.core].inputs[0] };
    }
    found
}

/// The numbers of a rescaling that is the same for all channels.
fn uniform(op: &Op) -> Option<(f64, f64)> {
    let Op::Affine(affine) = op else { return None };
    let (scale, shift) = (*affine.scale.first()?, *affine.shift.first()?);
    let same = affine.scale.iter().all(|&other| other == scale) && affine.shift.iter().all(|&other| other == shift);
    same.then_some((scale.into(), shift.into()))
}

/// Whether two numbers are equal but for the rounding of a few constants.
fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-6 * expected.abs()
}
