//! Vectors of the processor: tokens that name its intrinsics.
#![expect(unsafe_code, reason = "intrinsics, and memory that they read and write through pointers")]

#[cfg(target_arch = "aarch64")]
use core::arch::aarch64::*;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::*;

use super::{Kernel, Simd};

/// Implements [`Simd`] for a token by naming the intrinsics.
macro_rules! simd {
    (
        $(#[$doc:meta])* $token:ident, $features:literal, $vector:ty, lanes $lanes:literal, registers $registers:literal,
        $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident, $mul:ident, $div:ident, $max:ident, $min:ident,
        |$a:ident, $b:ident, $c:ident| $mul_add:expr, |$one:ident, $other:ident| $larger:expr,
        |$pairs:ident| $halves:expr
        $(, |$to:ident, $value:ident| $store_pairs:expr, |$x:ident, $y:ident, $z:ident| $dot_pairs:expr)? $(,)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) struct $token(pub(super) ());

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
            fn mul(self, a: Self::V, b: Self::V) -> Self::V {
                // SAFETY: the token exists only where the processor has the instructions.
                unsafe { $mul(a, b) }
            }

            #[inline(always)]
            fn div(self, a: Self::V, b: Self::V) -> Self::V {
                // SAFETY: the token exists only where the processor has the instructions.
                unsafe { $div(a, b) }
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
            fn halves(self, $pairs: Self::V) -> [Self::V; 2] {
                // SAFETY: the token exists only where the processor has the instructions.
                unsafe { $halves }
            }

            $(
                #[inline(always)]
                unsafe fn store_pairs(self, $to: *mut f32, $value: Self::V) {
                    // SAFETY: the caller guarantees the floats, the token the instructions.
                    unsafe { $store_pairs }
                }

                #[inline(always)]
                fn dot_pairs(self, $x: Self::V, $y: Self::V, $z: Self::V) -> Self::V {
                    // SAFETY: the token exists only where the processor has the instructions.
                    unsafe { $dot_pairs }
                }
            )?

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
    _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_sub_ps, _mm512_mul_ps, _mm512_div_ps,
    _mm512_max_ps, _mm512_min_ps,
    |a, b, c| _mm512_fmadd_ps(a, b, c),
    // The instruction returns the second operand if either is NaN, so only a first that is NaN must be kept.
    |a, b| _mm512_mask_max_ps(a, _mm512_cmp_ps_mask::<_CMP_ORD_Q>(a, a), a, b),
    |pairs| halves_avx512(pairs),
}

#[cfg(target_arch = "x86_64")]
simd! {
    /// [`Avx512`] with instructions for bfloat16.
    Avx512Bf16, "avx512f,avx512vl,avx512bf16", __m512, lanes 16, registers 32,
    _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_sub_ps, _mm512_mul_ps, _mm512_div_ps,
    _mm512_max_ps, _mm512_min_ps,
    |a, b, c| _mm512_fmadd_ps(a, b, c),
    |a, b| _mm512_mask_max_ps(a, _mm512_cmp_ps_mask::<_CMP_ORD_Q>(a, a), a, b),
    |pairs| halves_avx512(pairs),
    |to, value| to.cast::<__m256bh>().write_unaligned(_mm512_cvtneps_pbh(value)),
    // The same bits with another name.
    |a, b, c| _mm512_dpbf16_ps(c, core::mem::transmute::<__m512, __m512bh>(a), core::mem::transmute::<__m512, __m512bh>(b)),
}

#[cfg(target_arch = "x86_64")]
simd! {
    /// [`Avx512Half`] with instructions for bfloat16.
    Avx512HalfBf16, "avx512f,avx512vl,avx512bf16,avx2,fma", __m256, lanes 8, registers 32,
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_mul_ps, _mm256_div_ps,
    _mm256_max_ps, _mm256_min_ps,
    |a, b, c| _mm256_fmadd_ps(a, b, c),
    |a, b| _mm256_mask_max_ps(a, _mm256_cmp_ps_mask::<_CMP_ORD_Q>(a, a), a, b),
    |pairs| halves_avx2(pairs),
    |to, value| to.cast::<__m128bh>().write_unaligned(_mm256_cvtneps_pbh(value)),
    |a, b, c| _mm256_dpbf16_ps(c, core::mem::transmute::<__m256, __m256bh>(a), core::mem::transmute::<__m256, __m256bh>(b)),
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[inline]
fn halves_avx512(pairs: __m512) -> [__m512; 2] {
    let bits = _mm512_castps_si512(pairs);
    let (low, high) = (_mm512_slli_epi32::<16>(bits), _mm512_and_si512(bits, _mm512_set1_epi32(-0x1_0000)));
    [_mm512_castsi512_ps(low), _mm512_castsi512_ps(high)]
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn halves_avx2(pairs: __m256) -> [__m256; 2] {
    let bits = _mm256_castps_si256(pairs);
    let (low, high) = (_mm256_slli_epi32::<16>(bits), _mm256_and_si256(bits, _mm256_set1_epi32(-0x1_0000)));
    [_mm256_castsi256_ps(low), _mm256_castsi256_ps(high)]
}

#[cfg(target_arch = "x86_64")]
simd! {
    /// Eight lanes, thirty-two registers: for half a vector of [`Avx512`].
    Avx512Half, "avx512f,avx512vl,avx2,fma", __m256, lanes 8, registers 32,
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_mul_ps, _mm256_div_ps,
    _mm256_max_ps, _mm256_min_ps,
    |a, b, c| _mm256_fmadd_ps(a, b, c),
    |a, b| _mm256_mask_max_ps(a, _mm256_cmp_ps_mask::<_CMP_ORD_Q>(a, a), a, b),
    |pairs| halves_avx2(pairs),
}

#[cfg(target_arch = "x86_64")]
simd! {
    /// Eight lanes, sixteen registers.
    Avx2, "avx2,fma", __m256, lanes 8, registers 15,
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_mul_ps, _mm256_div_ps,
    _mm256_max_ps, _mm256_min_ps,
    |a, b, c| _mm256_fmadd_ps(a, b, c),
    // As with AVX-512.
    |a, b| _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps::<_CMP_UNORD_Q>(a, a)),
    |pairs| halves_avx2(pairs),
}

#[cfg(target_arch = "aarch64")]
simd! {
    /// Four lanes, thirty-two registers.
    Neon, "neon", float32x4_t, lanes 4, registers 32,
    vdupq_n_f32, vld1q_f32, vst1q_f32, vaddq_f32, vsubq_f32, vmulq_f32, vdivq_f32, vmaxq_f32, vminq_f32,
    |a, b, c| vfmaq_f32(c, a, b),
    |a, b| vmaxq_f32(a, b),
    |pairs| {
        let bits = vreinterpretq_u32_f32(pairs);
        let (low, high) = (vshlq_n_u32::<16>(bits), vandq_u32(bits, vdupq_n_u32(0xffff_0000)));
        [vreinterpretq_f32_u32(low), vreinterpretq_f32_u32(high)]
    },
}
