//! The axes of an activation as the file sees them: which are channels, rows and columns.
//!
//! Reshapes move no data; they only regroup axes. Each axis is therefore the batch, a contiguous group of channels,
//! rows and columns, or empty (length 1). A Transpose changes the order of the groups; only elementwise operators and
//! operators over whole axes accept that.

use super::tensor::{Int, position};
use super::{MAX_RANK, text};
use crate::engine::graph::Shape;

/// One axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Batch,
    /// From channels (0), rows (1) or columns (2) to before another of them; empty if equal.
    Run {
        from: usize,
        to: usize,
    },
}

/// The axes of an activation, outermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Axes(pub(super) Vec<Axis>);

const UNIT: Axis = Axis::Run { from: 0, to: 0 };
const FEATURES: Axis = Axis::Run { from: 0, to: 3 };

impl Axis {
    /// Its length for one image.
    pub(super) fn len(self, shape: Shape) -> usize {
        match self {
            Axis::Batch => 1,
            Axis::Run { from, to } => [shape.channels, shape.height, shape.width][from..to].iter().product(),
        }
    }

    /// Whether it includes channels (0), rows (1) or columns (2).
    pub(super) fn covers(self, which: usize) -> bool {
        matches!(self, Axis::Run { from, to } if (from..to).contains(&which))
    }
}

impl Axes {
    /// `[N, C, H, W]`
    pub(super) fn nchw() -> Axes {
        let run = |from| Axis::Run { from, to: from + 1 };
        Axes(vec![Axis::Batch, run(0), run(1), run(2)])
    }

    pub(super) fn rank(&self) -> usize {
        self.0.len()
    }

    /// Whether the axes are `[N, C, H, W]`.
    pub(super) fn is_nchw(&self, shape: Shape) -> bool {
        let lens: Vec<usize> = self.0.iter().map(|axis| axis.len(shape)).collect();
        self.is_ordered(shape) && lens == [1, shape.channels, shape.height, shape.width]
    }

    /// Whether channels, rows and columns are in memory order.
    pub(super) fn is_ordered(&self, shape: Shape) -> bool {
        self.runs(shape).is_sorted()
    }

    /// The groups of all axes longer than 1.
    fn runs(&self, shape: Shape) -> impl Iterator<Item = (usize, usize)> {
        self.0.iter().filter_map(move |&axis| match axis {
            Axis::Run { from, to } if axis.len(shape) > 1 => Some((from, to)),
            _ => None,
        })
    }

    /// Whether an activation of the same shape has matching axes, so that elementwise operators pair equal channels and
    /// pixels.
    pub(super) fn matches(&self, other: &Axes, shape: Shape) -> bool {
        self.dims(shape, None) == other.dims(shape, None) && self.runs(shape).eq(other.runs(shape))
    }

    /// Whether a value of one pixel, with these other axes, is broadcast to an activation as one number for each channel.
    pub(super) fn scaled_by(&self, shape: Shape, axes: &Axes, pixel: Shape) -> bool {
        let is_channels = |axis: &Axis| axis.covers(0) && axis.len(shape) == pixel.channels;
        let pairs = || self.0.iter().zip(&axes.0);
        pixel == (Shape { height: 1, width: 1, ..shape })
            && self.rank() == axes.rank()
            && pairs().all(|(own, axis)| (*own == Axis::Batch) == (*axis == Axis::Batch))
            && pairs().all(|(own, axis)| axis.len(pixel) == 1 || is_channels(own))
    }

    /// Whether the last axis is exactly the channels.
    pub(super) fn ends_with_channels(&self) -> bool {
        self.0.last() == Some(&Axis::Run { from: 0, to: 1 })
    }

    /// Whether the last axis contains a whole image, as a linear layer requires.
    pub(super) fn is_flat(&self, shape: Shape) -> bool {
        match self.0.split_last() {
            Some((last, others)) => last.len(shape) == shape.len() && others.iter().all(|axis| axis.len(shape) == 1),
            None => false,
        }
    }

