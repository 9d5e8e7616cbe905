//! Index arithmetic for slicing, permuting and broadcasting.

use crate::engine::onnx::tensor::volume;

/// First index and length of `start..end` with `step` along an axis of `len`; `None` for step 0.
pub(in crate::engine::onnx) fn sliced(len: usize, start: i64, end: i64, step: i64) -> Option<(usize, usize)> {
    let len = len as i64;
    let from_end = |index: i64| if index < 0 { index.saturating_add(len) } else { index };
    let (low, high) = match step {
        0 => return None,
        1.. => (0, len),
        _ => (-1, len - 1),
    };
    let (start, end) = (from_end(start).clamp(low.max(0), high.max(0)), from_end(end).clamp(low, high));
    let span = if step > 0 { end - start } else { start - end };
    let count = if span <= 0 || len == 0 { 0 } else { (span - 1) / step.checked_abs().unwrap_or(i64::MAX) + 1 };
    Some((start as usize, count as usize))
}

/// The broadcast shape of two shapes, by NumPy's rules.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let dim = |dims: &[usize], at: usize| (at + dims.len()).checked_sub(rank).map_or(1, |at| dims[at]);
    let together = |at| match (dim(a, at), dim(b, at)) {
        (a, b) if a == b => Some(a),
        (1, other) | (other, 1) => Some(other),
        _ => None,
    };
    (0..rank).map(together).collect()
}

pub(super) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; dims.len()];
    for at in (1..dims.len()).rev() {
        strides[at - 1] = strides[at].saturating_mul(dims[at]);
    }
    strides
}

/// For each element of a tensor of shape `dims`, its index in a tensor of shape `from` that is broadcast to it.
pub(super) fn spread(from: &[usize], dims: &[usize]) -> impl Iterator<Item = usize> {
    let strides = strides(from);
    let missing = dims.len() - from.len();
    let stride = |at: usize| if at < missing || from[at - missing] == 1 { 0 } else { strides[at - missing] as isize };
    walk(dims.to_vec(), (0..dims.len()).map(stride).collect(), 0)
}

/// Offsets of the elements of a tensor of shape `dims`, in order, with these strides.
pub(super) fn walk(dims: Vec<usize>, strides: Vec<isize>, first: usize) -> impl Iterator<Item = usize> {
    let count = volume(&dims).unwrap_or(0);
    let (mut index, mut at) = (vec![0; dims.len()], first as isize);
    (0..count).map(move |_| {
        let now = at as usize;
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < dims[axis] {
                break;
            }
            at -= strides[axis] * dims[axis] as isize;
            index[axis] = 0;
        }
        now
    })
}
