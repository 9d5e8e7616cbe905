//! Convolutions, padding, and the windows shared with pooling.

use super::{Activation, Call, Lowering, check_outputs};
use crate::engine::graph::{Clamp, Conv, Linear, Op, Shape, Window};
use crate::engine::onnx::axes::Axes;
use crate::engine::onnx::{LoadError, MAX_SIDE, text};

impl Lowering {
    pub(super) fn conv(&mut self, call: &Call) -> Result<Activation, LoadError> {
        let (activation, shape) = self.feature_map(call)?;
        let (dims, weights) = call.weights(1)?;
        let &[outputs, inputs_per_group, ref kernel @ ..] = dims else {
            return Err(call.node.malformed(format!("weights {} are not those of a convolution", text::list(dims))));
        };
        check_outputs(call, outputs)?;
        if let Some(stated) = call.node.ints("kernel_shape")?
            && !stated.iter().eq(kernel.iter().map(|&len| len as i64).collect::<Vec<_>>().iter())
        {
            let (stated, dims) = (text::list(stated), text::list(dims));
            return Err(call.node.malformed(format!("kernel_shape {stated} does not fit the weights {dims}")));
        }
        let window = padded(window(call, kernel, shape)?, activation.pad);
        let groups = usize::try_from(call.node.int("group", 1)?).unwrap_or(0);
        let depthwise = groups != 1;
        if depthwise && (groups != shape.channels || outputs != groups || inputs_per_group != 1) {
            let what = format!("a convolution in {groups} groups from {} to {outputs} channels", shape.channels);
            return Err(call.node.unsupported(what, "one group, or one group per channel, is"));
        }
        if inputs_per_group.checked_mul(groups) != Some(shape.channels) {
            let what = format!("weights {} do not fit {} input channels", text::list(dims), shape.channels);
            return Err(call.node.malformed(what));
        }
        let conv = Conv { weights: weights.to_vec(), bias: call.bias(2, outputs)?, window };
        let [height, width] = output_of(call, &window, shape)?;
        let shape_out = Shape { channels: outputs, height, width };
        let whole = window.kernel == [shape.height, shape.width] && height * width == 1;
        let op = match (depthwise, whole && window.is_inside()) {
            (true, _) => Op::Depthwise(conv),
            (false, true) => Op::Linear(Linear { weights: conv.weights, bias: conv.bias }),
            (false, false) => Op::Conv(conv),
        };
        Ok(Activation::of(self.push(call, op, vec![activation.id], shape_out), Axes::nchw()))
    }

    /// Lowers Pad: zero padding of rows and columns stays pending until the next layer.
    pub(super) fn pad(&mut self, call: &Call) -> Result<Activation, LoadError> {
        let node = call.node;
        let mut activation = call.activation(0)?.clone();
        let (shape, rank) = (self.shape(&activation), activation.axes.rank());
        let pads = call.ints(1, "pads")?.ok_or_else(|| node.malformed("pads are missing"))?;
        let axes = match call.ints(3, "axes")? {
            Some(axes) => axes,
            None => (0..rank as i64).collect(),
        };
        if pads.len() != 2 * axes.len() {
            return Err(node.malformed(format!("{} pads for {} axes", pads.len(), axes.len())));
        }
        if pads.iter().all(|&pad| pad == 0) {
            return Ok(activation);
        }
        let mode = node.text("mode", "constant")?;
        if mode != "constant" || call.scalar(2)?.unwrap_or(0.0) != 0.0 {
            let what = match mode {
                "constant" => "Pad with a number other than 0".into(),
                mode => format!("Pad in the mode {}", text::name(mode)),
            };
            return Err(node.unsupported(what, "Pad with zeros is"));
        }
        let allowed = "zeros around rows and columns, before a convolution or average pooling, are";
        if !activation.axes.is_nchw(shape) {
            return Err(node.unsupported(format!("Pad of {}", activation.axes.describe(shape)), allowed));
        }
        for (index, &axis) in axes.iter().enumerate() {
            let at = activation.axes.position(axis).map_err(|why| node.malformed(why))?;
            for (end, pad) in [(0, pads[index]), (1, pads[index + axes.len()])] {
                let pad = usize::try_from(pad).ok().filter(|&pad| pad <= MAX_SIDE && (at >= 2 || pad == 0));
                let pad = pad.ok_or_else(|| node.unsupported(format!("Pad by {}", text::list(&pads)), allowed))?;
                if at >= 2 {
                    activation.pad[at - 2 + 2 * end] += pad;
                }
            }
        }
        Ok(activation)
    }

