//! Every function beside its value in double precision, over the whole range of `f32`.

use crate::engine::buffer::{BLOCK, Border, BufferLayout};
use crate::engine::graph::{Clamp, Function, Shape};
use crate::engine::kernel::lane_wise::activated::ActivatedStep;
use crate::engine::kernel::lane_wise::elementwise::{ElementwiseStep, Other};
use crate::engine::kernel::simd::InstructionSet;
use crate::engine::kernel::{Context, Scratch, Step};

/// The functions, and their errors: in units in the last place, or in absolute terms.
const FUNCTIONS: [(Function, f64, f64); 11] = [
    (Function::LeakyRelu { slope: 0.01 }, 1.0, 0.0),
    (Function::LeakyRelu { slope: -1.5 }, 1.0, 0.0),
    (Function::Sigmoid, 3.0, SMALLEST),
    (Function::Tanh, 4.0, 0.0),
    (Function::Erf, 0.0, 1.0 / (1 << 21) as f64),
    (Function::Swish { factor: 1.0 }, 3.0, SMALLEST),
    (Function::Swish { factor: -1.0 }, 3.0, SMALLEST),
    (Function::HardSwish, 3.0, SMALLEST),
    (Function::Gelu, 4.0, TAIL),
    (Function::GeluTanh, 4.0, TAIL),
    (Function::Swish { factor: 1.702 }, 4.0, TAIL),
];
/// 2^-100
const SMALLEST: f64 = 1.0 / (1u128 << 100) as f64;
/// 2^-23
const TAIL: f64 = 1.0 / (1 << 23) as f64;

/// A step over one row of pixels that copies a value and then applies a function.
fn step(function: Function, pixels: usize) -> (BufferLayout, ActivatedStep) {
    let shape = Shape { channels: BLOCK, height: 1, width: pixels };
    let input = BufferLayout::new(shape, true, Border::default(), 0);
    let output = BufferLayout::new(shape, true, Border::default(), input.len());
    let step = ElementwiseStep::new(input, Other::None, output, None, Clamp::NONE);
    (output, ActivatedStep { step: Box::new(step), function })
}

/// The function of each number; their count is a multiple of a block.
fn values(set: InstructionSet, function: Function, numbers: &[f32]) -> Vec<f32> {
    let (output, step) = step(function, numbers.len() / BLOCK);
    let mut item = numbers.to_vec();
    item.resize(output.start + output.len(), f32::NAN);
    let scratch = &mut Scratch::default();
    step.run(&mut Context { set, scratch }, &mut [&mut item], 0, BLOCK);
    item.split_off(output.start)
}

/// Numbers of all magnitudes and both signs, a prime number of places apart, and the ends of the range.
fn numbers() -> Vec<f32> {
    let around = [0.0f32, 1e-45, f32::MIN_POSITIVE, 1.0, 3.0, 10.0, 88.72, 103.97, f32::MAX, f32::INFINITY];
    let mut numbers: Vec<f32> = around.into_iter().flat_map(|number| [number, -number]).collect();
    numbers.extend((0..=u32::MAX).step_by(4099).map(f32::from_bits));
    numbers.resize(numbers.len().next_multiple_of(BLOCK), 0.0);
    numbers
}

/// A unit in the last place of a number.
fn unit(number: f64) -> f64 {
    2f64.powi((number.abs().log2().floor().max(-126.0) as i32) - 23)
}

#[test]
fn every_function_is_close_to_its_value_in_double_precision() {
    let numbers = numbers();
    for (function, units, absolute) in FUNCTIONS {
        for set in InstructionSet::available() {
            for (&x, found) in numbers.iter().zip(values(set, function, &numbers)) {
                let exact = function.exact(x.into());
                if exact.is_nan() || (exact as f32).is_infinite() {
                    assert_eq!(found.to_string(), (exact as f32).to_string(), "{function:?} of {x} with {set:?}");
                    continue;
                }
                let error = (f64::from(found) - exact).abs();
                let allowed = absolute.max(units * unit(exact));
                assert!(error <= allowed, "{function:?} of {x} with {set:?}: {found} is not {exact}");
            }
        }
    }
}

#[test]
fn processors_with_fused_multiply_add_have_the_same_bits() {
    let numbers = numbers();
    for (function, ..) in FUNCTIONS {
        let bits = |set| values(set, function, &numbers).into_iter().map(|value| value + 0.0).collect::<Vec<_>>();
        let mut native = InstructionSet::available().into_iter().filter(|&set| set != InstructionSet::Portable);
        let Some(first) = native.next().map(bits) else { return };
        for set in native {
            let same = bits(set).iter().zip(&first).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()));
            assert!(same, "{function:?} with {set:?}");
        }
    }
}

#[test]
fn a_function_is_applied_inside_the_border_only() {
    let shape = Shape { channels: 20, height: 3, width: 2 };
    let border = Border { before: [1, 2], after: [2, 1] };
    let input = BufferLayout::new(shape, true, Border::default(), 0);
    let output = BufferLayout::new(shape, true, border, input.len());
    let inner = ElementwiseStep::new(input, Other::None, output, None, Clamp::NONE);
    let step = ActivatedStep { step: Box::new(inner), function: Function::Sigmoid };
    for set in InstructionSet::available() {
        let mut item = vec![0.0; output.start + output.len()];
        let scratch = &mut Scratch::default();
        step.run(&mut Context { set, scratch }, &mut [&mut item], 0, 20);
        let written = item[output.start..].iter().filter(|&&value| value == 0.5).count();
        let zeros = item[output.start..].iter().filter(|&&value| value == 0.0).count();
        // Lanes that do not exist may be written; the rest of the last block is.
        assert!((20 * 6..=32 * 6).contains(&written), "{set:?}: {written}");
        assert_eq!(written + zeros, output.len(), "{set:?}");
        let mut inside = item.clone();
        output.clear_border(&mut inside);
        assert_eq!(inside, item, "{set:?}");
    }
}
