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
    /// Both bfloat16 numbers of each lane: those of the lower halves, and those of the upper.
    fn halves(self, pairs: Self::V) -> [Self::V; 2];
    /// # Safety
    /// `LANES` floats must be readable at `from`.
    unsafe fn load(self, from: *const f32) -> Self::V;
    /// # Safety
    /// `LANES` floats must be writable at `to`.
    unsafe fn store(self, to: *mut f32, value: Self::V);

    /// `c` plus the products of the two bfloat16 numbers of each lane: of the upper halves first, with one rounding for each product
    /// and its addition, as x86 does it in one instruction.
    #[inline(always)]
    fn dot_pairs(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        let ([a_low, a_high], [b_low, b_high]) = (self.halves(a), self.halves(b));
        self.mul_add(a_low, b_low, self.mul_add(a_high, b_high, c))
    }

    /// Writes the lanes as bfloat16 numbers, [`bfloat16`] of each, two to a float.
    ///
    /// # Safety
    /// Half of [`Simd::LANES`] floats must be writable at `to`.
    #[inline(always)]
    unsafe fn store_pairs(self, to: *mut f32, value: Self::V) {
        let mut lanes = [0.0; 16];
        // SAFETY: there are the lanes of every vector, and the caller guarantees `to`.
        unsafe {
            self.store(lanes.as_mut_ptr(), value);
            for pair in 0..Self::LANES / 2 {
                *to.add(pair) = pair_of([lanes[2 * pair], lanes[2 * pair + 1]]);
            }
        }
    }

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

/// The nearest bfloat16, as its bits: the upper half of a float. Ties go to the even one, and subnormal numbers to zero, as on x86.
#[inline(always)]
pub(crate) fn bfloat16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = match value {
        _ if value.is_nan() => bits | 1 << 22,
        _ if value.abs() < f32::MIN_POSITIVE => bits & 1 << 31,
        _ => bits + 0x7fff + (bits >> 16 & 1),
    };
    (rounded >> 16) as u16
}