    /// The same axes with new features in the last one.
    pub(super) fn with_features(&self) -> Axes {
        let mut axes = self.0.clone();
        if let Some(last) = axes.last_mut() {
            *last = FEATURES;
        }
        Axes(axes)
    }

    /// The shape as the file sees it. `batch` is the fixed batch size, if any.
    pub(super) fn dims(&self, shape: Shape, batch: Option<usize>) -> Vec<Int> {
        let of = |axis: &Axis| match (axis, batch) {
            (Axis::Batch, None) => Int::Batch(1),
            (Axis::Batch, Some(batch)) => Int::Known(batch as i64),
            _ => Int::Known(axis.len(shape) as i64),
        };
        self.0.iter().map(of).collect()
    }

    /// The shape for messages: `[N, 16, 8, 8]`.
    pub(super) fn describe(&self, shape: Shape) -> String {
        text::list(self.0.iter().map(|axis| match axis {
            Axis::Batch => "N".to_owned(),
            axis => axis.len(shape).to_string(),
        }))
    }

    /// Index of an axis; negative numbers count from the end.
    pub(super) fn position(&self, axis: i64) -> Result<usize, String> {
        position(axis, self.rank()).ok_or_else(|| format!("axis {axis} of {} axes", self.rank()))
    }

    /// Indices of axes, sorted, without duplicates.
    pub(super) fn positions(&self, axes: &[i64]) -> Result<Vec<usize>, String> {
        let mut positions = axes.iter().map(|&axis| self.position(axis)).collect::<Result<Vec<_>, _>>()?;
        positions.sort_unstable();
        positions.dedup();
        Ok(positions)
    }

    /// Flattens the axes before `axis` into one and the others into another.
    pub(super) fn flatten(&self, shape: Shape, batch: Option<usize>, axis: i64) -> Result<Axes, String> {
        let axis = if axis == self.rank() as i64 { self.rank() } else { self.position(axis)? };
        let dims = self.dims(shape, batch);
        let product = |dims: &[Int]| dims.iter().fold(Int::Known(1), |product, &dim| product.mul(dim));
        self.reshape(shape, batch, &[product(&dims[..axis]), product(&dims[axis..])])
    }

    /// Reshapes to `target`, in which -1 is inferred. A number in the batch's position is accepted as the batch:
    /// exporters write the batch size of their example input.
    pub(super) fn reshape(&self, shape: Shape, batch: Option<usize>, target: &[Int]) -> Result<Axes, String> {
        let refused = |why: &str| {
            let target = target.iter().map(|dim| match dim {
                Int::Known(dim) => dim.to_string(),
                Int::Batch(1) => "N".to_owned(),
                Int::Batch(factor) => format!("{factor} N"),
                Int::Unknown => "?".to_owned(),
            });
            format!("from {} to {}{why}", self.describe(shape), text::list(target))
        };
        if target.contains(&Int::Unknown) {
            return Err(refused(", which cannot be computed from the image's shape"));
        }
        if !self.is_ordered(shape) {
            return Err(refused(" after a Transpose"));
        }
        let has_batch = self.0.contains(&Axis::Batch);
        let position = target.iter().position(|dim| matches!(dim, Int::Batch(1)));
        let rest = |at: usize| [&target[..at], &target[at + 1..]].concat();
        // Candidate positions of the batch in the target: where it is named, else in front, or nowhere if the batch is
        // one image.
        let candidates: Vec<(Option<usize>, Vec<Int>)> = match (has_batch, position) {
            (true, Some(at)) => vec![(Some(at), rest(at))],
            (true, None) if target.is_empty() => vec![],
            (true, None) if batch == Some(1) => vec![(Some(0), rest(0)), (None, target.to_vec())],
            (true, None) => vec![(Some(0), rest(0))],
            (false, _) => vec![(None, target.to_vec())],
        };
        for (at, rest) in candidates {
            let front = at.map(|at| target[at]);
            // If the batch is -1, no other dimension may be inferred.
            let plausible = match front {
                Some(Int::Known(-1)) => !rest.contains(&Int::Known(-1)),
                Some(Int::Known(number)) => number >= 1 && batch.is_none_or(|batch| batch as i64 == number),
                _ => true,
            };
            if plausible && let Some(mut axes) = group(shape, &rest) {
                if let Some(at) = at {
                    if axes[..at].iter().any(|axis| axis.len(shape) != 1) {
                        continue;
                    }
                    axes.insert(at, Axis::Batch);
                }
                return Ok(Axes(axes));
            }
        }
        Err(refused(""))
    }

