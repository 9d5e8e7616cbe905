//! Values that do not depend on the image: weights, and integers of shape arithmetic.
//!
//! An integer may be a multiple of the batch size, which may be symbolic, or unknown. Only operators that need an
//! unknown integer fail.

use std::sync::Arc;

/// A constant, or a shape.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) dims: Vec<usize>,
    /// Row-major; the length is the product of `dims`.
    pub(super) data: Data,
}

/// The values of a tensor. Booleans are integers, 0 or 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    Float(Vec<f32>),
    Int(Vec<Int>),
}

/// An integer of shape arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Int {
    Known(i64),
    /// A multiple of the batch size.
    Batch(i64),
    Unknown,
}

impl Tensor {
    pub(super) fn floats(dims: Vec<usize>, values: Vec<f32>) -> Tensor {
        debug_assert_eq!(dims.iter().product::<usize>(), values.len());
        Tensor { dims, data: Data::Float(values) }
    }

    pub(super) fn ints(dims: Vec<usize>, values: Vec<Int>) -> Tensor {
        debug_assert_eq!(dims.iter().product::<usize>(), values.len());
        Tensor { dims, data: Data::Int(values) }
    }

    /// A one-dimensional tensor of integers.
    pub(super) fn shape(values: Vec<Int>) -> Tensor {
        Tensor::ints(vec![values.len()], values)
    }

    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    pub(super) fn as_floats(&self) -> Option<&[f32]> {
        match &self.data {
            Data::Float(values) => Some(values),
            Data::Int(_) => None,
        }
    }

    pub(super) fn as_ints(&self) -> Option<&[Int]> {
        match &self.data {
            Data::Int(values) => Some(values),
            Data::Float(_) => None,
        }
    }

    /// All integers, if each is known.
    pub(super) fn known(&self) -> Option<Vec<i64>> {
        self.as_ints()?.iter().map(|int| int.known()).collect()
    }

    /// The elements at these indices, as a tensor of shape `dims`.
    pub(super) fn pick(&self, dims: Vec<usize>, positions: impl Iterator<Item = usize>) -> Tensor {
        match &self.data {
            Data::Float(values) => Tensor::floats(dims, positions.map(|at| values[at]).collect()),
            Data::Int(values) => Tensor::ints(dims, positions.map(|at| values[at]).collect()),
        }
    }

    /// The same elements with another shape of equal volume.
    pub(super) fn with_dims(self: &Arc<Self>, dims: Vec<usize>) -> Arc<Tensor> {
        if self.dims == dims { self.clone() } else { Arc::new(Tensor { dims, data: self.data.clone() }) }
    }
}

impl Data {
    pub(super) fn len(&self) -> usize {
        match self {
            Data::Float(values) => values.len(),
            Data::Int(values) => values.len(),
        }
    }
}

impl Int {
    pub(super) fn known(self) -> Option<i64> {
        match self {
            Int::Known(value) => Some(value),
            Int::Batch(_) | Int::Unknown => None,
        }
    }

    fn of(value: Option<i64>) -> Int {
        value.map_or(Int::Unknown, Int::Known)
    }

    fn batches(factor: Option<i64>) -> Int {
        match factor {
            Some(0) => Int::Known(0),
            Some(factor) => Int::Batch(factor),
            None => Int::Unknown,
        }
    }

    pub(super) fn add(self, other: Int) -> Int {
        match (self, other) {
            (Int::Known(a), Int::Known(b)) => Int::of(a.checked_add(b)),
            (Int::Batch(a), Int::Batch(b)) => Int::batches(a.checked_add(b)),
            (Int::Batch(a), Int::Known(0)) | (Int::Known(0), Int::Batch(a)) => Int::Batch(a),
            _ => Int::Unknown,
        }
    }

    pub(super) fn mul(self, other: Int) -> Int {
        match (self, other) {
            (Int::Known(a), Int::Known(b)) => Int::of(a.checked_mul(b)),
            (Int::Batch(a), Int::Known(b)) | (Int::Known(b), Int::Batch(a)) => Int::batches(a.checked_mul(b)),
            (Int::Known(0), _) | (_, Int::Known(0)) => Int::Known(0),
            _ => Int::Unknown,
        }
    }

    pub(super) fn neg(self) -> Int {
        self.mul(Int::Known(-1))
    }

    /// Integer division, rounded towards zero as in ONNX.
    pub(super) fn div(self, other: Int) -> Int {
        match (self, other) {
            (Int::Known(a), Int::Known(b)) => Int::of(a.checked_div(b)),
            (Int::Batch(a), Int::Known(b)) if a.checked_rem(b) == Some(0) => Int::batches(a.checked_div(b)),
            (Int::Batch(a), Int::Batch(b)) => Int::of(a.checked_div(b)),
            _ => Int::Unknown,
        }
    }

    /// The remainder with the sign of the divisor, as in Python.
    pub(super) fn rem(self, other: Int) -> Int {
        match (self, other) {
            (Int::Known(a), Int::Known(b)) => {
                Int::of(a.checked_rem(b).map(|rest| if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }))
            }
            _ => Int::Unknown,
        }
    }

    /// Compares two integers, if the order is known. A batch has at least one image.
    pub(super) fn compare(self, other: Int) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Int::Known(a), Int::Known(b)) | (Int::Batch(a), Int::Batch(b)) => Some(a.cmp(&b)),
            (Int::Batch(a), Int::Known(b)) if a > 0 && b <= 0 => Some(std::cmp::Ordering::Greater),
            (Int::Known(a), Int::Batch(b)) if b > 0 && a <= 0 => Some(std::cmp::Ordering::Less),
            _ => None,
        }
    }
}

/// Number of elements of a tensor with these dimensions; `None` on overflow.
pub(super) fn volume(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1usize, |volume, &dim| volume.checked_mul(dim))
}

/// The volume with zero dimensions counted as 1. It bounds the product of any subset of the dimensions.
pub(super) fn bulk(dims: &[usize]) -> usize {
    dims.iter().fold(1, |product: usize, &dim| product.saturating_mul(dim.max(1)))
}

/// The index along an axis of `len`; a negative index counts from the end. `None` if out of range.
pub(super) fn position(index: i64, len: usize) -> Option<usize> {
    let len = i64::try_from(len).ok()?;
    let index = if index < 0 { index.checked_add(len)? } else { index };
    if (0..len).contains(&index) { usize::try_from(index).ok() } else { None }
}
