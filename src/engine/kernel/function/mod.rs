//! Activation functions, vector by vector: one source for every instruction set.
//!
//! For every `f32`, denormal numbers included, the error is at most (in units in the last place of the exact result):
//!
//! | function | error |
//! |---|---|
//! | LeakyReLU | 1 |
//! | HardSwish, sigmoid, SiLU | 3, or 2^-100 |
//! | tanh | 4 |
//! | GELU, and its approximation by tanh | 4, or 2^-23 |
//! | erf | 2^-21 |
//!
//! NaN stays NaN. At minus infinity, the products with a factor of zero (SiLU, HardSwish, GELU) are NaN, as in ONNX's formulas: the
//! network has overflowed. Processors with fused multiply-add have the same bits.

#[cfg(test)]
mod tests;

use super::simd::Simd;

/// A function of each lane of a vector.
pub(super) trait Formula: Copy {
    /// Its value at `x`.
    fn of<S: Simd>(self, simd: S, x: S::V) -> S::V;
}

/// `max(x, 0) + slope * min(x, 0)`
#[derive(Clone, Copy)]
pub(super) struct LeakyRelu {
    pub(super) slope: f32,
}

/// `1 / (1 + exp(-x))`
#[derive(Clone, Copy)]
pub(super) struct Sigmoid;

#[derive(Clone, Copy)]
pub(super) struct Tanh;

#[derive(Clone, Copy)]
pub(super) struct Erf;

/// `x * sigmoid(factor * x)`
#[derive(Clone, Copy)]
pub(super) struct Swish {
    pub(super) factor: f32,
}

/// `x * min(max(x + 3, 0), 6) / 6`
#[derive(Clone, Copy)]
pub(super) struct HardSwish;

/// `x` times the normal distribution function of `x`.
#[derive(Clone, Copy)]
pub(super) struct Gelu;

/// `x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2`
#[derive(Clone, Copy)]
pub(super) struct GeluTanh;

impl Formula for LeakyRelu {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::V) -> S::V {
        let [positive, negative] = parts(simd, x);
        simd.mul_add(negative, simd.splat(self.slope), positive)
    }
}

impl Formula for Sigmoid {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::V) -> S::V {
        simd.div(simd.splat(1.0), one_plus_exp(simd, simd.mul(x, simd.splat(-1.0))))
    }
}

impl Formula for Tanh {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::V) -> S::V {
        // Beyond 10 it is 1. `(exp(2x) - 1) / (exp(2x) + 1)` with a numerator that is exact around 0.
        let x = simd.clamp(x, simd.splat(-10.0), simd.splat(10.0));
        let Exponential { n, rest } = Exponential::of(simd, simd.add(x, x));
        let power = simd.power_of_two(n);
        let less_one = simd.mul_add(power, rest, simd.sub(power, simd.splat(1.0)));
        simd.div(less_one, simd.add(less_one, simd.splat(2.0)))
    }
}

impl Formula for Erf {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::V) -> S::V {
        let [positive, negative] = parts(simd, x);
        let magnitude = simd.mul(simd.sub(positive, negative), simd.splat(std::f32::consts::SQRT_2));
        let value = simd.mul_add(upper_tail(simd, magnitude), simd.splat(-2.0), simd.splat(1.0));
        // The sign of all numbers but those so small that the value is zero within its error.
        let sign = simd.clamp(simd.mul(x, simd.splat(1e30)), simd.splat(-1.0), simd.splat(1.0));
        simd.mul(sign, value)
    }
}

impl Formula for Swish {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::V) -> S::V {
        simd.div(x, one_plus_exp(simd, simd.mul(x, simd.splat(-self.factor))))
    }
}

impl Formula for HardSwish {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::V) -> S::V {
        let sixths = simd.clamp(simd.add(x, simd.splat(3.0)), simd.splat(0.0), simd.splat(6.0));
        simd.mul(x, simd.mul(sixths, simd.splat(1.0 / 6.0)))
    }
}

impl Formula for Gelu {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::V) -> S::V {
        // One of the parts is zero, so neither tail is a difference of nearly equal numbers.
        let [positive, negative] = parts(simd, x);
        let tail = upper_tail(simd, simd.sub(positive, negative));
        simd.mul_add(negative, tail, simd.mul(positive, simd.sub(simd.splat(1.0), tail)))
    }
}