    /// Removes the given axes, or all axes of length 1.
    pub(super) fn squeeze(&self, shape: Shape, batch: Option<usize>, axes: Option<&[i64]>) -> Result<Axes, String> {
        let is_one = |axis: Axis| if axis == Axis::Batch { batch == Some(1) } else { axis.len(shape) == 1 };
        let gone = match axes {
            None => (0..self.rank()).filter(|&at| is_one(self.0[at])).collect(),
            Some(axes) => self.positions(axes)?,
        };
        if let Some(at) = gone.iter().find(|&&at| !is_one(self.0[at])) {
            return Err(format!("of axis {at} of {}, which is not of length 1", self.describe(shape)));
        }
        Ok(self.without(&gone))
    }

    /// Inserts axes of length 1.
    pub(super) fn unsqueeze(&self, axes: &[i64]) -> Result<Axes, String> {
        let rank = self.rank() + axes.len();
        if rank > MAX_RANK {
            return Err(format!("to {rank} axes"));
        }
        let at = |&axis| position(axis, rank).ok_or_else(|| format!("axis {axis} of {rank} axes"));
        let inserted = axes.iter().map(at).collect::<Result<Vec<_>, _>>()?;
        let mut rest = self.0.iter().copied();
        let axis = |at| if inserted.contains(&at) { Some(UNIT) } else { rest.next() };
        Ok(Axes((0..rank).filter_map(axis).collect()))
    }

    /// Reorders the axes. The batch must stay before all axes longer than 1.
    pub(super) fn permute(&self, shape: Shape, order: &[i64]) -> Result<Axes, String> {
        let order = order.iter().map(|&axis| self.position(axis)).collect::<Result<Vec<_>, _>>()?;
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..self.rank()) {
            return Err("by an invalid permutation".into());
        }
        let mut long = order.iter().filter(|&&at| self.0[at] == Axis::Batch || self.0[at].len(shape) > 1);
        if long.position(|&at| self.0[at] == Axis::Batch).is_some_and(|position| position > 0) {
            return Err(format!("of {} that moves the batch", self.describe(shape)));
        }
        Ok(Axes(order.iter().map(|&at| self.0[at]).collect()))
    }

    /// Removes the axes at these indices.
    pub(super) fn without(&self, gone: &[usize]) -> Axes {
        Axes(self.0.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, &axis)| axis).collect())
    }

    /// The value per channel of a constant of shape `dims` broadcast to these axes; `None` if it varies within a
    /// channel.
    pub(super) fn per_channel(&self, shape: Shape, dims: &[usize], values: &[f32]) -> Option<Vec<f32>> {
        if values.len() == 1 && dims.len() <= self.rank() {
            return Some(vec![values[0]; shape.channels]);
        }
        let axes = &self.0[self.rank().checked_sub(dims.len())?..];
        let fits =
            axes.iter().zip(dims).all(|(axis, &dim)| dim == 1 || (*axis != Axis::Batch && dim == axis.len(shape)));
        if !fits || values.is_empty() {
            return None;
        }
        // The stride between channels, if the constant varies by channel.
        let channels = axes.iter().zip(dims).position(|(axis, &dim)| axis.covers(0) && dim > 1);
        let Some(at) = channels else {
            return values.iter().all(|value| *value == values[0]).then(|| vec![values[0]; shape.channels]);
        };
        let inner = dims[at] / shape.channels * dims[at + 1..].iter().product::<usize>();
        let mut row = vec![];
        for (index, chunk) in values.chunks(inner).enumerate() {
            if chunk.iter().any(|value| *value != chunk[0])
                || (index >= shape.channels && row[index % shape.channels] != chunk[0])
            {
                return None;
            }
            if index < shape.channels {
                row.push(chunk[0]);
            }
        }
        (row.len() == shape.channels).then_some(row)
    }
}

