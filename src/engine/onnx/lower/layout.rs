//! Operators that change no values: identity, casts, dropout, the final softmax, and regrouping of axes.

use super::conv::output_of;
use super::{Activation, Call, Lowering, Value};
use crate::engine::graph::{Op, Pool, PoolKind, Shape, Window};
use crate::engine::onnx::LoadError;
use crate::engine::onnx::axes::{Axes, Axis};
use crate::engine::onnx::element::{TO_FLOAT32, type_name};
use crate::engine::onnx::fold::sliced;
use crate::engine::onnx::tensor::{Int, position};

/// Advice for an image that is transposed before the first convolution.
pub(super) const CHANNELS_FIRST: &str =
    "the image must be [N, channels, rows, columns]: convert with tf2onnx --inputs-as-nchw";
/// ONNX's code for float32.
const FLOAT32: i64 = 1;

impl Lowering {
    /// The node's input, if the node leaves it unchanged.
    pub(super) fn unchanged(&self, call: &Call) -> Result<Option<Activation>, LoadError> {
        match call.node.operator.as_str() {
            "Identity" | "Dropout" => (),
            "Cast" => match call.node.int("to", 0)? {
                FLOAT32 => (),
                to => {
                    let name = i32::try_from(to).map_or("unknown", type_name);
                    return Err(call.node.unsupported(format!("a cast of activations to {name}"), TO_FLOAT32));
                }
            },
            "CastLike" if !call.inputs.get(1).is_some_and(is_integer) => (),
            "Max" | "Min" | "Sum" if call.inputs.len() == 1 => (),
            _ => return Ok(None),
        }
        Ok(Some(call.broadcast(0)?.clone()))
    }

    /// Records a Softmax or LogSoftmax. At the end of the network it changes no prediction.
    pub(super) fn softmax(&self, call: &Call) -> Result<Activation, LoadError> {
        let activation = self.activation(call, 0)?;
        let shape = self.shape(&activation);
        let axis = activation.axes.position(call.node.int("axis", -1)?).map_err(|why| call.node.malformed(why))?;
        let rest = activation.axes.0.iter().enumerate().filter(|(at, _)| *at != axis);
        if activation.axes.0[axis] == Axis::Batch || rest.map(|(_, axis)| axis.len(shape)).product::<usize>() != 1 {
            let what = format!("{} over axis {axis} of {}", call.node.operator, activation.axes.describe(shape));
            return Err(call.node.unsupported(what, "over the classes, as the last layer, is"));
        }
        let softmax = format!("{} {}", call.node.operator, call.node.name);
        Ok(Activation { softmax: Some(softmax), ..activation })
    }

    /// Lowers the logarithm of a softmax.
    pub(super) fn log(&self, call: &Call) -> Result<Activation, LoadError> {
        let activation = self.activation(call, 0)?;
        match activation.softmax {
            Some(_) => Ok(Activation { softmax: Some(format!("LogSoftmax {}", call.node.name)), ..activation }),
            None => Err(call.node.unsupported("operator Log on activations", "after a softmax, at the end, is")),
        }
    }

    /// Rejects operators after a softmax, except its logarithm and those that change no values.
    pub(super) fn after_softmax(&self, call: &Call) -> Result<(), LoadError> {
        const RENAMES: [&str; 4] = ["Flatten", "Reshape", "Squeeze", "Unsqueeze"];
        let softmax = call.inputs.iter().find_map(|input| match input {
            Value::Activation(activation) => activation.softmax.as_ref(),
            _ => None,
        });
        match softmax {
            Some(softmax) if softmax.starts_with("Softmax ") && call.node.operator == "Log" => Ok(()),
            Some(softmax) if !RENAMES.contains(&call.node.operator.as_str()) => {
                let what = format!("{} after the {softmax}", call.node.operator);
                Err(call
                    .node
                    .unsupported(what, "a softmax may only be the last layer, and is not needed there: remove it"))
            }
            _ => Ok(()),
        }
    }