impl Formula for GeluTanh {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::V) -> S::V {
        // `(1 + tanh(u)) / 2` is `sigmoid(2u)`, and the factors are `-2 * sqrt(2 / pi)` and 0.044715 of it.
        let inner = simd.mul_add(simd.mul(x, x), simd.splat(-0.071_354_814), simd.splat(-1.595_769));
        simd.div(x, one_plus_exp(simd, simd.mul(x, inner)))
    }
}

/// `max(x, 0)` and `min(x, 0)`.
#[inline(always)]
fn parts<S: Simd>(simd: S, x: S::V) -> [S::V; 2] {
    let zero = simd.splat(0.0);
    [simd.clamp(x, zero, simd.splat(f32::INFINITY)), simd.clamp(x, simd.splat(f32::NEG_INFINITY), zero)]
}

/// `exp(x)` as `2^n * (1 + rest)`, with an integer `n` and `1 + rest` from `sqrt(1/2)` to `sqrt(2)`.
struct Exponential<S: Simd> {
    n: S::V,
    rest: S::V,
}

impl<S: Simd> Exponential<S> {
    #[inline(always)]
    fn of(simd: S, x: S::V) -> Exponential<S> {
        let n = round(simd, simd.mul(x, simd.splat(std::f32::consts::LOG2_E)));
        // Cody and Waite: ln 2 in two numbers, of which products with the first are exact.
        let r = simd.mul_add(n, simd.splat(-355.0 / 512.0), x);
        let r = simd.mul_add(n, simd.splat(2.121_944_4e-4), r);
        // Taylor's series up to r^7 / 7!, whose remainder is below 2^-27.
        let mut sum = simd.splat(1.0 / 5040.0);
        for factorial in [720.0, 120.0, 24.0, 6.0, 2.0] {
            sum = simd.mul_add(sum, r, simd.splat(1.0 / factorial));
        }
        Exponential { n, rest: simd.mul_add(simd.mul(r, r), sum, r) }
    }
}

/// `1 + exp(x)`, for every `x`.
#[inline(always)]
fn one_plus_exp<S: Simd>(simd: S, x: S::V) -> S::V {
    simd.add(simd.splat(1.0), exp(simd, x))
}

/// `exp(x)`, for every `x`: zero below -104, infinite from 89 on.
#[inline(always)]
fn exp<S: Simd>(simd: S, x: S::V) -> S::V {
    let Exponential { n, rest } = Exponential::of(simd, simd.clamp(x, simd.splat(-104.0), simd.splat(104.0)));
    // The power may be no normal number where the result is one, so it is multiplied in two halves.
    let half = round(simd, simd.mul(n, simd.splat(0.5)));
    let value = simd.mul(simd.add(simd.splat(1.0), rest), simd.power_of_two(half));
    simd.mul(value, simd.power_of_two(simd.sub(n, half)))
}

/// The nearest integer of a number of at most 22 bits.
#[inline(always)]
fn round<S: Simd>(simd: S, x: S::V) -> S::V {
    // The last place of numbers around 3 * 2^22 is 1.
    let large = simd.splat(12_582_912.0);
    simd.sub(simd.add(x, large), large)
}

/// The share of the standard normal distribution above `x >= 0`: `erfc(x / sqrt(2)) / 2`.
#[inline(always)]
fn upper_tail<S: Simd>(simd: S, x: S::V) -> S::V {
    // exp(-x^2 / 2) times a polynomial in `t`, fitted for the least relative error, 2^-25, up to x = 13.5, where the result vanishes.
    const POLYNOMIAL: [f32; 9] = [
        0.137_619_12,
        0.138_024,
        0.117_213_71,
        0.111_904_785,
        -0.037_870_77,
        0.187_618_76,
        -0.271_570_77,
        0.145_488_43,
        -0.028_427_307,
    ];
    let one = simd.splat(1.0);
    let t = simd.div(one, simd.mul_add(x, simd.splat(0.345), one));
    let mut sum = simd.splat(POLYNOMIAL[8]);
    for power in 1..9 {
        sum = simd.mul_add(sum, t, simd.splat(POLYNOMIAL[8 - power]));
    }
    let exponent = simd.mul(simd.mul(x, x), simd.splat(-0.5));
    simd.mul(exp(simd, exponent), simd.mul(t, sum))
}
