//! SIMD vectors and run-time dispatch: one source, compiled once per instruction set.
//!
//! A value of a type that implements [`Simd`] is a token: proof that the processor has the instructions. Only
//! [`dispatch`] and [`dispatch_lanes`] create tokens. The files with `unsafe` are this one and the microkernels.
#![expect(unsafe_code, reason = "intrinsics, and memory that they read and write through pointers")]

#[cfg(target_arch = "aarch64")]
use core::arch::aarch64::*;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::*;

/// The vectors of an instruction set.
pub(crate) trait Simd: Copy {
    /// Lanes per vector; at most 16.
    const LANES: usize;
    /// Maximum vectors that a tile may keep live without spills. It can be less than the processor's register count:
    /// with all registers in use the compiler spills a sum at each tap.
    const REGISTERS: usize;
    /// One vector of `f32`.
    type V: Copy;

    /// Runs `kernel` in a separate function that is compiled for this instruction set.
    fn call<K: Kernel>(self, kernel: K);
    /// A vector with `value` in every lane.
    fn splat(self, value: f32) -> Self::V;
    /// `a * b + c`, lane by lane.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a + b`, lane by lane.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`, lane by lane.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// The larger of both, lane by lane; NaN if either is.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// `min(max(x, low), high)`, lane by lane; NaN stays NaN.
    fn clamp(self, x: Self::V, low: Self::V, high: Self::V) -> Self::V;
    /// # Safety
    /// `LANES` floats must be readable at `from`.
    unsafe fn load(self, from: *const f32) -> Self::V;
    /// # Safety
    /// `LANES` floats must be writable at `to`.
    unsafe fn store(self, to: *mut f32, value: Self::V);

    /// The first lanes of `from`.
    ///
    /// # Panics
    /// If there are fewer than [`Simd::LANES`].
    #[inline(always)]
    fn read(self, from: &[f32]) -> Self::V {
        assert!(from.len() >= Self::LANES);
        // SAFETY: checked.
        unsafe { self.load(from.as_ptr()) }
    }

    /// Writes the lanes to the start of `to`.
    ///
    /// # Panics
    /// If there are fewer than [`Simd::LANES`].
    #[inline(always)]
    fn write(self, to: &mut [f32], value: Self::V) {
        assert!(to.len() >= Self::LANES);
        // SAFETY: checked.
        unsafe { self.store(to.as_mut_ptr(), value) }
    }
}

/// Work that is compiled for every instruction set.
///
/// `run` and everything it calls must be `#[inline(always)]`, and closures must not touch vectors. Code that is not
/// inlined is compiled for the baseline and passes its vectors through memory.
pub(crate) trait Kernel {
    /// Runs the work.
    fn run<S: Simd>(self, simd: S);
}

/// The instruction sets, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstructionSet {
    /// x86-64 with AVX-512F and VL.
    Avx512,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// 64-bit Arm with NEON.
    Neon,
    /// Plain loops, vectorised by the compiler for the baseline.
    Portable,
}

impl InstructionSet {
    /// All instruction sets of this processor, best first.
    pub fn available() -> Vec<InstructionSet> {
        use InstructionSet::*;
        [Avx512, Avx2, Neon, Portable].into_iter().filter(|set| set.is_available()).collect()
    }

    /// The best instruction set of this processor.
    pub fn best() -> InstructionSet {
        *InstructionSet::available().first().unwrap_or(&InstructionSet::Portable)
    }

    /// Lanes per vector.
    pub(crate) fn lanes(self) -> usize {
        match self {
            InstructionSet::Avx512 => 16,
            InstructionSet::Avx2 | InstructionSet::Portable => 8,
            InstructionSet::Neon => 4,
        }
    }

    fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl"),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "aarch64")]
            InstructionSet::Neon => true,
            InstructionSet::Portable => true,
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }
}

/// Runs `kernel` with the instructions of `set`, or portably if the processor lacks them.
pub(crate) fn dispatch<K: Kernel>(set: InstructionSet, kernel: K) {
    match set {
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 if set.is_available() => Avx512(()).call(kernel),
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 if set.is_available() => Avx2(()).call(kernel),
        #[cfg(target_arch = "aarch64")]
        InstructionSet::Neon => Neon(()).call(kernel),
        _ => Portable::<8>(()).call(kernel),
    }
}

/// Runs `kernel` as [`dispatch`] does, with shorter vectors for `lanes` lanes where they are as fast.
pub(crate) fn dispatch_lanes<K: Kernel>(set: InstructionSet, lanes: usize, kernel: K) {
    match set {
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 if lanes <= Avx512Half::LANES && set.is_available() => Avx512Half(()).call(kernel),
        _ => dispatch(set, kernel),
    }
}

/// Runs `kernel` with vectors of one lane: for values whose pixels are not blocks of channels.
pub(crate) fn dispatch_scalar<K: Kernel>(kernel: K) {
    Portable::<1>(()).call(kernel);
}

/// Plain arrays as vectors.
#[derive(Clone, Copy)]
pub(crate) struct Portable<const LANES: usize>(());

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