    /// Whether the activation's values are provably nonnegative.
    pub(super) fn is_never_negative(&self, activation: &Activation) -> bool {
        matches!(self.nodes[activation.id].op, Op::Clamp(Clamp { low, .. }) if low >= 0.0)
    }
}

/// The window of a convolution or pooling layer over a map of this shape.
pub(super) fn window(call: &Call, kernel: &[usize], shape: Shape) -> Result<Window, LoadError> {
    let node = call.node;
    let &[rows, columns] = kernel else {
        return Err(node.unsupported(format!("a kernel of {} axes", kernel.len()), "two, rows and columns, are"));
    };
    let kernel = [rows, columns];
    if kernel.iter().any(|&len| len == 0 || len > MAX_SIDE) {
        return Err(node.malformed(format!("a kernel of {} is impossible", text::list(kernel))));
    }
    let (stride, dilation) = (steps(call, "strides")?, steps(call, "dilations")?);
    // Of one tap there is no next.
    let dilation = [0, 1].map(|axis| if kernel[axis] == 1 { 1 } else { dilation[axis] });
    let window = Window { kernel, stride, dilation, ..Window::POINT };
    let [before, after] = match node.text("auto_pad", "NOTSET")? {
        "NOTSET" | "" => {
            let pads = sizes(call, "pads", 4)?.unwrap_or_else(|| vec![0; 4]);
            [[pads[0], pads[1]], [pads[2], pads[3]]]
        }
        "VALID" => [[0; 2]; 2],
        "SAME_UPPER" => same(&window, shape),
        "SAME_LOWER" => {
            let [less, more] = same(&window, shape);
            [more, less]
        }
        other => return Err(node.malformed(format!("auto_pad {} is unknown to ONNX", text::name(other)))),
    };
    Ok(Window { before, after, ..window })
}

/// Strides or dilations, 1 unless the node has them.
fn steps(call: &Call, name: &str) -> Result<[usize; 2], LoadError> {
    let steps = sizes(call, name, 2)?.map_or([1, 1], |steps| [steps[0], steps[1]]);
    if steps.contains(&0) {
        return Err(call.node.malformed(format!("{name} {} must be at least 1", text::list(steps))));
    }
    Ok(steps)
}

/// Padding for an output of the input size divided by the stride, rounded up. An odd pixel goes after the map.
fn same(window: &Window, shape: Shape) -> [[usize; 2]; 2] {
    let total = |axis: usize, len: usize| {
        let outputs = len.div_ceil(window.stride[axis]);
        ((outputs - 1) * window.stride[axis] + window.extent(axis)).saturating_sub(len)
    };
    let total = [total(0, shape.height), total(1, shape.width)];
    let less = total.map(|pad| pad / 2);
    [less, [total[0] - less[0], total[1] - less[1]]]
}

/// The window with the padding of a preceding Pad merged in.
pub(super) fn padded(window: Window, pad: [usize; 4]) -> Window {
    let [top, left, below, right] = pad;
    Window {
        before: [window.before[0] + top, window.before[1] + left],
        after: [window.after[0] + below, window.after[1] + right],
        ..window
    }
}

/// Output rows and columns of a window over a map.
pub(super) fn output_of(call: &Call, window: &Window, shape: Shape) -> Result<[usize; 2], LoadError> {
    let kernel = text::list([window.extent(0), window.extent(1)]);
    let too_large = || format!("kernel {kernel} is larger than the {}x{} input", shape.height, shape.width);
    window.output(shape.height, shape.width).ok_or_else(|| call.node.malformed(too_large()))
}

/// The `count` sizes of an attribute.
pub(super) fn sizes(call: &Call, name: &str, count: usize) -> Result<Option<Vec<usize>>, LoadError> {
    let Some(values) = call.node.ints(name)? else { return Ok(None) };
    let size = |&value: &i64| usize::try_from(value).ok().filter(|&value| value <= MAX_SIDE);
    let sizes = values.iter().map(size).collect::<Option<Vec<_>>>().filter(|sizes| sizes.len() == count);
    let wrong =
        || call.node.malformed(format!("{name} {} must be {count} numbers from 0 to {MAX_SIDE}", text::list(values)));
    sizes.map(Some).ok_or_else(wrong)
}
