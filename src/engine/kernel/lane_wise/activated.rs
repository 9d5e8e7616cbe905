//! A layer and the activation function of its values, which replaces them in place while the caches hold them.

use super::{LaneWise, run};
use crate::engine::buffer::BufferLayout;
use crate::engine::graph::Function;
use crate::engine::kernel::function::{Erf, Formula, Gelu, GeluTanh, HardSwish, LeakyRelu, Sigmoid, Swish, Tanh};
use crate::engine::kernel::simd::Simd;
use crate::engine::kernel::{Context, Step};

/// A step, and a function of what it computes.
///
/// A step computes whole blocks, and those that a width cuts again: no block that is read here has been replaced before.
#[derive(Debug)]
pub(crate) struct ActivatedStep {
    pub(crate) step: Box<dyn Step>,
    pub(crate) function: Function,
}

impl Step for ActivatedStep {
    fn output(&self) -> &BufferLayout {
        self.step.output()
    }

    fn run(&self, context: &mut Context<'_>, items: &mut [&mut [f32]], from: usize, to: usize) {
        self.step.run(context, items, from, to);
        run(self, context.set, items, from, to);
    }

    fn packed_bytes(&self) -> usize {
        self.step.packed_bytes()
    }
}

impl LaneWise for ActivatedStep {
    fn layout(&self) -> &BufferLayout {
        self.step.output()
    }

    #[inline(always)]
    fn row<S: Simd>(&self, simd: S, _before: &[f32], output: &mut [f32], _at: (usize, usize, usize)) {
        let BufferLayout { lanes, shape, .. } = *self.layout();
        let (pixels, step) = (shape.width, lanes);
        match self.function {
            Function::LeakyRelu { slope } => replace(simd, LeakyRelu { slope }, output, pixels, step),
            Function::Sigmoid => replace(simd, Sigmoid, output, pixels, step),
            Function::Tanh => replace(simd, Tanh, output, pixels, step),
            Function::Erf => replace(simd, Erf, output, pixels, step),
            Function::Swish { factor } => replace(simd, Swish { factor }, output, pixels, step),
            Function::HardSwish => replace(simd, HardSwish, output, pixels, step),
            Function::Gelu => replace(simd, Gelu, output, pixels, step),
            Function::GeluTanh => replace(simd, GeluTanh, output, pixels, step),
        }
    }
}

/// Replaces a vector of each of some pixels, which are `step` floats apart.
#[inline(always)]
fn replace<S: Simd, F: Formula>(simd: S, formula: F, row: &mut [f32], pixels: usize, step: usize) {
    for pixel in 0..pixels {
        let lanes = &mut row[pixel * step..];
        let value = formula.of(simd, simd.read(lanes));
        simd.write(lanes, value);
    }
}
