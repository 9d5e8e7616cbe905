//! Constants created from a shape or from the node's attributes.

use std::sync::Arc;

use super::{Budget, Fold, Folded, Stop, known};
use crate::engine::onnx::node::Attribute;
use crate::engine::onnx::tensor::{Int, Tensor};

impl Fold<'_> {
    pub(super) fn filled(&self, budget: &mut Budget) -> Result<Tensor, Stop> {
        let dims = self.sizes(0)?;
        budget.spend(self.node, &dims)?;
        let len = dims.iter().product();
        Ok(match self.node.attributes.get("value") {
            None => Tensor::floats(dims, vec![0.0; len]),
            Some(Attribute::Tensor(value)) if value.len() == 1 => value.pick(dims, std::iter::repeat_n(0, len)),
            Some(_) => return Err(self.wrong("its value must be one number")),
        })
    }

    /// An input's integers as dimensions for one image. The result is the same for each image of a batch and is
    /// broadcast to it.
    pub(super) fn sizes(&self, index: usize) -> Result<Vec<usize>, Stop> {
        let sizes = self.input(index)?.as_ints().ok_or_else(|| self.wrong("integers are expected, not fractions"))?;
        let size = |&size: &Int| match size {
            Int::Batch(1) => Ok(1),
            Int::Known(size) => usize::try_from(size).map_err(|_| self.wrong("a dimension is negative")),
            Int::Batch(_) | Int::Unknown => Err(Stop::Unknown),
        };
        sizes.iter().map(size).collect()
    }

    pub(super) fn range(&self, budget: &mut Budget) -> Result<Tensor, Stop> {
        let one =
            |index: usize| known(self.input(index)?, self)?.first().copied().ok_or_else(|| self.wrong("of nothing"));
        let (start, end, step) = (one(0)?, one(1)?, one(2)?);
        if step == 0 {
            return Err(self.wrong("the step is 0"));
        }
        let span = i128::from(end) - i128::from(start);
        let len =
            usize::try_from((span + i128::from(step) - i128::from(step.signum())) / i128::from(step)).unwrap_or(0);
        budget.spend(self.node, &[len])?;
        Ok(Tensor::shape((0..len).map(|at| Int::Known(start.wrapping_add((at as i64).wrapping_mul(step)))).collect()))
    }

    pub(super) fn constant(&self) -> Folded {
        let of = |name: &str| self.node.attributes.get(name);
        let ints = |values: &[i64]| values.iter().map(|&value| Int::Known(value)).collect::<Vec<_>>();
        let value = ["value", "value_float", "value_floats", "value_int", "value_ints"].into_iter().find_map(of);
        Ok(match value {
            Some(Attribute::Tensor(tensor)) => tensor.clone(),
            Some(Attribute::Float(value)) => Arc::new(Tensor::floats(vec![], vec![*value])),
            Some(Attribute::Floats(values)) => Arc::new(Tensor::floats(vec![values.len()], values.clone())),
            Some(Attribute::Int(value)) => Arc::new(Tensor::ints(vec![], ints(&[*value]))),
            Some(Attribute::Ints(values)) => Arc::new(Tensor::shape(ints(values))),
            _ => return Err(self.wrong("its value is not a tensor of numbers")),
        })
    }
}
