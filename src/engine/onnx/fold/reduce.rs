//! Reductions along axes: sums, means and similar.

use super::index::spread;
use super::{Budget, Fold, Stop};
use crate::engine::onnx::tensor::{Data, Int, Tensor};

impl Fold<'_> {
    pub(super) fn reduce(&self, budget: &mut Budget) -> Result<Tensor, Stop> {
        let input = self.input(0)?;
        let rank = input.dims.len();
        budget.spend(self.node, &input.dims)?;
        let axes = match self.ints(1, "axes")? {
            Some(axes) if !axes.is_empty() => self.axes(&axes, rank)?,
            _ if self.node.flag("noop_with_empty_axes", false)? => return Ok(input.as_ref().clone()),
            _ => (0..rank).collect(),
        };
        let kept: Vec<usize> = (0..rank).map(|at| if axes.contains(&at) { 1 } else { input.dims[at] }).collect();
        let dims = match self.node.flag("keepdims", true)? {
            true => kept.clone(),
            false => (0..rank).filter(|at| !axes.contains(at)).map(|at| input.dims[at]).collect(),
        };
        let (count, into) = (kept.iter().product::<usize>(), spread(&kept, &input.dims));
        let share = input.len().checked_div(count).unwrap_or(0) as f32;
        let operator = self.node.operator.as_str();
        let data = match &input.data {
            Data::Float(values) => {
                let (first, add): (f32, fn(f32, f32) -> f32) = match operator {
                    "ReduceProd" => (1.0, |sum, value| sum * value),
                    "ReduceMax" => (f32::NEG_INFINITY, f32::max),
                    "ReduceMin" => (f32::INFINITY, f32::min),
                    "ReduceSum" | "ReduceMean" => (0.0, |sum, value| sum + value),
                    _ => (0.0, |sum, value| sum + value * value),
                };
                let mut sums = vec![first; count];
                into.zip(values).for_each(|(at, &value)| sums[at] = add(sums[at], value));
                let end = |sum: f32| match operator {
                    "ReduceMean" => sum / share,
                    "ReduceL2" => sum.sqrt(),
                    _ => sum,
                };
                Data::Float(sums.into_iter().map(end).collect())
            }
            Data::Int(values) => {
                let (first, add): (i64, fn(Int, Int) -> Int) = match operator {
                    "ReduceSum" => (0, Int::add),
                    "ReduceProd" => (1, Int::mul),
                    _ => return Err(Stop::Unknown),
                };
                let mut sums = vec![Int::Known(first); count];
                into.zip(values).for_each(|(at, &value)| sums[at] = add(sums[at], value));
                Data::Int(sums)
            }
        };
        Ok(Tensor { dims, data })
    }
}
