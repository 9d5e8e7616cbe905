//! The test oracle: the simplest program that computes a network at a width.
//!
//! It slices the weights into a dense network of that width and reuses nothing between widths.

use std::f64::consts::{FRAC_2_SQRT_PI, PI, SQRT_2};

use super::graph::{Affine, Conv, Function, Graph, Linear, Op, Pool, PoolKind, Shape, Window};
use super::width::Width;

/// Channels, rows and columns in f64, so that its rounding errors are independent of the kernels'.
struct Value {
    shape: Shape,
    pixels: Vec<f64>,
}

impl Value {
    fn new(channels: usize, [height, width]: [usize; 2], pixel: impl Fn(usize, usize, usize) -> f64) -> Value {
        let shape = Shape { channels, height, width };
        let mut pixels = vec![];
        for c in 0..channels {
            for y in 0..height {
                pixels.extend((0..width).map(|x| pixel(c, y, x)));
            }
        }
        Value { shape, pixels }
    }

    /// A pixel; `None` outside the image.
    fn at(&self, c: usize, y: Option<usize>, x: Option<usize>) -> Option<f64> {
        let (y, x) = (y.filter(|&y| y < self.shape.height)?, x.filter(|&x| x < self.shape.width)?);
        Some(self.pixels[(c * self.shape.height + y) * self.shape.width + x])
    }
}

/// Logits of one image at a width.
pub(crate) fn logits(graph: &Graph, image: &[f32], width: Width) -> Vec<f64> {
    let mut values: Vec<Value> = vec![];
    for node in &graph.nodes {
        let channels = if node.sliced { width.active(node.shape.channels) } else { node.shape.channels };
        let extent = [node.shape.height, node.shape.width];
        let input = |at: usize| &values[node.inputs[at]];
        let value = match &node.op {
            Op::Input => Value { shape: node.shape, pixels: image.iter().copied().map(f64::from).collect() },
            Op::Conv(conv) => convolve(conv, input(0), channels, extent, false),
            Op::Depthwise(conv) => convolve(conv, input(0), channels, extent, true),
            Op::Linear(linear) => {
                Value { shape: Shape { channels, height: 1, width: 1 }, pixels: multiply(linear, input(0), channels) }
            }
            Op::Affine(Affine { scale, shift }) => Value::new(channels, extent, |c, y, x| {
                input(0).at(c, Some(y), Some(x)).unwrap() * f64::from(scale[c]) + f64::from(shift[c])
            }),
            Op::Clamp(clamp) => Value::new(channels, extent, |c, y, x| {
                let pixel = input(0).at(c, Some(y), Some(x)).unwrap();
                pixel.max(clamp.low.into()).min(clamp.high.into())
            }),
            Op::Function(function) => {
                Value::new(channels, extent, |c, y, x| function.exact(input(0).at(c, Some(y), Some(x)).unwrap()))
            }
            Op::Pool(pool) => Value::new(channels, extent, |c, y, x| pooled(pool, input(0), c, y, x)),
            Op::Add => Value::new(channels, extent, |c, y, x| {
                let at = |value: &Value| value.at(c, Some(y), Some(x)).unwrap();
                at(input(0)) + at(input(1))
            }),
            Op::Mul => Value::new(channels, extent, |c, y, x| {
                let factor = input(1);
                let (fy, fx) = (y.min(factor.shape.height - 1), x.min(factor.shape.width - 1));
                input(0).at(c, Some(y), Some(x)).unwrap() * factor.at(c, Some(fy), Some(fx)).unwrap()
            }),
        };
        values.push(value);
    }
    let classes = graph.head.linear.bias.len();
    multiply(&graph.head.linear, &values[graph.head.source], classes)
}

impl Function {
    /// The function in double precision.
    pub(crate) fn exact(self, x: f64) -> f64 {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        match self {
            Function::LeakyRelu { slope } => {
                if x < 0.0 {
                    f64::from(slope) * x
                } else {
                    x
                }
            }
            Function::Sigmoid => sigmoid(x),
            Function::Tanh => x.tanh(),
            Function::Erf => 1.0 - erfc(x),
            Function::Swish { factor } => x * sigmoid(f64::from(factor) * x),
            Function::HardSwish => x * ((x + 3.0).clamp(0.0, 6.0) / 6.0),
            Function::Gelu => x * (erfc(-x / SQRT_2) / 2.0),
            Function::GeluTanh => x * sigmoid((8.0 / PI).sqrt() * (x + 0.044715 * x.powi(3))),
        }
    }
}

/// `1 - erf(x)`: a series of positive terms, and a continued fraction where that is near 1.
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    let bell = (-x * x).exp() * FRAC_2_SQRT_PI;
    if x < 2.5 {
        let terms = (1..100).scan(x, |term, n| {
            let now = *term;
            *term *= 2.0 * x * x / f64::from(2 * n + 1);
            Some(now)
        });
        return 1.0 - bell * terms.sum::<f64>();
    }
    bell / 2.0 / (1..200).rev().fold(x, |rest, n| x + f64::from(n) / 2.0 / rest)
}

/// The input rows and columns under the window for output pixel `(y, x)`; `None` above or left of the input.
fn taps(window: Window, y: usize, x: usize) -> impl Iterator<Item = (usize, Option<usize>, Option<usize>)> {
    let Window { kernel, stride, dilation, before, .. } = window;
    (0..kernel[0] * kernel[1]).map(move |tap| {
        let (ky, kx) = (tap / kernel[1] * dilation[0], tap % kernel[1] * dilation[1]);
        (tap, (y * stride[0] + ky).checked_sub(before[0]), (x * stride[1] + kx).checked_sub(before[1]))
    })
}

fn convolve(conv: &Conv, input: &Value, channels: usize, extent: [usize; 2], depthwise: bool) -> Value {
    let area = conv.window.area();
    let row_len = conv.weights.len() / conv.bias.len();
    Value::new(channels, extent, |c, y, x| {
        let inputs = if depthwise { c..c + 1 } else { 0..input.shape.channels };
        let mut sum = f64::from(conv.bias[c]);
        for (k, j) in inputs.enumerate() {
            for (tap, y, x) in taps(conv.window, y, x) {
                let weight = conv.weights[c * row_len + k * area + tap];
                sum += f64::from(weight) * input.at(j, y, x).unwrap_or(0.0);
            }
        }
        sum
    })
}

fn multiply(linear: &Linear, input: &Value, rows: usize) -> Vec<f64> {
    let columns = linear.weights.len() / linear.bias.len();
    let row = |row: usize| {
        let weights = &linear.weights[row * columns..];
        let products = weights.iter().zip(&input.pixels).map(|(&weight, pixel)| f64::from(weight) * pixel);
        f64::from(linear.bias[row]) + products.sum::<f64>()
    };
    (0..rows).map(row).collect()
}

fn pooled(pool: &Pool, input: &Value, c: usize, y: usize, x: usize) -> f64 {
    let pixels = || taps(pool.window, y, x).filter_map(|(_, y, x)| input.at(c, y, x));
    match pool.kind {
        PoolKind::Max => pixels().fold(f64::NEG_INFINITY, f64::max),
        PoolKind::Average => pixels().sum::<f64>() / pixels().count() as f64,
        PoolKind::AverageWithPadding => pixels().sum::<f64>() / pool.window.area() as f64,
    }
}
