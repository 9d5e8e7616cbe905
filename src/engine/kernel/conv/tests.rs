//! Every algorithm for a convolution, beside the sum that defines it.

use proptest::prelude::*;

use super::*;
use crate::engine::graph::{Clamp, PoolKind, Window};
use crate::engine::kernel::simd::InstructionSet;
use crate::engine::kernel::{Context, Pooling, Scratch};
use crate::engine::triangle::Triangle;

/// A convolution. Lanes of channels that are not active are NaN.
#[derive(Debug, Clone)]
struct Case {
    input: Shape,
    sliced: bool,
    outputs: usize,
    window: Window,
    pooled: bool,
    residual: bool,
    items: usize,
    seed: u32,
}

/// A [`Case`] whose channels may be computed in steps that end at these.
type Steps = (Case, Vec<usize>);

fn windows() -> impl Strategy<Value = Window> {
    let common = prop::sample::select(vec![1usize, 3, 3, 3, 5, 5, 7]).prop_map(|side| [side; 2]);
    let kernels = prop_oneof![3 => common, 1 => prop::array::uniform2(1usize..6)];
    let strides = prop_oneof![3 => Just([1; 2]), 1 => prop::array::uniform2(1usize..4)];
    let dilations = prop_oneof![3 => Just([1; 2]), 1 => prop::array::uniform2(1usize..4)];
    (kernels, strides, dilations, prop::array::uniform2(0usize..3), prop::array::uniform2(0usize..3)).prop_map(
        |(kernel, stride, dilation, before, after)| {
            let least = |pad: [usize; 2]| [pad[0].min(kernel[0] - 1), pad[1].min(kernel[1] - 1)];
            Window { kernel, stride, dilation, before: least(before), after: least(after) }
        },
    )
}

fn cases() -> impl Strategy<Value = Steps> {
    let sides = || prop_oneof![3 => 1usize..20, 1 => prop::sample::select(vec![5, 7, 14, 28, 32])];
    let channels = prop_oneof![1usize..5, 8usize..50];
    let shape = (channels, sides(), sides()).prop_map(|(channels, height, width)| Shape { channels, height, width });
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let cuts = prop::collection::vec(1usize..60, 0..4);
    (shape, flags, 1usize..60, windows(), 1usize..6, any::<u32>(), cuts).prop_map(
        |(input, (sliced, pooled, residual), outputs, window, items, seed, cuts)| {
            let mut ends: Vec<usize> = cuts.into_iter().map(|cut| cut.min(outputs)).chain([outputs]).collect();
            ends.sort_unstable();
            ends.dedup();
            (Case { input, sliced, outputs, window, pooled, residual, items, seed }, ends)
        },
    )
}