/// Implements [`Simd`] for a token by naming the intrinsics.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! simd {
    (
        $(#[$doc:meta])* $token:ident, $features:literal, $vector:ty, lanes $lanes:literal, registers $registers:literal,
        $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident, $max:ident, $min:ident,
        |$a:ident, $b:ident, $c:ident| $mul_add:expr, |$one:ident, $other:ident| $larger:expr $(,)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) struct $token(());

        impl Simd for $token {
            const LANES: usize = $lanes;
            const REGISTERS: usize = $registers;
            type V = $vector;

            #[inline(always)]
            fn call<K: Kernel>(self, kernel: K) {
                #[inline(never)]
                #[target_feature(enable = $features)]
                fn compiled_for<K: Kernel>(simd: $token, kernel: K) {
                    kernel.run(simd);
                }
                // SAFETY: the token exists only where the processor has the instructions.
                unsafe { compiled_for(self, kernel) }
            }

            #[inline(always)]
            fn splat(self, value: f32) -> Self::V {
                // SAFETY: the token exists only where the processor has the instructions.
                unsafe { $splat(value) }
            }

            #[inline(always)]
            fn mul_add(self, $a: Self::V, $b: Self::V, $c: Self::V) -> Self::V {
                // SAFETY: the token exists only where the processor has the instructions.
                unsafe { $mul_add }
            }

            #[inline(always)]
            fn add(self, a: Self::V, b: Self::V) -> Self::V {
                // SAFETY: the token exists only where the processor has the instructions.
                unsafe { $add(a, b) }
            }

            #[inline(always)]
            fn sub(self, a: Self::V, b: Self::V) -> Self::V {
                // SAFETY: the token exists only where the processor has the instructions.
                unsafe { $sub(a, b) }
            }

            #[inline(always)]
            fn max(self, $one: Self::V, $other: Self::V) -> Self::V {
                // SAFETY: the token exists only where the processor has the instructions.
                unsafe { $larger }
            }

            #[inline(always)]
            fn clamp(self, x: Self::V, low: Self::V, high: Self::V) -> Self::V {
                // SAFETY: the token exists only where the processor has the instructions.
                // x86 returns the second operand if either is NaN.
                unsafe { $min(high, $max(low, x)) }
            }

            #[inline(always)]
            unsafe fn load(self, from: *const f32) -> Self::V {
                // SAFETY: the caller guarantees the floats, the token the instructions.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32, value: Self::V) {
                // SAFETY: the caller guarantees the floats, the token the instructions.
                unsafe { $store(to, value) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
simd! {
    /// Sixteen lanes, thirty-two registers.
    Avx512, "avx512f,avx512vl", __m512, lanes 16, registers 32,
    _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_sub_ps, _mm512_max_ps, _mm512_min_ps,
    |a, b, c| _mm512_fmadd_ps(a, b, c),
    // The instruction returns the second operand if either is NaN, so only a first that is NaN must be kept.
    |a, b| _mm512_mask_max_ps(a, _mm512_cmp_ps_mask::<_CMP_ORD_Q>(a, a), a, b),
}

#[cfg(target_arch = "x86_64")]
simd! {
    /// Eight lanes, thirty-two registers: for half a vector of [`Avx512`].
    Avx512Half, "avx512f,avx512vl,avx2,fma", __m256, lanes 8, registers 32,
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_max_ps, _mm256_min_ps,
    |a, b, c| _mm256_fmadd_ps(a, b, c),
    |a, b| _mm256_mask_max_ps(a, _mm256_cmp_ps_mask::<_CMP_ORD_Q>(a, a), a, b),
}

#[cfg(target_arch = "x86_64")]
simd! {
    /// Eight lanes, sixteen registers.
    Avx2, "avx2,fma", __m256, lanes 8, registers 15,
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_max_ps, _mm256_min_ps,
    |a, b, c| _mm256_fmadd_ps(a, b, c),
    // As with AVX-512.
    |a, b| _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps::<_CMP_UNORD_Q>(a, a)),
}

#[cfg(target_arch = "aarch64")]
simd! {
    /// Four lanes, thirty-two registers.
    Neon, "neon", float32x4_t, lanes 4, registers 32,
    vdupq_n_f32, vld1q_f32, vst1q_f32, vaddq_f32, vsubq_f32, vmaxq_f32, vminq_f32,
    |a, b, c| vfmaq_f32(c, a, b),
    |a, b| vmaxq_f32(a, b),
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Largest([[f32; 16]; 3]);

    impl Kernel for &mut Largest {
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            let [a, b, larger] = &mut self.0;
            let found = simd.max(simd.read(a), simd.read(b));
            // SAFETY: an array has the lanes of every vector.
            unsafe { simd.store(larger.as_mut_ptr(), found) };
        }
    }

    #[test]
    fn the_larger_of_a_number_and_nan_is_nan() {
        let numbers = [f32::NAN, -1.0, 0.0, f32::INFINITY, f32::NEG_INFINITY];
        for set in InstructionSet::available() {
            for (a, b) in numbers.iter().flat_map(|&a| numbers.map(|b| (a, b))) {
                let mut largest = Largest([[a; 16], [b; 16], [0.0; 16]]);
                dispatch(set, &mut largest);
                let expected = if a.is_nan() || b.is_nan() { f32::NAN } else { a.max(b) };
                assert_eq!(largest.0[2][0].to_bits(), expected.to_bits(), "{set:?}: {a}, {b}");
            }
        }
    }
}
