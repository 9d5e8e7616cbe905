//! SIMD vectors and run-time dispatch: one source, compiled once per instruction set.
//!
//! A value of a type that implements [`Simd`] is a token: proof that the processor has the instructions. Only
//! [`dispatch`] creates tokens. Together with [`super::tile`] this is the only file with `unsafe`.
#![expect(unsafe_code, reason = "intrinsics, and memory that they read and write through pointers")]

#[cfg(target_arch = "aarch64")]
use core::arch::aarch64::*;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::*;

/// The vectors of an instruction set.
pub(crate) trait Simd: Copy {
    /// Lanes per vector; at most [`MAX_LANES`].
    const LANES: usize;
    /// Maximum vectors that a tile may keep live without spills. It can be less than the processor's register count:
    /// with all registers in use the compiler spills a sum at each tap.
    const REGISTERS: usize;
    /// Whether fused multiply-add is a single instruction.
    const FUSED: bool;
    /// One vector of `f32`.
    type V: Copy;

    /// Runs `kernel` in a separate function that is compiled for this instruction set.
    fn call<K: Kernel>(self, kernel: K);
    /// A vector with `value` in every lane.
    fn splat(self, value: f32) -> Self::V;
    /// `a * b + c`, lane by lane.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `min(max(x, low), high)`, lane by lane.
    fn clamp(self, x: Self::V, low: Self::V, high: Self::V) -> Self::V;
    /// # Safety
    /// `LANES` floats must be readable at `from`.
    unsafe fn load(self, from: *const f32) -> Self::V;
    /// # Safety
    /// `LANES` floats must be writable at `to`.
    unsafe fn store(self, to: *mut f32, value: Self::V);

    /// Writes the first `count` lanes.
    ///
    /// # Safety
    /// `count <= LANES`, and `count` floats must be writable at `to`.
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, value: Self::V, count: usize) {
        let mut lanes = [0.0f32; MAX_LANES];
        // SAFETY: `lanes` fits the vector of every instruction set, and the caller guarantees `to`.
        unsafe {
            self.store(lanes.as_mut_ptr(), value);
            core::ptr::copy_nonoverlapping(lanes.as_ptr(), to, count);
        }
    }

    /// Scalar `a * b + c`, fused if that is one instruction: for loops that the compiler vectorises.
    #[inline(always)]
    fn scalar_mul_add(self, a: f32, b: f32, c: f32) -> f32 {
        if Self::FUSED { a.mul_add(b, c) } else { a * b + c }
    }
}

/// Lanes of the longest vector of any instruction set.
pub(crate) const MAX_LANES: usize = 16;

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
    /// x86-64 with AVX-512F.
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
            InstructionSet::Avx512 => is_x86_feature_detected!("avx512f"),
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
        _ => Portable(()).call(kernel),
    }
}

/// Plain arrays as vectors.
#[derive(Clone, Copy)]
pub(crate) struct Portable(());

impl Simd for Portable {
    const LANES: usize = 8;
    // Eight floats take two of the sixteen SSE registers of every x86-64 processor.
    const REGISTERS: usize = 8;
    const FUSED: bool = false;
    type V = [f32; 8];

    #[inline(never)]
    fn call<K: Kernel>(self, kernel: K) {
        kernel.run(self);
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        [value; 8]
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
    fn clamp(self, x: Self::V, low: Self::V, high: Self::V) -> Self::V {
        let mut clamped = x;
        for (x, (low, high)) in clamped.iter_mut().zip(low.into_iter().zip(high)) {
            *x = x.max(low).min(high);
        }
        clamped
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: the caller guarantees eight readable floats; an array of floats has the alignment of a float.
        unsafe { from.cast::<Self::V>().read() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: Self::V) {
        // SAFETY: the caller guarantees eight writable floats; an array of floats has the alignment of a float.
        unsafe { to.cast::<Self::V>().write(value) }
    }
}

/// Implements [`Simd`] for a token by naming the intrinsics.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! simd {
    (
        $(#[$doc:meta])* $token:ident, $features:literal, $vector:ty, lanes $lanes:literal, registers $registers:literal,
        $splat:ident, $load:ident, $store:ident, $max:ident, $min:ident, |$a:ident, $b:ident, $c:ident| $mul_add:expr
        $(, |$to:ident, $value:ident, $count:ident| $store_first:expr)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) struct $token(());

        impl Simd for $token {
            const LANES: usize = $lanes;
            const REGISTERS: usize = $registers;
            const FUSED: bool = true;
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
            fn clamp(self, x: Self::V, low: Self::V, high: Self::V) -> Self::V {
                // SAFETY: the token exists only where the processor has the instructions.
                unsafe { $min($max(x, low), high) }
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

            $(
                #[inline(always)]
                unsafe fn store_first(self, $to: *mut f32, $value: Self::V, $count: usize) {
                    // SAFETY: the caller guarantees the floats, the token the instructions.
                    unsafe { $store_first }
                }
            )?
        }
    };
}

#[cfg(target_arch = "x86_64")]
simd! {
    /// Sixteen lanes, thirty-two registers.
    Avx512, "avx512f", __m512, lanes 16, registers 32,
    _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_max_ps, _mm512_min_ps,
    |a, b, c| _mm512_fmadd_ps(a, b, c),
    |to, value, count| _mm512_mask_storeu_ps(to, ((1u32 << count) - 1) as __mmask16, value)
}

#[cfg(target_arch = "x86_64")]
simd! {
    /// Eight lanes, sixteen registers.
    Avx2, "avx2,fma", __m256, lanes 8, registers 15,
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_max_ps, _mm256_min_ps,
    |a, b, c| _mm256_fmadd_ps(a, b, c)
}

#[cfg(target_arch = "aarch64")]
simd! {
    /// Four lanes, thirty-two registers.
    Neon, "neon", float32x4_t, lanes 4, registers 32,
    vdupq_n_f32, vld1q_f32, vst1q_f32, vmaxq_f32, vminq_f32,
    |a, b, c| vfmaq_f32(c, a, b)
}
