//! SIMD vectors and run-time dispatch: one source, compiled once per instruction set.
//!
//! A value of a type that implements [`Simd`] is a token: proof that the processor has the instructions. Only
//! [`dispatch`] creates tokens. The files with `unsafe` are this one and the microkernels: [`super::tile`] and two of
//! [`super::winograd`].
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
    /// `a + b`, lane by lane.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`, lane by lane.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// The larger of both, lane by lane.
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

    /// Exchanges the rows and columns of a block.
    #[inline(always)]
    fn transpose(self, block: &mut Block) {
        let from = *block;
        for (row, to) in block.iter_mut().enumerate() {
            for (to, from) in to.iter_mut().zip(&from) {
                *to = from[row];
            }
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

/// Rows and columns of a block.
pub(crate) type Block = [[f32; MAX_LANES]; MAX_LANES];

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
            *larger = larger.max(b);
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
        $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident, $max:ident, $min:ident, |$a:ident, $b:ident, $c:ident| $mul_add:expr
        $(, |$to:ident, $value:ident, $count:ident| $store_first:expr)?
        $(, transpose $transpose:ident)?
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
            fn max(self, a: Self::V, b: Self::V) -> Self::V {
                // SAFETY: the token exists only where the processor has the instructions.
                unsafe { $max(a, b) }
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

            $(
                #[inline(always)]
                unsafe fn store_first(self, $to: *mut f32, $value: Self::V, $count: usize) {
                    // SAFETY: the caller guarantees the floats, the token the instructions.
                    unsafe { $store_first }
                }
            )?

            $(
                #[inline(always)]
                fn transpose(self, block: &mut Block) {
                    // SAFETY: the token exists only where the processor has the instructions.
                    unsafe { $transpose(block) }
                }
            )?
        }
    };
}

#[cfg(target_arch = "x86_64")]
simd! {
    /// Sixteen lanes, thirty-two registers.
    Avx512, "avx512f", __m512, lanes 16, registers 32,
    _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_sub_ps, _mm512_max_ps, _mm512_min_ps,
    |a, b, c| _mm512_fmadd_ps(a, b, c),
    |to, value, count| _mm512_mask_storeu_ps(to, ((1u32 << count) - 1) as __mmask16, value),
    transpose transpose_avx512
}

/// Pairs of rows, then pairs of pairs, then quarters of vectors.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[inline]
fn transpose_avx512(block: &mut Block) {
    let zero = _mm512_setzero_ps();
    let (mut rows, mut pairs, mut fours) = ([zero; 16], [zero; 16], [zero; 16]);
    for (row, from) in rows.iter_mut().zip(block.iter()) {
        // SAFETY: a row of a block is one vector.
        *row = unsafe { _mm512_loadu_ps(from.as_ptr()) };
    }
    for at in (0..16).step_by(2) {
        pairs[at] = _mm512_unpacklo_ps(rows[at], rows[at + 1]);
        pairs[at + 1] = _mm512_unpackhi_ps(rows[at], rows[at + 1]);
    }
    for at in (0..16).step_by(4) {
        for half in 0..2 {
            let (a, b) = (_mm512_castps_pd(pairs[at + half]), _mm512_castps_pd(pairs[at + 2 + half]));
            fours[at + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            fours[at + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
    for column in 0..4 {
        let [a, b, c, d] = [fours[column], fours[4 + column], fours[8 + column], fours[12 + column]];
        let (even, odd) = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
        let (even_below, odd_below) = (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xdd>(c, d));
        rows[column] = _mm512_shuffle_f32x4::<0x88>(even, even_below);
        rows[column + 4] = _mm512_shuffle_f32x4::<0x88>(odd, odd_below);
        rows[column + 8] = _mm512_shuffle_f32x4::<0xdd>(even, even_below);
        rows[column + 12] = _mm512_shuffle_f32x4::<0xdd>(odd, odd_below);
    }
    for (&row, to) in rows.iter().zip(block) {
        // SAFETY: a row of a block is one vector.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), row) };
    }
}

#[cfg(target_arch = "x86_64")]
simd! {
    /// Eight lanes, sixteen registers.
    Avx2, "avx2,fma", __m256, lanes 8, registers 15,
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_max_ps, _mm256_min_ps,
    |a, b, c| _mm256_fmadd_ps(a, b, c),
    transpose transpose_avx2
}

/// Quarter by quarter of the block.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn transpose_avx2(block: &mut Block) {
    let quarter = |row: usize, column: usize| eight_by_eight(block, row, column);
    let quarters = [[quarter(0, 0), quarter(0, 8)], [quarter(8, 0), quarter(8, 8)]];
    for (row, quarters) in quarters.iter().enumerate() {
        for (column, quarter) in quarters.iter().enumerate() {
            for (to, vector) in block[8 * column..].iter_mut().zip(quarter) {
                // SAFETY: half of a row of a block is one vector.
                unsafe { _mm256_storeu_ps(to[8 * row..].as_mut_ptr(), *vector) };
            }
        }
    }
}

/// The columns of an 8 x 8 part of a block.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn eight_by_eight(block: &Block, row: usize, column: usize) -> [__m256; 8] {
    let zero = _mm256_setzero_ps();
    let (mut rows, mut pairs, mut fours) = ([zero; 8], [zero; 8], [zero; 8]);
    for (vector, from) in rows.iter_mut().zip(&block[row..]) {
        // SAFETY: half of a row of a block is one vector.
        *vector = unsafe { _mm256_loadu_ps(from[column..].as_ptr()) };
    }
    for at in (0..8).step_by(2) {
        pairs[at] = _mm256_unpacklo_ps(rows[at], rows[at + 1]);
        pairs[at + 1] = _mm256_unpackhi_ps(rows[at], rows[at + 1]);
    }
    for at in (0..8).step_by(4) {
        for half in 0..2 {
            let (a, b) = (_mm256_castps_pd(pairs[at + half]), _mm256_castps_pd(pairs[at + 2 + half]));
            fours[at + 2 * half] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, b));
            fours[at + 2 * half + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, b));
        }
    }
    for column in 0..4 {
        rows[column] = _mm256_permute2f128_ps::<0x20>(fours[column], fours[4 + column]);
        rows[4 + column] = _mm256_permute2f128_ps::<0x31>(fours[column], fours[4 + column]);
    }
    rows
}

#[cfg(target_arch = "aarch64")]
simd! {
    /// Four lanes, thirty-two registers.
    Neon, "neon", float32x4_t, lanes 4, registers 32,
    vdupq_n_f32, vld1q_f32, vst1q_f32, vaddq_f32, vsubq_f32, vmaxq_f32, vminq_f32,
    |a, b, c| vfmaq_f32(c, a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Transposed(Block);

    impl Kernel for &mut Transposed {
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            simd.transpose(&mut self.0);
        }
    }

    #[test]
    fn a_transposed_block_has_its_columns_as_rows() {
        let block: Block = std::array::from_fn(|row| std::array::from_fn(|column| (100 * row + column) as f32));
        for set in InstructionSet::available() {
            let mut transposed = Transposed(block);
            dispatch(set, &mut transposed);
            let expected: Block = std::array::from_fn(|row| std::array::from_fn(|column| block[column][row]));
            assert_eq!(transposed.0, expected, "{set:?}");
        }
    }
}
