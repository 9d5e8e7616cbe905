//! Bounds: ReLU, ReLU6, and the maximum or minimum with a number.

use super::{Activation, Call, Lowering, Value};
use crate::engine::graph::{Clamp, Op};
use crate::engine::onnx::LoadError;

impl Lowering {
    /// Lowers Relu and Clip. Either bound of Clip may be missing.
    pub(super) fn clamp(&mut self, call: &Call) -> Result<Activation, LoadError> {
        if call.node.operator == "Relu" {
            return self.push_clamp(call, 0, Clamp::RELU);
        }
        let low = call.scalar(1)?.unwrap_or(f32::NEG_INFINITY);
        self.push_clamp(call, 0, Clamp { low, high: call.scalar(2)?.unwrap_or(f32::INFINITY) })
    }

    /// Lowers Max and Min of an activation and numbers.
    pub(super) fn bound(&mut self, call: &Call) -> Result<Activation, LoadError> {
        let mut clamp = Clamp::NONE;
        let mut activation = None;
        for (index, input) in call.inputs.iter().enumerate() {
            let only_numbers = || {
                let what = format!("{} of an activation and anything but a number", call.node.operator);
                call.node.unsupported(what, "with one number is, such as torch.relu and clamp")
            };
            let bound = match input {
                Value::Activation(_) if activation.is_none() => {
                    activation = Some(index);
                    continue;
                }
                Value::Constant(_) => {
                    let values = call.weights(index)?.1;
                    values
                        .first()
                        .copied()
                        .filter(|first| values.iter().all(|value| value == first))
                        .ok_or_else(only_numbers)?
                }
                _ => return Err(only_numbers()),
            };
            match call.node.operator.as_str() {
                "Max" => clamp.low = clamp.low.max(bound),
                _ => clamp.high = clamp.high.min(bound),
            }
        }
        self.push_clamp(call, activation.unwrap_or(0), clamp)
    }

    /// Adds a clamp of input `index`.
    pub(super) fn push_clamp(&mut self, call: &Call, index: usize, clamp: Clamp) -> Result<Activation, LoadError> {
        if clamp.low.is_nan() || clamp.high.is_nan() || clamp.low > clamp.high {
            let what = format!("the bounds {} and {} leave nothing", clamp.low, clamp.high);
            return Err(call.node.malformed(what));
        }
        // Bounds that map zero to zero commute with pending zero padding.
        let activation = match clamp.apply(0.0) == 0.0 {
            true => call.activation(index)?.clone(),
            false => self.activation(call, index)?,
        };
        if clamp == Clamp::NONE {
            return Ok(activation);
        }
        let shape = self.shape(&activation);
        Ok(Activation { id: self.push(call, Op::Clamp(clamp), vec![activation.id], shape), ..activation })
    }
}