/// Two bfloat16 numbers in the memory of a float; the first is the lower half.
#[inline(always)]
pub(crate) fn pair_of([low, high]: [f32; 2]) -> f32 {
    f32::from_bits(u32::from(bfloat16(low)) | u32::from(bfloat16(high)) << 16)
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

    /// Whether this processor multiplies bfloat16 numbers faster than `f32`.
    pub(crate) fn has_bfloat16() -> bool {
        #[cfg(target_arch = "x86_64")]
        return is_x86_feature_detected!("avx512bf16") && InstructionSet::Avx512.is_available();
        #[cfg(not(target_arch = "x86_64"))]
        false
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

/// Runs `kernel` as [`dispatch_lanes`] does, with instructions for bfloat16 if the processor has them.
pub(crate) fn dispatch_pairs<K: Kernel>(set: InstructionSet, lanes: usize, kernel: K) {
    match set {
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 if InstructionSet::has_bfloat16() && lanes <= Avx512HalfBf16::LANES => {
            Avx512HalfBf16(()).call(kernel);
        }
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 if InstructionSet::has_bfloat16() => Avx512Bf16(()).call(kernel),
        _ => dispatch_lanes(set, lanes, kernel),
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

/// Implements [`Simd`] for a token by naming the intrinsics.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! simd {
    (
        $(#[$doc:meta])* $token:ident, $features:literal, $vector:ty, lanes $lanes:literal, registers $registers:literal,
        $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident, $max:ident, $min:ident,
        |$a:ident, $b:ident, $c:ident| $mul_add:expr, |$one:ident, $other:ident| $larger:expr,
        |$pairs:ident| $halves:expr
        $(, |$to:ident, $value:ident| $store_pairs:expr, |$x:ident, $y:ident, $z:ident| $dot_pairs:expr)? $(,)?
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
    _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_sub_ps, _mm512_max_ps, _mm512_min_ps,
    |a, b, c| _mm512_fmadd_ps(a, b, c),
    // The instruction returns the second operand if either is NaN, so only a first that is NaN must be kept.
    |a, b| _mm512_mask_max_ps(a, _mm512_cmp_ps_mask::<_CMP_ORD_Q>(a, a), a, b),
    |pairs| halves_avx512(pairs),
}

#[cfg(target_arch = "x86_64")]
simd! {
    /// [`Avx512`] with instructions for bfloat16.
    Avx512Bf16, "avx512f,avx512vl,avx512bf16", __m512, lanes 16, registers 32,
    _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_sub_ps, _mm512_max_ps, _mm512_min_ps,
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
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_max_ps, _mm256_min_ps,
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
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_max_ps, _mm256_min_ps,
    |a, b, c| _mm256_fmadd_ps(a, b, c),
    |a, b| _mm256_mask_max_ps(a, _mm256_cmp_ps_mask::<_CMP_ORD_Q>(a, a), a, b),
    |pairs| halves_avx2(pairs),
}

#[cfg(target_arch = "x86_64")]
simd! {
    /// Eight lanes, sixteen registers.
    Avx2, "avx2,fma", __m256, lanes 8, registers 15,
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_max_ps, _mm256_min_ps,
    |a, b, c| _mm256_fmadd_ps(a, b, c),
    // As with AVX-512.
    |a, b| _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps::<_CMP_UNORD_Q>(a, a)),
    |pairs| halves_avx2(pairs),
}

#[cfg(target_arch = "aarch64")]
simd! {
    /// Four lanes, thirty-two registers.
    Neon, "neon", float32x4_t, lanes 4, registers 32,
    vdupq_n_f32, vld1q_f32, vst1q_f32, vaddq_f32, vsubq_f32, vmaxq_f32, vminq_f32,
    |a, b, c| vfmaq_f32(c, a, b),
    |a, b| vmaxq_f32(a, b),
    |pairs| {
        let bits = vreinterpretq_u32_f32(pairs);
        let (low, high) = (vshlq_n_u32::<16>(bits), vandq_u32(bits, vdupq_n_u32(0xffff_0000)));
        [vreinterpretq_f32_u32(low), vreinterpretq_f32_u32(high)]
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    /// Two arrays of pairs, an array to add their products to, and the lanes to round.
    struct Pairs([[f32; 16]; 3]);

    impl Kernel for &mut Pairs {
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            for part in (0..16).step_by(S::LANES) {
                let [a, b, c] = &mut self.0;
                let dot = simd.dot_pairs(simd.read(&a[part..]), simd.read(&b[part..]), simd.read(&c[part..]));
                simd.write(&mut c[part..], dot);
                // SAFETY: half of the lanes of `b` are written.
                unsafe { simd.store_pairs(b[part / 2..].as_mut_ptr(), simd.read(&a[part..])) };
            }
        }
    }

    proptest! {
        /// Every instruction set with fused multiply-add has the bits of one definition; instructions for bfloat16 exist on few.
        #[test]
        fn products_of_bfloat16_pairs_have_the_same_bits_everywhere(
            numbers in prop::collection::vec(-2.0..2.0f32, 80), lanes in prop::sample::select(vec![8usize, 16]),
        ) {
            let number = |at: usize| if numbers[at].abs() < 1e-3 { 1.0 } else { numbers[at] };
            let pair = |at: usize| [number(2 * at), number(2 * at + 1)];
            let (a, b): ([f32; 16], [f32; 16]) = (std::array::from_fn(|at| pair_of(pair(at))), std::array::from_fn(|at| pair_of(pair(16 + at))));
            let c = std::array::from_fn(|at| number(64 + at));
            let wide = |bits: u16| f32::from_bits(u32::from(bits) << 16);
            let of = |[low, high]: [f32; 2]| [wide(bfloat16(low)), wide(bfloat16(high))];
            for set in InstructionSet::available().into_iter().filter(|&set| set != InstructionSet::Portable) {
                let mut pairs = Pairs([a, b, c]);
                dispatch_pairs(set, lanes, &mut pairs);
                for at in 0..16 {
                    let ([a_low, a_high], [b_low, b_high]) = (of(pair(at)), of(pair(16 + at)));
                    let expected = a_low.mul_add(b_low, a_high.mul_add(b_high, c[at]));
                    prop_assert_eq!(pairs.0[2][at].to_bits(), expected.to_bits(), "{:?}", set);
                }
                let rounded: Vec<u32> = a.chunks(2).map(|two| pair_of([two[0], two[1]]).to_bits()).collect();
                prop_assert_eq!(pairs.0[1][..8].iter().map(|pair| pair.to_bits()).collect::<Vec<_>>(), rounded, "{:?}", set);
            }
        }
    }

    #[test]
    fn bfloat16_is_the_nearest_even_upper_half() {
        let round = |value: f32| f32::from_bits(u32::from(bfloat16(value)) << 16);
        for exact in [0.0f32, -0.0, 1.0, -1.5, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(round(exact).to_bits() >> 16, exact.to_bits() >> 16, "{exact}");
        }
        assert_eq!(
            [1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, 1.0 + 1.1 / 256.0].map(round),
            [1.0, 1.0 + 2.0 / 128.0, 1.0 + 1.0 / 128.0]
        );
        assert_eq!([1e-40, -1e-40].map(round), [0.0, 0.0]);
        assert!(round(f32::NAN).is_nan() && round(f32::from_bits(0x7f80_0001)).is_nan());
        assert_eq!(round(f32::MAX), f32::INFINITY);
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