/// Numbers from -1 to 1.
fn numbers(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / (1u32 << 31) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// A step, the layout of its input and of what is added, and the memory of its items.
struct Made {
    step: Box<dyn Step>,
    input: BufferLayout,
    residual: Option<BufferLayout>,
    pooled: bool,
    items: Vec<Vec<f32>>,
}

impl Case {
    /// The convolution and the shape of its output; `None` if the window does not fit.
    fn conv(&self) -> Option<(Conv, Shape)> {
        let [height, width] = self.window.output(self.input.height, self.input.width)?;
        let (channels, area) = (self.input.channels, self.window.area());
        let mut weights = numbers(self.seed, self.outputs * channels * area);
        for (at, weight) in weights.iter_mut().enumerate() {
            let (row, input) = (at / area / channels, at / area % channels);
            if self.sliced && !Triangle::new(channels, self.outputs).connects(row, input) {
                *weight = 0.0;
            }
        }
        let conv = Conv { weights, bias: numbers(self.seed ^ 0xff, self.outputs), window: self.window };
        Some((conv, Shape { channels: self.outputs, height, width }))
    }

    fn make(&self, layer: &Layer<'_>, algorithm: Algorithm, precision: Precision) -> Made {
        let halves = Window { kernel: [2; 2], stride: [2; 2], ..Window::POINT };
        let pooled = self.pooled && algorithm.pools(&Pool { kind: PoolKind::Max, window: halves }, layer.output);
        let factor = if pooled { 2 } else { 1 };
        let shape = Shape { height: layer.output.height / factor, width: layer.output.width / factor, ..layer.output };
        let input = BufferLayout::new(self.input, self.sliced, algorithm.border(layer), 0);
        let other = Border { before: [1, 0], after: [0, 2] };
        let residual = BufferLayout::new(shape, true, other, input.len().next_multiple_of(BLOCK));
        let output =
            BufferLayout::new(shape, true, Border { before: [0, 1], ..other }, residual.start + residual.len());
        let residual = (self.residual && !pooled).then_some(residual);
        let pooling = pooled.then(|| Pooling::new(Clamp { low: -1.0, high: 1.5 }, None, self.outputs));
        let epilogue = Epilogue::new(&layer.conv.bias, residual, pooling, Clamp::RELU);
        let item = |index: usize| {
            let mut item = vec![f32::NAN; output.start + output.len()];
            for (value, seed) in [Some(input), residual].into_iter().flatten().zip([0xaaaa, 0xbbbb]) {
                value.clear_border(&mut item);
                fill(
                    &value,
                    &mut item,
                    &numbers(self.seed ^ seed ^ index as u32, value.shape.len()),
                    0..value.shape.channels,
                );
            }
            item
        };
        let items = (0..self.items).map(item).collect();
        Made { step: algorithm.pack(layer, precision, input, output, epilogue), input, residual, pooled, items }
    }
}

/// Writes some channels of an image, `[C, H, W]`.
fn fill(value: &BufferLayout, item: &mut [f32], image: &[f32], channels: std::ops::Range<usize>) {
    let Shape { height, width, .. } = value.shape;
    for (c, y, x) in channels.flat_map(|c| (0..height * width).map(move |at| (c, at / width, at % width))) {
        item[pixel(value, c, y, x)] = image[(c * height + y) * width + x];
    }
}

/// Offset of a pixel in an item.
fn pixel(value: &BufferLayout, c: usize, y: usize, x: usize) -> usize {
    value.row(c / value.lanes, y) + x * value.lanes + c % value.lanes
}

/// The output's pixel, in double precision.
fn expected(made: &Made, conv: &Conv, item: &[f32], (c, y, x): (usize, usize, usize)) -> f64 {
    let Shape { channels, height, width } = made.input.shape;
    let Window { kernel, stride, dilation, before, .. } = conv.window;
    let sum = |y: usize, x: usize| {
        let mut sum = f64::from(conv.bias[c]);
        for (input, tap) in (0..channels).flat_map(|input| (0..conv.window.area()).map(move |tap| (input, tap))) {
            let tap_at = [tap / kernel[1] * dilation[0], tap % kernel[1] * dilation[1]];
            let (y, x) = (y * stride[0] + tap_at[0], x * stride[1] + tap_at[1]);
            let (y, x) = (y.wrapping_sub(before[0]), x.wrapping_sub(before[1]));
            let weight = conv.weights[(c * channels + input) * conv.window.area() + tap];
            if y < height && x < width && weight != 0.0 {
                sum += f64::from(weight) * f64::from(item[pixel(&made.input, input, y, x)]);
            }
        }
        sum
    };
    if made.pooled {
        let largest = (0..4).map(|at| sum(2 * y + at / 2, 2 * x + at % 2)).fold(f64::MIN, f64::max);
        return largest.clamp(-1.0, 1.5).max(0.0);
    }
    (sum(y, x) + made.residual.map_or(0.0, |value| f64::from(item[pixel(&value, c, y, x)]))).max(0.0)
}

/// All algorithms that support a layer, with their precisions.
fn algorithms(layer: &Layer<'_>) -> Vec<(Algorithm, Precision)> {
    let tilings = Tiling::ALL.into_iter().filter(|&tiling| winograd::supports(layer, tiling)).map(Algorithm::Winograd);
    let all = tilings.flat_map(|tiling| Precision::ALL.map(|precision| (tiling, precision)));
    all.chain([(Algorithm::Direct, Precision::F32)]).collect()
}

/// Computes channels `from..to` of some items.
fn run(step: &dyn Step, set: InstructionSet, items: &mut [Vec<f32>], from: usize, to: usize) {
    let mut scratch = Scratch::default();
    scratch.tiles.first(1 << 12).fill(f32::NAN);
    let mut items: Vec<&mut [f32]> = items.iter_mut().map(Vec::as_mut_slice).collect();
    step.run(&mut Context { set, scratch: &mut scratch }, &mut items, from, to);
}

/// The values of some channels of the output.
fn outputs(step: &dyn Step, item: &[f32], channels: usize) -> Vec<(usize, usize, usize, f32)> {
    let Shape { height, width, .. } = step.output().shape;
    let positions = (0..channels).flat_map(|c| (0..height * width).map(move |at| (c, at / width, at % width)));
    positions.map(|(c, y, x)| (c, y, x, item[pixel(step.output(), c, y, x)])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn every_algorithm_computes_the_sum_that_defines_a_convolution((case, ends) in cases()) {
        let Some((conv, output)) = case.conv() else { return Ok(()) };
        let layer = Layer { conv: &conv, input: case.input, sliced: case.sliced, output };
        let products = (conv.window.area() * case.input.channels) as f64;
        for (algorithm, precision) in algorithms(&layer) {
            let made = case.make(&layer, algorithm, precision);
            let tolerance = match precision {
                Precision::F32 => 1e-5 * products,
                // The transforms enlarge the rounding errors of bfloat16, which add up at random.
                Precision::Bf16 => 0.25 * products.sqrt(),
            };
            // Only the channels that these outputs read exist.
            let (to, mut items) = (ends[0], made.items.clone());
            let active = if case.sliced { layer.fan_in().of(to - 1) } else { case.input.channels };
            for item in &mut items {
                let nothing = vec![f32::NAN; case.input.len()];
                fill(&made.input, item, &nothing, active..case.input.channels);
            }
            for set in InstructionSet::available() {
                let mut computed = items.clone();
                run(&*made.step, set, &mut computed, 0, to);
                for (before, after) in items.iter().zip(&computed) {
                    for (c, y, x, found) in outputs(&*made.step, after, to) {
                        let sum = expected(&made, &conv, before, (c, y, x));
                        let close = (f64::from(found) - sum).abs() <= tolerance;
                        prop_assert!(close, "{algorithm:?} {precision} {set:?} {c} {y} {x}: {found}, not {sum}");
                    }
                    // Borders, and blocks that are not asked for, are not written.
                    let layout = made.step.output();
                    let end = layout.start + to.div_ceil(BLOCK) * layout.block;
                    prop_assert!(after[end..].iter().all(|value| value.is_nan()));
                    let written = after[layout.start..end].iter().filter(|value| !value.is_nan()).count();
                    prop_assert!(written <= to.next_multiple_of(BLOCK) * layout.shape.pixels());
                }
            }
        }
    }

    /// In any steps, in any company, with any instructions, and whatever the scratch holds.
    #[test]
    fn channels_in_steps_and_items_together_have_the_same_bits((case, ends) in cases()) {
        let Some((conv, output)) = case.conv() else { return Ok(()) };
        let layer = Layer { conv: &conv, input: case.input, sliced: case.sliced, output };
        for (algorithm, precision) in algorithms(&layer) {
            let made = case.make(&layer, algorithm, precision);
            let mut all = vec![];
            for set in InstructionSet::available() {
                let (mut once, mut steps) = (made.items.clone(), made.items.clone());
                for item in &mut once {
                    run(&*made.step, set, std::slice::from_mut(item), 0, case.outputs);
                }
                let mut from = 0;
                for &to in &ends {
                    run(&*made.step, set, &mut steps, from, to);
                    from = to;
                }
                let bits = |items: &[Vec<f32>]| {
                    let values = items.iter().flat_map(|item| outputs(&*made.step, item, case.outputs));
                    values.map(|value| value.3.to_bits()).collect::<Vec<_>>()
                };
                prop_assert_eq!(bits(&once), bits(&steps), "{:?} {} {:?}", algorithm, precision, set);
                // Portable code multiplies and adds in two roundings.
                if set != InstructionSet::Portable {
                    all.push((set, bits(&once)));
                }
            }
            for (set, bits) in &all {
                prop_assert!(*bits == all[0].1, "{algorithm:?} {precision} {set:?} and {:?}", all[0].0);
            }
        }
    }
}

/// The choice that the measurements behind the cost ask for.
#[test]
fn the_cheapest_algorithm_computes_a_layer() {
    let chosen = |inputs: usize, outputs: usize, side: usize, kernel: usize, pad: usize, sliced: bool| {
        let window = Window { kernel: [kernel; 2], before: [pad; 2], after: [pad; 2], ..Window::POINT };
        let conv = Conv { weights: vec![], bias: vec![], window };
        let input = Shape { channels: inputs, height: side, width: side };
        let output = side + 2 * pad + 1 - kernel;
        let output = Shape { channels: outputs, height: output, width: output };
        Algorithm::of(&Layer { conv: &conv, input, sliced, output })
    };
    assert_eq!(chosen(3, 32, 32, 3, 1, false), Algorithm::Direct);
    assert_eq!(chosen(32, 64, 32, 3, 1, true), Algorithm::Winograd(Tiling::Four));
    assert_eq!(chosen(128, 256, 8, 3, 1, true), Algorithm::Winograd(Tiling::Four));
    assert_eq!(chosen(256, 256, 4, 3, 1, true), Algorithm::Winograd(Tiling::Two));
    assert_eq!(chosen(256, 256, 2, 3, 1, true), Algorithm::Direct);
    assert_eq!(chosen(45, 45, 12, 5, 0, true), Algorithm::Winograd(Tiling::TwoOfFive));
    assert_eq!(chosen(64, 128, 14, 1, 0, true), Algorithm::Direct);
}