    /// Lowers operators that only regroup the axes of input 0.
    pub(super) fn rename(&mut self, call: &Call) -> Result<Activation, LoadError> {
        let activation = self.activation(call, 0)?;
        let (shape, batch, axes, node) = (self.shape(&activation), self.batch, &activation.axes, call.node);
        let operator = node.operator.as_str();
        let renamed = match operator {
            "Flatten" => axes.flatten(shape, batch, node.int("axis", 1)?),
            "Reshape" => {
                let target = self.target(call, &activation)?;
                axes.reshape(shape, batch, &target)
            }
            "Squeeze" => axes.squeeze(shape, batch, call.ints(1, "axes")?.as_deref()),
            "Unsqueeze" => {
                let inserted = call.ints(1, "axes")?.ok_or_else(|| node.malformed("axes are missing"))?;
                axes.unsqueeze(&inserted)
            }
            "Transpose" => {
                let reversed: Vec<i64> = (0..axes.rank() as i64).rev().collect();
                axes.permute(shape, node.ints("perm")?.unwrap_or(&reversed))
            }
            "Gather" => return self.gather(call, &activation),
            "Slice" => return self.slice(call, &activation),
            _ => return self.expand(call, &activation),
        };
        let refused = |what: String| {
            let allowed = match operator {
                "Transpose" => "the batch must stay first; channels and scores can be neither selected nor reordered",
                "Squeeze" | "Unsqueeze" => "axes of length 1 may come and go",
                // `as_strided` starts like this. Exporters write it for pooling if the example is not contiguous.
                "Reshape" if what.ends_with("to [-1]") => {
                    "[N, features] is; a network in channels_last must be exported with an example that is contiguous()"
                }
                _ => "[N, features] is, one row for each image",
            };
            node.unsupported(format!("{operator} {what}"), allowed)
        };
        Ok(activation.with_axes(renamed.map_err(refused)?))
    }

    /// The target shape of a Reshape. A 0 keeps the input's dimension.
    fn target(&self, call: &Call, activation: &Activation) -> Result<Vec<Int>, LoadError> {
        let unknown = || {
            call.node.unsupported("a shape that cannot be computed beforehand", "one that follows from the image's is")
        };
        let Some(Value::Constant(target)) = call.inputs.get(1) else { return Err(unknown()) };
        let target = target.as_ints().ok_or_else(|| call.node.malformed("its shape is not made of integers"))?;
        if call.node.flag("allowzero", false)? {
            return Ok(target.to_vec());
        }
        let own = activation.axes.dims(self.shape(activation), self.batch);
        let of = |(at, &dim): (usize, &Int)| match dim {
            Int::Known(0) => own.get(at).copied().unwrap_or(Int::Known(0)),
            dim => dim,
        };
        Ok(target.iter().enumerate().map(of).collect())
    }

    /// Lowers Gather of the only element of an axis, such as `x[:, :, 0, 0]`, or of a whole axis in order, as in
    /// `as_strided`.
    fn gather(&self, call: &Call, activation: &Activation) -> Result<Activation, LoadError> {
        let (axes, shape, node) = (&activation.axes, self.shape(activation), call.node);
        let at = axes.position(node.int("axis", 0)?).map_err(|why| node.malformed(why))?;
        let index = call.constant(1)?.and_then(|indices| Some((indices.known()?, &indices.dims)));
        let all = |index: &[i64], len: usize| {
            index.len() == len && index.iter().enumerate().all(|(at, &index)| position(index, len) == Some(at))
        };
        match (index, self.axis_len(activation, at)) {
            (Some((index, dims)), Some(len)) if all(&index, len) => {
                let mut target = axes.dims(shape, self.batch);
                target.splice(at..=at, dims.iter().map(|&dim| Int::Known(dim as i64)));
                let renamed = axes.reshape(shape, self.batch, &target);
                Ok(activation.with_axes(renamed.map_err(|what| node.unsupported(format!("Gather {what}"), ONLY_ONE))?))
            }
            _ => Err(self.picking(call, activation, at)),
        }
    }

