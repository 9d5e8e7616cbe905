//! One convolution by tiles, beside the sum that defines it.

use proptest::prelude::*;

use super::*;
use crate::engine::graph::Window;
use crate::engine::pack::FanIn;
use crate::engine::triangle::Triangle;

/// A convolution with its input: planes with a border of NaN, which no kernel may read.
#[derive(Debug, Clone)]
struct Case {
    input: Shape,
    outputs: usize,
    triangular: bool,
    before: [usize; 2],
    after: [usize; 2],
    pooled: bool,
    seed: u32,
}

fn cases() -> impl Strategy<Value = Case> {
    let sides = || prop_oneof![3 => 3usize..20, 1 => prop::sample::select(vec![5, 7, 14, 28, 32])];
    let padding = || prop::array::uniform2(0usize..3);
    (8usize..50, sides(), sides(), 1usize..50, any::<bool>(), padding(), padding(), any::<bool>(), any::<u32>())
        .prop_map(|(channels, height, width, outputs, triangular, before, after, pooled, seed)| {
            let input = Shape { channels, height, width };
            Case { input, outputs, triangular, before, after, pooled, seed }
        })
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

impl Case {
    /// The step, and an item with its input; `None` if the window does not fit, or no tiling does.
    fn step(&self) -> Option<(WinogradStep, Conv, Vec<f32>)> {
        let window = Window { kernel: [3, 3], stride: [1, 1], before: self.before, after: self.after };
        let [height, width] = window.output(self.input.height, self.input.width)?;
        let channels = self.input.channels;
        let mut weights = numbers(self.seed, self.outputs * channels * 9);
        for (at, weight) in weights.iter_mut().enumerate() {
            let (row, input) = (at / 9 / channels, at / 9 % channels);
            if self.triangular && !Triangle::new(channels, self.outputs).connects(row, input) {
                *weight = 0.0;
            }
        }
        let conv = Conv { weights, bias: numbers(self.seed ^ 0xff, self.outputs), window };
        let shape = Shape { channels: self.outputs, height, width };
        let tiling = tiling(&conv, self.input, shape)?;
        let pooled = self.pooled && height % 2 == 0 && width % 2 == 0;
        let factor = if pooled { 2 } else { 1 };
        let buffer = |shape: Shape, start: usize| {
            let pitch = shape.width + 3;
            let plane = (shape.height + 2) * pitch;
            BufferLayout { shape, sliced: true, start, plane, origin: pitch + 1, pitch, border: true }
        };
        let input = buffer(self.input, 0);
        let output = buffer(Shape { height: height / factor, width: width / factor, ..shape }, channels * input.plane);
        let mut item = vec![f32::NAN; output.start + self.outputs * output.plane];
        let pixels = numbers(self.seed ^ 0xaaaa, self.input.len());
        for (line, row) in pixels.chunks_exact(self.input.width).enumerate() {
            let at = input.row(line / self.input.height, line % self.input.height);
            item[at..at + self.input.width].copy_from_slice(row);
        }
        let fan_in = FanIn { inputs: channels, outputs: self.outputs, triangular: self.triangular };
        let pooling = pooled.then(|| Pooling::new(Clamp { low: -1.0, high: 1.5 }, None, self.outputs));
        let packed = PackedWinograd::new(&conv, fan_in, tiling);
        Some((WinogradStep { packed, input, output, before: self.before, pooling, clamp: Clamp::RELU }, conv, item))
    }
}

/// The output's pixel, in double precision.
fn expected(step: &WinogradStep, conv: &Conv, item: &[f32], (channel, y, x): (usize, usize, usize)) -> f64 {
    let Shape { channels, height, width } = step.input.shape;
    let sum = |y: usize, x: usize| {
        let mut sum = f64::from(conv.bias[channel]);
        for (input, ky, kx) in (0..channels).flat_map(|c| (0..9).map(move |tap| (c, tap / 3, tap % 3))) {
            let (y, x) = ((y + ky).wrapping_sub(step.before[0]), (x + kx).wrapping_sub(step.before[1]));
            if y < height && x < width {
                let weight = conv.weights[(channel * channels + input) * 9 + 3 * ky + kx];
                sum += f64::from(weight) * f64::from(item[step.input.row(input, y) + x]);
            }
        }
        sum
    };
    match step.pooling {
        None => sum(y, x).max(0.0),
        Some(_) => {
            let largest = (0..4).map(|at| sum(2 * y + at / 2, 2 * x + at % 2)).fold(f64::MIN, f64::max);
            largest.clamp(-1.0, 1.5).max(0.0)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn tiles_sum_what_the_convolution_defines(case in cases()) {
        let Some((step, conv, item)) = case.step() else { return Ok(()) };
        let scale = (9 * case.input.channels) as f64;
        for set in InstructionSet::available() {
            let mut ours = item.clone();
            step.run(set, &mut ours, &mut vec![], 0, case.outputs);
            let Shape { height, width, .. } = step.output.shape;
            for (channel, y, x) in (0..case.outputs).flat_map(|c| (0..height * width).map(move |at| (c, at / width, at % width))) {
                let (found, sum) = (ours[step.output.start + step.output.row(channel, y) + x], expected(&step, &conv, &item, (channel, y, x)));
                prop_assert!((f64::from(found) - sum).abs() <= 1e-5 * scale, "{set:?} {channel} {y} {x}: {found}, not {sum}");
            }
            // Nothing else is written.
            let written = ours[step.output.start..].iter().filter(|value| !value.is_nan()).count();
            prop_assert_eq!(written, step.output.shape.len());
        }
    }

    /// In any steps, and whatever the scratch holds.
    #[test]
    fn channels_in_steps_have_the_bits_of_all_at_once(case in cases(), cuts in prop::collection::vec(0usize..50, 0..4)) {
        let Some((step, _, item)) = case.step() else { return Ok(()) };
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(case.outputs)).chain([0, case.outputs]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        for set in InstructionSet::available() {
            let (mut once, mut steps, mut scratch) = (item.clone(), item.clone(), vec![f32::NAN; 1 << 16]);
            step.run(set, &mut once, &mut vec![], 0, case.outputs);
            for pair in cuts.windows(2) {
                step.run(set, &mut steps, &mut scratch, pair[0], pair[1]);
            }
            prop_assert!(once.iter().zip(&steps).all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())), "{set:?}");
        }
    }
}