/// Groups channels, rows and columns into axes of lengths `dims`, one of which may be -1.
fn group(shape: Shape, dims: &[Int]) -> Option<Vec<Axis>> {
    let known = dims.iter().map(|dim| dim.known()).collect::<Option<Vec<i64>>>()?;
    let mut fixed = 1usize;
    for &dim in known.iter().filter(|&&dim| dim != -1) {
        fixed = fixed.checked_mul(usize::try_from(dim).ok().filter(|&dim| dim > 0)?)?;
    }
    let open = known.iter().filter(|&&dim| dim == -1).count();
    if open > 1 || !shape.len().is_multiple_of(fixed) || (open == 0 && fixed != shape.len()) {
        return None;
    }
    let lens = [shape.channels, shape.height, shape.width];
    let mut axes = vec![];
    let mut from = 0;
    for dim in known {
        let dim = if dim == -1 { shape.len() / fixed } else { dim as usize };
        let (mut to, mut len) = (from, 1);
        while len < dim && to < lens.len() {
            len *= lens[to];
            to += 1;
        }
        if len != dim {
            return None;
        }
        axes.push(Axis::Run { from, to });
        from = to;
    }
    lens[from..].iter().all(|&len| len == 1).then_some(axes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: Shape = Shape { channels: 8, height: 4, width: 2 };
    const PIXEL: Shape = Shape { channels: 8, height: 1, width: 1 };

    fn dims(axes: &Axes, shape: Shape) -> String {
        axes.describe(shape)
    }

    fn known<const N: usize>(dims: [i64; N]) -> [Int; N] {
        dims.map(Int::Known)
    }

    #[test]
    fn every_spelling_of_flattening_gives_features() {
        let nchw = Axes::nchw();
        let batch = Int::Batch(1);
        for (fixed, target) in [
            (None, vec![batch, Int::Known(-1)]),
            (None, vec![batch, Int::Known(64)]),
            (None, known([-1, 64]).to_vec()),
            // Exporters write the example's batch size for `len(x)`.
            (None, known([1, -1]).to_vec()),
            (None, known([5, -1]).to_vec()),
            (Some(1), known([1, 64]).to_vec()),
            (Some(4), known([4, -1]).to_vec()),
            (Some(4), known([-1, 64]).to_vec()),
        ] {
            let axes = nchw.reshape(MAP, fixed, &target).unwrap();
            assert_eq!((dims(&axes, MAP).as_str(), axes.is_flat(MAP)), ("[N, 64]", true), "{target:?}");
        }
        assert_eq!(dims(&nchw.reshape(MAP, Some(1), &known([-1])).unwrap(), MAP), "[64]");
        assert_eq!(dims(&nchw.flatten(MAP, None, 1).unwrap(), MAP), "[N, 64]");
        assert_eq!(dims(&nchw.flatten(MAP, None, -3).unwrap(), MAP), "[N, 64]");
        assert_eq!(dims(&nchw.reshape(MAP, None, &[batch, Int::Known(8), Int::Known(-1)]).unwrap(), MAP), "[N, 8, 8]");
    }

    #[test]
    fn reshapes_that_mix_images_or_channels_with_pixels_are_refused() {
        let nchw = Axes::nchw();
        for (fixed, target) in [
            (None, known([-1, 32]).to_vec()),
            (None, known([-1]).to_vec()),
            (None, vec![Int::Batch(2), Int::Known(32)]),
            (None, vec![Int::Unknown, Int::Known(64)]),
            (Some(4), known([2, -1]).to_vec()),
            (None, vec![Int::Batch(1), Int::Known(16), Int::Known(4)]),
            (None, vec![Int::Known(64), Int::Batch(1)]),
        ] {
            assert!(nchw.reshape(MAP, fixed, &target).is_err(), "{target:?}");
        }
        assert!(nchw.flatten(MAP, None, 0).is_err());
        assert!(nchw.flatten(MAP, None, 2).is_err());
    }

    #[test]
    fn reordered_axes_are_told_from_axes_in_memory_order() {
        // Equal lengths, so lengths alone do not identify axes.
        let cube = Shape { channels: 4, height: 4, width: 4 };
        let nchw = Axes::nchw();
        let last = nchw.permute(cube, &[0, 2, 3, 1]).unwrap();
        assert!(last.ends_with_channels() && !last.is_nchw(cube) && !last.is_ordered(cube));
        assert!(!last.matches(&nchw, cube) && last.matches(&last.clone(), cube));
        assert!(last.reshape(cube, None, &[Int::Batch(1), Int::Known(-1)]).is_err());
        assert!(last.flatten(cube, None, 1).is_err());
        assert_eq!(last.permute(cube, &[0, 3, 1, 2]).unwrap(), nchw);
        let row = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(last.per_channel(cube, &[4], &row), Some(row.to_vec()));
        assert_eq!(last.per_channel(cube, &[4, 1], &row), None);
        // With only one axis longer than 1, order does not matter.
        assert!(nchw.permute(PIXEL, &[0, 2, 3, 1]).unwrap().is_flat(PIXEL));
        assert!(nchw.permute(cube, &[1, 0, 2, 3]).is_err());
        assert!(nchw.permute(cube, &[0, 1, 1, 2]).is_err());
    }

    #[test]
    fn axes_of_length_one_can_be_added_and_removed() {
        let nchw = Axes::nchw();
        let last = nchw.squeeze(PIXEL, None, Some(&[-1])).unwrap();
        assert_eq!(dims(&last, PIXEL), "[N, 8, 1]");
        let flat = last.squeeze(PIXEL, None, Some(&[-1])).unwrap();
        assert!(flat.is_flat(PIXEL));
        assert_eq!(nchw.squeeze(PIXEL, None, None).unwrap(), flat);
        assert_eq!(dims(&nchw.squeeze(PIXEL, Some(1), None).unwrap(), PIXEL), "[8]");
        assert!(nchw.squeeze(MAP, None, Some(&[2])).is_err());
        assert!(nchw.squeeze(PIXEL, None, Some(&[0])).is_err());
        assert!(nchw.squeeze(PIXEL, None, Some(&[4])).is_err());
        assert!(flat.unsqueeze(&[2, -1]).unwrap().is_nchw(PIXEL));
    }

    #[test]
    fn a_constant_per_channel_is_found_in_every_broadcast_form() {
        let nchw = Axes::nchw();
        let row: Vec<f32> = (0..8).map(|channel| channel as f32).collect();
        let full: Vec<f32> = row.iter().flat_map(|&value| [value; 8]).collect();
        assert_eq!(nchw.per_channel(MAP, &[8, 1, 1], &row), Some(row.clone()));
        assert_eq!(nchw.per_channel(MAP, &[1, 8, 1, 1], &row), Some(row.clone()));
        assert_eq!(nchw.per_channel(MAP, &[8, 4, 2], &full), Some(row.clone()));
        assert_eq!(nchw.per_channel(MAP, &[4, 2], &[3.0; 8]), Some(vec![3.0; 8]));
        assert_eq!(nchw.per_channel(MAP, &[], &[2.0]), Some(vec![2.0; 8]));
        assert_eq!(nchw.per_channel(MAP, &[4, 2], &row), None);
        assert_eq!(nchw.per_channel(MAP, &[8], &row), None);
        let flat = Axes(vec![Axis::Batch, FEATURES]);
        assert_eq!(flat.per_channel(PIXEL, &[8], &row), Some(row));
    }
}