    /// Rejects a selection from an axis.
    fn picking(&self, call: &Call, activation: &Activation, at: usize) -> LoadError {
        let (axes, shape) = (&activation.axes, self.shape(activation));
        let allowed = match axes.0[at] {
            Axis::Batch => "images of a batch can be neither selected nor reordered",
            axis if axis.covers(0) && axis.len(shape) > 1 => {
                "channels and scores can be neither selected nor reordered"
            }
            _ => ONLY_ONE,
        };
        call.node.unsupported(format!("picking from axis {at} of {}", axes.describe(shape)), allowed)
    }

    /// Lowers a Slice of everything, or of rows and columns with a stride.
    fn slice(&mut self, call: &Call, activation: &Activation) -> Result<Activation, LoadError> {
        let (axes, shape, node) = (&activation.axes, self.shape(activation), call.node);
        let need = |index| call.ints(index, "")?.ok_or_else(|| node.malformed(format!("input {index} is missing")));
        let (starts, ends) = (need(1)?, need(2)?);
        let which = call.ints(3, "")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = call.ints(4, "")?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), which.len(), steps.len()] != [starts.len(); 3] {
            return Err(node.malformed("starts, ends, axes and steps are not of one length"));
        }
        let mut stride = [1, 1];
        for (index, &axis) in which.iter().enumerate() {
            let at = axes.position(axis).map_err(|why| node.malformed(why))?;
            let (start, end, step) = (starts[index], ends[index], steps[index]);
            let every = usize::try_from(step).ok().filter(|&step| step > 1);
            match (self.axis_len(activation, at), every) {
                (None, _) if start == 0 && end >= i64::from(i32::MAX) && step == 1 => (),
                (Some(len), _) if sliced(len, start, end, step) == Some((0, len)) && (len == 1 || step == 1) => (),
                (Some(len), Some(every))
                    if at >= 2
                        && stride[at - 2] == 1
                        && axes.is_nchw(shape)
                        && sliced(len, start, end, step) == Some((0, len.div_ceil(every))) =>
                {
                    stride[at - 2] = every.min(len);
                }
                _ => return Err(self.picking(call, activation, at)),
            }
        }
        if stride == [1, 1] {
            return Ok(activation.clone());
        }
        // Max pooling over one pixel is the identity.
        let window = Window { stride, ..Window::POINT };
        let [height, width] = output_of(call, &window, shape)?;
        let op = Op::Pool(Pool { kind: PoolKind::Max, window });
        Ok(Activation::of(self.push(call, op, vec![activation.id], Shape { height, width, ..shape }), Axes::nchw()))
    }

    /// Lowers an Expand to the activation's own shape, or of one pixel to a map that it is multiplied with.
    fn expand(&self, call: &Call, activation: &Activation) -> Result<Activation, LoadError> {
        let (shape, target) = (self.shape(activation), self.target(call, activation)?);
        let own = activation.axes.dims(shape, self.batch);
        let fits = target.len() <= own.len();
        if fits && own.iter().rev().zip(target.iter().rev()).all(|(own, dim)| own == dim || *dim == Int::Known(1)) {
            return Ok(activation.clone());
        }
        let pixel = shape.pixels() == 1 && target.len() == own.len();
        let longer = |(&own, &dim): (&Int, &Int)| match (own, dim) {
            (own, Int::Known(1)) => Some(own),
            (own, dim) => (own == dim || own == Int::Known(1)).then_some(dim),
        };
        if let Some(expanded) = own.iter().zip(&target).map(longer).collect::<Option<Vec<_>>>().filter(|_| pixel) {
            return Ok(Activation { expanded: Some(expanded), ..activation.clone() });
        }
        let allowed = "to its own shape is, or of one pixel in a product";
        Err(call.node.unsupported(format!("Expand of {}", activation.axes.describe(shape)), allowed))
    }

    /// The length of an axis; `None` for a batch without a fixed size.
    fn axis_len(&self, activation: &Activation, at: usize) -> Option<usize> {
        match activation.axes.0[at] {
            Axis::Batch => self.batch,
            axis => Some(axis.len(self.shape(activation))),
        }
    }
}

/// What is supported of selections from a map.
const ONLY_ONE: &str =
    "the one element of an axis is, such as x[:, :, 0, 0] after global pooling: pool or flatten first";

fn is_integer(value: &Value) -> bool {
    matches!(value, Value::Constant(constant) if constant.as_floats().is_none())
}
