//! Rescaling by constants, BatchNorm, and the sum or product of two activations.

use super::{Activation, Call, Lowering, Value};
use crate::engine::graph::{Affine, Op};
use crate::engine::onnx::axes::Axis;
use crate::engine::onnx::{LoadError, text};

impl Lowering {
    pub(super) fn batch_norm(&mut self, call: &Call) -> Result<Activation, LoadError> {
        let node = call.node;
        let activation = self.activation(call, 0)?;
        let shape = self.shape(&activation);
        let is_channels = |axis: &Axis| axis.len(shape) == shape.channels && (axis.covers(0) || shape.channels == 1);
        let channels = activation.axes.0.get(1).is_some_and(is_channels);
        if !channels || (activation.axes.is_flat(shape) && shape.pixels() != 1) {
            return Err(node.unsupported("BatchNorm after flattening", "before it, per channel, is"));
        }
        let epsilon = node.float("epsilon", 1e-5)?;
        let row = |index| call.row(index, shape.channels);
        let (gain, offset, mean, variance) = (row(1)?, row(2)?, row(3)?, row(4)?);
        // BatchNorm (Ioffe and Szegedy, 2015): gain * (x - mean) / sqrt(variance + epsilon) + offset.
        let scale: Vec<f32> = gain.iter().zip(&variance).map(|(gain, var)| gain / (var + epsilon).sqrt()).collect();
        let shift = offset.iter().zip(&mean).zip(&scale).map(|((offset, mean), scale)| offset - mean * scale).collect();
        self.affine(call, activation, Affine { scale, shift })
    }

    /// Adds or multiplies two activations, or rescales one by constants.
    pub(super) fn arithmetic(&mut self, call: &Call) -> Result<Activation, LoadError> {
        let node = call.node;
        let operator = if node.operator == "Sum" { "Add" } else { &node.operator };
        let (constant, at) = match &call.inputs[..] {
            [Value::Activation(_), Value::Constant(constant)] => (constant, 0),
            [Value::Constant(constant), Value::Activation(_)] => (constant, 1),
            [Value::Activation(_), Value::Activation(_)] if matches!(operator, "Add" | "Sub") => return self.sum(call),
            [Value::Activation(_), Value::Activation(_)] if operator == "Mul" => return self.product(call),
            [_, _] => return Err(node.unsupported(format!("{operator} of two values"), "Add or Mul is, or a constant")),
            inputs => return Err(node.unsupported(format!("{operator} of {} values", inputs.len()), "of two is")),
        };
        let activation = self.activation(call, at)?;
        let shape = self.shape(&activation);
        let values = constant.as_floats().ok_or_else(|| node.malformed("its constant is not float32"))?;
        let row = activation.axes.per_channel(shape, &constant.dims, values).ok_or_else(|| {
            let what = format!("a constant {} for {}", text::list(&constant.dims), activation.axes.describe(shape));
            node.unsupported(what, "one number per channel is")
        })?;
        let count = row.len();
        let (scale, shift): (Vec<f32>, Vec<f32>) = match (operator, at) {
            ("Add", _) => (vec![1.0; count], row),
            ("Sub", 0) => (vec![1.0; count], row.iter().map(|c| -c).collect()),
            ("Sub", _) => (vec![-1.0; count], row),
            ("Mul", _) => (row, vec![0.0; count]),
            ("Div", 0) => (row.iter().map(|c| 1.0 / c).collect(), vec![0.0; count]),
            _ => return Err(node.unsupported("division by a value", "division by a constant is")),
        };
        self.affine(call, activation, Affine { scale, shift })
    }

    /// Adds a rescaling.
    pub(super) fn affine(
        &mut self,
        call: &Call,
        activation: Activation,
        affine: Affine,
    ) -> Result<Activation, LoadError> {
        if !affine.scale.iter().chain(&affine.shift).all(|number| number.is_finite()) {
            return Err(call.node.malformed("its constants are not finite numbers, or a variance is negative"));
        }
        let shape = self.shape(&activation);
        Ok(Activation { id: self.push(call, Op::Affine(affine), vec![activation.id], shape), ..activation })
    }

    /// Negates an activation.
    pub(super) fn negated(&mut self, call: &Call) -> Result<Activation, LoadError> {
        let activation = self.activation(call, 0)?;
        self.negative(call, activation)
    }

    fn negative(&mut self, call: &Call, activation: Activation) -> Result<Activation, LoadError> {
        let channels = self.shape(&activation).channels;
        self.affine(call, activation, Affine { scale: vec![-1.0; channels], shift: vec![0.0; channels] })
    }

    /// Adds two activations; for `Sub` it negates the second.
    fn sum(&mut self, call: &Call) -> Result<Activation, LoadError> {
        let (a, mut b) = (self.activation(call, 0)?, self.activation(call, 1)?);
        if call.node.operator == "Sub" {
            b = self.negative(call, b)?;
        }
        let (left, right) = (&self.nodes[a.id], &self.nodes[b.id]);
        let shape = left.shape;
        if left.shape != right.shape || !a.axes.matches(&b.axes, shape) {
            let (left, right) = (a.axes.describe(left.shape), b.axes.describe(right.shape));
            let what = format!("{} of {left} and {right}", call.node.operator);
            return Err(call.node.unsupported(what, "of equal shapes is"));
        }
        self.check_kinds(call, &a, &b)?;
        Ok(Activation { id: self.push(call, Op::Add, vec![a.id, b.id], shape), ..a })
    }

    /// Multiplies two activations of equal shapes, or one with a factor for each channel, as squeeze-and-excitation does.
    fn product(&mut self, call: &Call) -> Result<Activation, LoadError> {
        let (a, b) = (self.factor(call, 0)?, self.factor(call, 1)?);
        let (a, b) = if self.shape(&a).pixels() >= self.shape(&b).pixels() { (a, b) } else { (b, a) };
        let (shape, factor) = (self.shape(&a), self.shape(&b));
        let fits = match (&a.expanded, &b.expanded) {
            (None, None) if factor == shape => a.axes.matches(&b.axes, shape),
            (None, None) => a.axes.scaled_by(shape, &b.axes, factor),
            (None, Some(dims)) => *dims == a.axes.dims(shape, self.batch) && a.axes.scaled_by(shape, &b.axes, factor),
            (Some(_), _) => false,
        };
        if !fits {
            let what = format!("{} of {} and {}", call.node.operator, a.axes.describe(shape), b.axes.describe(factor));
            return Err(call.node.unsupported(what, "of equal shapes is, or with one number for each channel"));
        }
        self.check_kinds(call, &a, &b)?;
        Ok(Activation { id: self.push(call, Op::Mul, vec![a.id, b.id], shape), ..a })
    }

    /// Rejects two activations of which only one has fewer channels at narrower widths.
    fn check_kinds(&self, call: &Call, a: &Activation, b: &Activation) -> Result<(), LoadError> {
        if self.nodes[a.id].sliced == self.nodes[b.id].sliced {
            return Ok(());
        }
        let operator = &call.node.operator;
        let what = format!("{operator} of a value that has all channels at every width and one that has not");
        Err(call.node.unsupported(what, "two of a kind are"))
    }
}
