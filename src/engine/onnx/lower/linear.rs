//! Products with a constant matrix.

use super::{Activation, Call, Lowering, check_outputs};
use crate::engine::graph::{Conv, Linear, Op, Shape, Window};
use crate::engine::onnx::{LoadError, text};

impl Lowering {
    /// Lowers Gemm and MatMul.
    pub(super) fn linear(&mut self, call: &Call) -> Result<Activation, LoadError> {
        let node = call.node;
        let activation = self.activation(call, 0)?;
        let shape = self.shape(&activation);
        let gemm = node.operator == "Gemm";
        // With the channels of each pixel in the last axis, the product is a 1x1 convolution.
        let pointwise = !gemm && shape.pixels() != 1 && activation.axes.ends_with_channels();
        if !pointwise && (!activation.axes.is_flat(shape) || (gemm && activation.axes.rank() != 2)) {
            let is = activation.axes.describe(shape);
            let what = format!("{} reads a value of shape {is} that was not flattened to [N, features]", node.operator);
            return Err(node.malformed(what));
        }
        let scale = |name: &str| if gemm { node.float(name, 1.0) } else { Ok(1.0) };
        let (alpha, beta) = (scale("alpha")?, scale("beta")?);
        if gemm && node.flag("transA", false)? {
            return Err(node.unsupported("Gemm with transA", "one row for each image is"));
        }
        let (dims, weights) = call.weights(1)?;
        let transposed = gemm && node.flag("transB", false)?;
        let (outputs, inputs) = match (<[usize; 2]>::try_from(dims), transposed) {
            (Ok([outputs, inputs]), true) | (Ok([inputs, outputs]), false) => (outputs, inputs),
            _ => return Err(node.malformed(format!("weights {} are not a matrix", text::list(dims)))),
        };
        let (reads, of) = if pointwise { (shape.channels, "channels") } else { (shape.len(), "features") };
        if inputs != reads {
            return Err(node.malformed(format!("weights {} do not fit {reads} {of}", text::list(dims))));
        }
        check_outputs(call, outputs)?;
        let weights = if transposed { weights.to_vec() } else { transpose(weights, outputs) };
        let weights = weights.into_iter().map(|weight| weight * alpha).collect();
        let bias = if gemm { call.bias(2, outputs)? } else { vec![0.0; outputs] };
        let bias = bias.into_iter().map(|bias| bias * beta).collect();
        let (op, after, axes) = if pointwise {
            let conv = Conv { weights, bias, window: Window::POINT };
            (Op::Conv(conv), Shape { channels: outputs, ..shape }, activation.axes)
        } else {
            let after = Shape { channels: outputs, height: 1, width: 1 };
            (Op::Linear(Linear { weights, bias }), after, activation.axes.with_features())
        };
        Ok(Activation::of(self.push(call, op, vec![activation.id], after), axes))
    }
}

/// Transposes a matrix of shape `[rows, columns]`.
fn transpose(values: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns).copied()).collect()
}
