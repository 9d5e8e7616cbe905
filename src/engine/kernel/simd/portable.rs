//! Plain arrays as vectors, compiled for the baseline of the processor's family.
#![expect(unsafe_code, reason = "memory that is read and written through pointers")]

use super::{Kernel, Simd};

/// Plain arrays as vectors.
#[derive(Clone, Copy)]
pub(crate) struct Portable<const LANES: usize>(pub(super) ());

impl<const N: usize> Simd for Portable<N> {
    const LANES: usize = N;
    // Eight floats take two of the sixteen SSE registers of every x86-64 processor.
    const REGISTERS: usize = 8;
    type V = [f32; N];

    #[inline(never)]
    fn call<K: Kernel>(self, kernel: K) {
        kernel.run(self);
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        [value; N]
    }

    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        let mut sums = c;
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
        sums
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        let mut sums = a;
        for (sum, b) in sums.iter_mut().zip(b) {
            *sum += b;
        }
        sums
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        let mut differences = a;
        for (difference, b) in differences.iter_mut().zip(b) {
            *difference -= b;
        }
        differences
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        let mut products = a;
        for (product, b) in products.iter_mut().zip(b) {
            *product *= b;
        }
        products
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        let mut quotients = a;
        for (quotient, b) in quotients.iter_mut().zip(b) {
            *quotient /= b;
        }
        quotients
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        let mut larger = a;
        for (larger, b) in larger.iter_mut().zip(b) {
            *larger = if *larger > b || larger.is_nan() { *larger } else { b };
        }
        larger
    }

    #[inline(always)]
    fn clamp(self, x: Self::V, low: Self::V, high: Self::V) -> Self::V {
        let mut clamped = x;
        for (x, (low, high)) in clamped.iter_mut().zip(low.into_iter().zip(high)) {
            *x = if *x < low { low } else { *x };
            *x = if *x > high { high } else { *x };
        }
        clamped
    }

    #[inline(always)]
    fn halves(self, pairs: Self::V) -> [Self::V; 2] {
        let mut halves = [pairs; 2];
        for (lane, pair) in pairs.iter().enumerate() {
            halves[0][lane] = f32::from_bits(pair.to_bits() << 16);
            halves[1][lane] = f32::from_bits(pair.to_bits() & 0xffff_0000);
        }
        halves
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: the caller guarantees the floats; an array of floats has the alignment of a float.
        unsafe { from.cast::<Self::V>().read() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: Self::V) {
        // SAFETY: the caller guarantees the floats; an array of floats has the alignment of a float.
        unsafe { to.cast::<Self::V>().write(value) }
    }
}
