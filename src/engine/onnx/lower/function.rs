//! Activation functions, each a node of its own; [`super::recognise`] finds those that are written as several.

use super::{Activation, Call, Lowering};
use crate::engine::graph::{Affine, Clamp, Function, Op};
use crate::engine::onnx::{LoadError, text};

impl Lowering {
    /// Lowers LeakyRelu, Sigmoid, Tanh, Erf, HardSwish, Swish and Gelu.
    pub(super) fn function(&mut self, call: &Call) -> Result<Activation, LoadError> {
        let node = call.node;
        let function = match node.operator.as_str() {
            "LeakyRelu" => match number(call, "alpha", 0.01)? {
                0.0 => return self.push_clamp(call, 0, Clamp::RELU),
                slope => Function::LeakyRelu { slope },
            },
            "Sigmoid" => Function::Sigmoid,
            "Tanh" => Function::Tanh,
            "Erf" => Function::Erf,
            "HardSwish" => Function::HardSwish,
            "Swish" => Function::Swish { factor: number(call, "alpha", 1.0)? },
            _ => match node.text("approximate", "none")? {
                "none" => Function::Gelu,
                "tanh" => Function::GeluTanh,
                other => return Err(node.malformed(format!("approximate {} is unknown to ONNX", text::name(other)))),
            },
        };
        // Functions that map zero to zero commute with pending zero padding.
        let activation = match function {
            Function::Sigmoid => self.activation(call, 0)?,
            _ => call.activation(0)?.clone(),
        };
        let shape = self.shape(&activation);
        Ok(Activation { id: self.push(call, Op::Function(function), vec![activation.id], shape), ..activation })
    }

    /// Lowers HardSigmoid, `min(max(alpha * x + beta, 0), 1)`: a layer before it takes the rescaling into its weights.
    pub(super) fn hard_sigmoid(&mut self, call: &Call) -> Result<Activation, LoadError> {
        let (alpha, beta) = (number(call, "alpha", 0.2)?, number(call, "beta", 0.5)?);
        let activation = self.activation(call, 0)?;
        let shape = self.shape(&activation);
        let affine = Affine { scale: vec![alpha; shape.channels], shift: vec![beta; shape.channels] };
        let rescaled = self.affine(call, activation, affine)?;
        let id = self.push(call, Op::Clamp(Clamp { low: 0.0, high: 1.0 }), vec![rescaled.id], shape);
        Ok(Activation { id, ..rescaled })
    }

    /// Lowers Pow with an exponent of 1, 2 or 3.
    pub(super) fn power(&mut self, call: &Call) -> Result<Activation, LoadError> {
        let activation = self.activation(call, 0)?;
        let constant = call.constant(1)?.ok_or_else(|| call.node.malformed("input 1 is missing"))?;
        let integers = constant.known().map(|powers| powers.iter().map(|&power| power as f32).collect());
        let exponents = constant.as_floats().map(<[f32]>::to_vec).or(integers).unwrap_or_default();
        let factors = match exponents[..] {
            [1.0] => 0,
            [2.0] => 1,
            [3.0] => 2,
            _ => {
                let what = format!("Pow with the exponents {}", text::list(&exponents));
                return Err(call.node.unsupported(what, "an exponent of 1, 2 or 3 is"));
            }
        };
        let (shape, base) = (self.shape(&activation), activation.id);
        let id = (0..factors).fold(base, |power, _| self.push(call, Op::Mul, vec![base, power], shape));
        Ok(Activation { id, ..activation })
    }
}

/// An attribute that must be a finite number.
fn number(call: &Call, name: &str, default: f32) -> Result<f32, LoadError> {
    let number = call.node.float(name, default)?;
    if number.is_finite() {
        Ok(number)
    } else {
        Err(call.node.malformed(format!("{name} is {number}, not a finite number")))
    }
}
