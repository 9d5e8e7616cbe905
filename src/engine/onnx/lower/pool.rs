//! Pooling over windows, over the whole map, and over single axes.

use super::conv::{output_of, padded, sizes, window};
use super::{Activation, Call, Lowering};
use crate::engine::graph::{Affine, Op, Pool, PoolKind, Shape, Window};
use crate::engine::onnx::axes::{Axes, Axis};
use crate::engine::onnx::{LoadError, text};

impl Lowering {
    /// Lowers MaxPool and AveragePool.
    pub(super) fn pool(&mut self, call: &Call) -> Result<Activation, LoadError> {
        let node = call.node;
        let (activation, shape) = self.feature_map(call)?;
        let kernel = sizes(call, "kernel_shape", 2)?.ok_or_else(|| node.malformed("kernel_shape is missing"))?;
        let mut window = window(call, &kernel, shape)?;
        if window.dilation != [1, 1] {
            return Err(node.unsupported("pooling with a dilation other than 1", "a convolution with dilation is"));
        }
        let max = node.operator == "MaxPool";
        // Without padding there is nothing to include in the count; what rounding up adds is never counted.
        let padded_by_itself = !window.is_inside();
        let counts = !max && padded_by_itself && node.flag("count_include_pad", false)?;
        let mut kind = match (max, counts) {
            (true, _) => PoolKind::Max,
            (false, false) => PoolKind::Average,
            (false, true) => PoolKind::AverageWithPadding,
        };
        if activation.pad != [0; 4] {
            match kind {
                PoolKind::Max if self.is_never_negative(&activation) => (),
                PoolKind::Max => {
                    let allowed = "after a ReLU it is, or as the pooling's own padding";
                    return Err(node.unsupported("a Pad with zeros before MaxPool", allowed));
                }
                PoolKind::Average if padded_by_itself => {
                    let what = "a Pad before AveragePool with padding of its own";
                    return Err(node.unsupported(what, "count_include_pad is, or one of the two"));
                }
                // Zeros added by a Pad count as pixels.
                _ => kind = PoolKind::AverageWithPadding,
            }
            window = padded(window, activation.pad);
        }
        if node.flag("ceil_mode", false)? {
            let wider = round_up(window, shape);
            if wider != window && kind == PoolKind::AverageWithPadding {
                return Err(node.unsupported("ceil_mode with count_include_pad", "either of them is"));
            }
            window = wider;
        }
        // A window that covers only padding has no maximum and no mean.
        let sane = |axis: usize| window.kernel[axis] > window.before[axis].max(window.after[axis]);
        if !sane(0) || !sane(1) {
            let [kernel, before, after] = [window.kernel, window.before, window.after].map(text::list);
            let what = format!("a padding of {before} before and {after} after for a kernel of {kernel}");
            return Err(node.unsupported(what, "less than the kernel is"));
        }
        let [height, width] = output_of(call, &window, shape)?;
        let op = Op::Pool(Pool { kind, window });
        let id = self.push(call, op, vec![activation.id], Shape { height, width, ..shape });
        Ok(Activation::of(id, Axes::nchw()))
    }

    /// Lowers GlobalAveragePool and GlobalMaxPool.
    pub(super) fn global_pool(&mut self, call: &Call) -> Result<Activation, LoadError> {
        let activation = self.activation(call, 0)?;
        let kind = if call.node.operator == "GlobalMaxPool" { PoolKind::Max } else { PoolKind::Average };
        let axes: Vec<usize> = (2..activation.axes.rank()).collect();
        self.pool_axes(call, activation, kind, &axes, true)
    }

    /// Lowers ReduceMean, ReduceMax and ReduceSum over rows, columns or both.
    pub(super) fn reduce(&mut self, call: &Call) -> Result<Activation, LoadError> {
        let node = call.node;
        let activation = self.activation(call, 0)?;
        let axes = match call.ints(1, "axes")? {
            Some(axes) if !axes.is_empty() => activation.axes.positions(&axes).map_err(|why| node.malformed(why))?,
            _ if node.flag("noop_with_empty_axes", false)? => return Ok(activation),
            _ => (0..activation.axes.rank()).collect(),
        };
        let kind = if node.operator == "ReduceMax" { PoolKind::Max } else { PoolKind::Average };
        let keep = node.flag("keepdims", true)?;
        let before = self.shape(&activation);
        let mut pooled = self.pool_axes(call, activation, kind, &axes, keep)?;
        if node.operator == "ReduceSum" {
            let after = self.shape(&pooled);
            let share = (before.len() / after.len()) as f32;
            let affine = Affine { scale: vec![share; after.channels], shift: vec![0.0; after.channels] };
            pooled.id = self.push(call, Op::Affine(affine), vec![pooled.id], after);
        }
        Ok(pooled)
    }

    /// Pools all pixels along these axes. `keep` retains the axes with length 1.
    fn pool_axes(
        &mut self,
        call: &Call,
        activation: Activation,
        kind: PoolKind,
        axes: &[usize],
        keep: bool,
    ) -> Result<Activation, LoadError> {
        let shape = self.shape(&activation);
        let pooled = |which: usize| axes.iter().any(|&at| activation.axes.0[at].covers(which));
        let batch = axes.iter().any(|&at| activation.axes.0[at] == Axis::Batch);
        if batch || (pooled(0) && shape.channels > 1) {
            let over = axes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let what = format!("{} over axes {over} of {}", call.node.operator, activation.axes.describe(shape));
            let allowed = if batch {
                "over rows and columns is; statistics of a batch are those of training: call model.eval() before the export"
            } else {
                "over rows and columns is"
            };
            return Err(call.node.unsupported(what, allowed));
        }
        let extent = |which: usize, len: usize| if pooled(which) { len } else { 1 };
        let kernel = [extent(1, shape.height), extent(2, shape.width)];
        let rest = |which: usize, len: usize| if pooled(which) { 1 } else { len };
        let after = Shape { height: rest(1, shape.height), width: rest(2, shape.width), ..shape };
        let id = if kernel == [1, 1] {
            activation.id
        } else {
            let window = Window { kernel, ..Window::POINT };
            self.push(call, Op::Pool(Pool { kind, window }), vec![activation.id], after)
        };
        let axes = if keep { activation.axes.clone() } else { activation.axes.without(axes) };
        Ok(Activation { id, ..activation.with_axes(axes) })
    }
}

/// Adds the padding after the map that `ceil_mode` requires. The last window must begin inside the map or the padding
/// before it.
fn round_up(window: Window, shape: Shape) -> Window {
    let after = |axis: usize, len: usize| {
        let (kernel, stride, before) = (window.kernel[axis], window.stride[axis], window.before[axis]);
        let Some(room) = (len + before + window.after[axis]).checked_sub(kernel) else { return window.after[axis] };
        let last = (room.div_ceil(stride) * stride).min((len + before - 1) / stride * stride);
        window.after[axis].max((last + kernel).saturating_sub(len + before))
    };
    Window { after: [after(0, shape.height), after(1, shape.width)], ..window }
}
