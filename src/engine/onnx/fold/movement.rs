//! Operators that move or select elements without changing them.

use std::cmp::Ordering;

use super::index::{broadcast, sliced, spread, strides, walk};
use super::{Budget, Fold, Stop, check_rank, known};
use crate::engine::onnx::tensor::{Data, Int, Tensor, position, volume};

impl Fold<'_> {
    /// The shape after Reshape, Flatten, Squeeze or Unsqueeze.
    pub(super) fn new_dims(&self, input: &Tensor) -> Result<Vec<usize>, Stop> {
        let dims = &input.dims;
        match self.node.operator.as_str() {
            "Reshape" => {
                let target = known(self.input(1)?, self)?;
                reshaped(dims, &target, self.node.flag("allowzero", false)?)
                    .ok_or_else(|| self.wrong("its shapes do not fit"))
            }
            "Flatten" => {
                let axis = self.node.int("axis", 1)?;
                let axis = if axis == dims.len() as i64 { dims.len() } else { self.axis(axis, dims.len())? };
                Ok(vec![dims[..axis].iter().product(), dims[axis..].iter().product()])
            }
            "Squeeze" => match self.ints(1, "axes")? {
                None => Ok(dims.iter().copied().filter(|&dim| dim != 1).collect()),
                Some(axes) => {
                    let axes = self.axes(&axes, dims.len())?;
                    Ok(dims.iter().enumerate().filter(|(at, _)| !axes.contains(at)).map(|(_, &dim)| dim).collect())
                }
            },
            _ => {
                let axes = self.ints(1, "axes")?.ok_or_else(|| self.wrong("axes are missing"))?;
                let rank = dims.len() + axes.len();
                check_rank(self.node, rank)?;
                let axes = self.axes(&axes, rank)?;
                let mut rest = dims.iter();
                Ok((0..rank).filter_map(|at| if axes.contains(&at) { Some(1) } else { rest.next().copied() }).collect())
            }
        }
    }

    pub(super) fn transpose(&self, budget: &mut Budget) -> Result<Tensor, Stop> {
        let input = self.input(0)?;
        let rank = input.dims.len();
        let reversed: Vec<i64> = (0..rank as i64).rev().collect();
        let order = self.axes(self.node.ints("perm")?.unwrap_or(&reversed), rank)?;
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..rank) {
            return Err(self.wrong("perm is not a permutation"));
        }
        budget.spend(self.node, &input.dims)?;
        let strides = strides(&input.dims);
        let dims: Vec<usize> = order.iter().map(|&axis| input.dims[axis]).collect();
        let strides: Vec<isize> = order.iter().map(|&axis| strides[axis] as isize).collect();
        Ok(input.pick(dims.clone(), walk(dims, strides, 0)))
    }

    pub(super) fn slice(&self, budget: &mut Budget) -> Result<Tensor, Stop> {
        let input = self.input(0)?;
        let (starts, ends) = (known(self.input(1)?, self)?, known(self.input(2)?, self)?);
        let rank = input.dims.len();
        let axes = match self.optional(3) {
            Some(axes) => self.axes(&known(axes, self)?, rank)?,
            None => (0..starts.len().min(rank)).collect(),
        };
        if (1..axes.len()).any(|at| axes[..at].contains(&axes[at])) {
            return Err(self.wrong("an axis is named twice"));
        }
        let steps =
            self.optional(4).map(|steps| known(steps, self)).transpose()?.unwrap_or_else(|| vec![1; axes.len()]);
        if [starts.len(), ends.len(), steps.len()] != [axes.len(); 3] {
            return Err(self.wrong("starts, ends, axes and steps are not of one length"));
        }
        let of_axis = strides(&input.dims);
        let mut dims = input.dims.clone();
        let mut strides: Vec<isize> = of_axis.iter().map(|&stride| stride as isize).collect();
        let mut first = 0;
        for (at, &axis) in axes.iter().enumerate() {
            let range = sliced(input.dims[axis], starts[at], ends[at], steps[at]);
            let (start, len) = range.ok_or_else(|| self.wrong("the step is 0"))?;
            first += start * of_axis[axis];
            dims[axis] = len;
            strides[axis] =
                isize::try_from(steps[at]).ok().and_then(|step| step.checked_mul(of_axis[axis] as isize)).unwrap_or(0);
        }
        budget.spend(self.node, &dims)?;
        Ok(input.pick(dims.clone(), walk(dims, strides, first)))
    }

    pub(super) fn gather(&self, budget: &mut Budget) -> Result<Tensor, Stop> {
        let (input, indices) = (self.input(0)?, self.input(1)?);
        let axis = self.axis(self.node.int("axis", 0)?, input.dims.len())?;
        let len = input.dims[axis];
        let at = |index: i64| position(index, len).ok_or_else(|| self.wrong(&format!("index {index} of {len}")));
        let picked = known(indices, self)?.into_iter().map(at).collect::<Result<Vec<usize>, _>>()?;
        let (outer, inner) = (&input.dims[..axis], &input.dims[axis + 1..]);
        let dims = [outer, &indices.dims, inner].concat();
        budget.spend(self.node, &dims)?;
        let (outer, inner): (usize, usize) = (outer.iter().product(), inner.iter().product());
        let positions = (0..outer).flat_map(|o| {
            let picked = &picked;
            picked.iter().flat_map(move |&index| (0..inner).map(move |i| (o * len + index) * inner + i))
        });
        Ok(input.pick(dims, positions))
    }

    pub(super) fn concat(&self, budget: &mut Budget) -> Result<Tensor, Stop> {
        let first = self.input(0)?;
        let axis = self.axis(self.node.int("axis", 0)?, first.dims.len())?;
        let parts = (0..self.inputs.len()).map(|index| self.input(index)).collect::<Result<Vec<_>, _>>()?;
        let mut dims = first.dims.clone();
        dims[axis] = 0;
        for part in &parts {
            let fits =
                part.dims.len() == dims.len() && (0..dims.len()).all(|at| at == axis || part.dims[at] == dims[at]);
            if !fits || part.as_floats().is_some() != first.as_floats().is_some() {
                return Err(self.wrong("its inputs do not fit"));
            }
            dims[axis] = dims[axis].saturating_add(part.dims[axis]);
        }
        budget.spend(self.node, &dims)?;
        let outer: usize = dims[..axis].iter().product();
        let chunk = |part: &Tensor| part.dims[axis..].iter().product::<usize>();
        let pieces =
            (0..outer).flat_map(|o| parts.iter().map(move |part| (part, o * chunk(part)..(o + 1) * chunk(part))));
        let data = match first.data {
            Data::Float(_) => Data::Float(
                pieces.flat_map(|(part, range)| &part.as_floats().unwrap_or_default()[range]).copied().collect(),
            ),
            Data::Int(_) => Data::Int(
                pieces.flat_map(|(part, range)| &part.as_ints().unwrap_or_default()[range]).copied().collect(),
            ),
        };
        Ok(Tensor { dims, data })
    }

    pub(super) fn expand(&self, budget: &mut Budget) -> Result<Tensor, Stop> {
        let (input, target) = (self.input(0)?, self.sizes(1)?);
        let dims = broadcast(&input.dims, &target).ok_or_else(|| self.wrong("its shapes do not fit"))?;
        budget.spend(self.node, &dims)?;
        Ok(input.pick(dims.clone(), spread(&input.dims, &dims)))
    }

    pub(super) fn triangle(&self, budget: &mut Budget) -> Result<Tensor, Stop> {
        let input = self.input(0)?;
        let &[.., rows, columns] = &input.dims[..] else {
            return Err(self.wrong("of a value without rows and columns"));
        };
        let diagonal =
            self.optional(1).map(|k| known(k, self)).transpose()?.and_then(|k| k.first().copied()).unwrap_or(0);
        let upper = self.node.flag("upper", true)?;
        budget.spend(self.node, &input.dims)?;
        let keeps = |at: usize| {
            let (row, column) = (at / columns % rows, at % columns);
            let beyond = (column as i64 - row as i64).cmp(&diagonal);
            if upper { beyond != Ordering::Less } else { beyond != Ordering::Greater }
        };
        let data = match &input.data {
            Data::Float(values) => {
                Data::Float(values.iter().enumerate().map(|(at, &value)| if keeps(at) { value } else { 0.0 }).collect())
            }
            Data::Int(values) => Data::Int(
                values.iter().enumerate().map(|(at, &value)| if keeps(at) { value } else { Int::Known(0) }).collect(),
            ),
        };
        Ok(Tensor { dims: input.dims.clone(), data })
    }
}

/// The shape after Reshape.
fn reshaped(dims: &[usize], target: &[i64], allow_zero: bool) -> Option<Vec<usize>> {
    let mut result: Vec<Option<usize>> = vec![];
    for (at, &dim) in target.iter().enumerate() {
        result.push(match dim {
            -1 => None,
            0 if !allow_zero => Some(*dims.get(at)?),
            dim => Some(usize::try_from(dim).ok()?),
        });
    }
    let fixed: Vec<usize> = result.iter().flatten().copied().collect();
    let rest = match result.len() - fixed.len() {
        0 => 1,
        1 => volume(dims)?.checked_div(volume(&fixed)?)?,
        _ => return None,
    };
    Some(result.into_iter().map(|dim| dim.unwrap_or(rest)).collect())
}
