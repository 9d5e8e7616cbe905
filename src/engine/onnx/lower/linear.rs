//! Matrix products with a constant matrix.

use super::{Activation, Call, Lowering, check_outputs};
use crate::engine::graph::{Conv, Linear, Op, Shape, Window};
use crate::engine::onnx::{LoadError, text};

impl Lowering {
    /// Gemm or MatMul.
    pub(super) fn linear(&mut self, call: &Call) -> Result<Activation, LoadError> {
        let node = call.node;
        let activation = self.activation(call, 0)?;
        let shape = self.shape(&activation);
        let gemm = node.operator == "Gemm";
        let pointwise = !gemm && shape.pixels() != 1 && activation.axes.ends_with_channels();
        if pointwise {
            return self.pointwise(call, activation, shape);
        }
        if !activation.axes.is_flat(shape) || (gemm && activation.axes.rank() != 2) {
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
        if inputs != shape.len() {
            let what = format!("weights {} do not fit {} features", text::list(dims), shape.len());
            return Err(node.malformed(what));
        }
        check_outputs(call, outputs)?;
        let weights = if transposed { weights.to_vec() } else { transpose(weights, outputs) };
        let weights = weights.into_iter().map(|weight| weight * alpha).collect();
        let bias = if gemm { call.bias(2, outputs)? } else { vec![0.0; outputs] };
        let bias = bias.into_iter().map(|bias| bias * beta).collect();
        let op = Op::Linear(Linear { weights, bias });
        let id = self.push(call, op, vec![activation.id], Shape { channels: outputs, height: 1, width: 1 });
        Ok(Activation::of(id, activation.axes.with_features()))
    }
}

impl Lowering {
    /// A product with the last axis where that has the channels of each pixel: a 1x1 convolution.
    fn pointwise(&mut self, call: &Call, activation: Activation, shape: Shape) -> Result<Activation, LoadError> {
        let (dims, weights) = call.weights(1)?;
        let &[inputs, outputs] = dims else {
            return Err(call.node.malformed(format!("weights {} are not a matrix", text::list(dims))));
        };
        if inputs != shape.channels {
            let what = format!("weights {} do not fit {} channels", text::list(dims), shape.channels);
            return Err(call.node.malformed(what));
        }
        check_outputs(call, outputs)?;
        let (weights, bias) = (transpose(weights, outputs), vec![0.0; outputs]);
        let op = Op::Conv(Conv { weights, bias, window: Window::POINT });
        let id = self.push(call, op, vec![activation.id], Shape { channels: outputs, ..shape });
        Ok(Activation::of(id, activation.axes))
    }
}

/// `[rows, columns]` of a matrix with `columns` columns become `[columns, rows]`.
fn transpose(values: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns).copied()).collect()
}
