//! SIMD vectors and run-time dispatch: one source, compiled once per instruction set.
//!
//! A value of a type that implements [`Simd`] is a token: proof that the processor has the instructions. Only the functions that
//! dispatch create tokens. [`portable`] has plain arrays, [`native`] names intrinsics. Other files with `unsafe` are the microkernels.
#![expect(unsafe_code, reason = "intrinsics, and memory that they read and write through pointers")]

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod native;
mod portable;
#[cfg(test)]
mod tests;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use native::*;
use portable::Portable;

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
    /// `a * b`, lane by lane.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`, lane by lane.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
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
    /// and its addition, as x86 does it in one instruction, which takes subnormal numbers for zero.
    #[inline(always)]
    fn dot_pairs(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        let ([a_low, a_high], [b_low, b_high]) = (self.halves(a), self.halves(b));
        self.mul_add(a_low, b_low, self.mul_add(a_high, b_high, c))
    }

    /// `2^n` of integers `n` from -126 to 127, lane by lane.
    #[inline(always)]
    fn power_of_two(self, n: Self::V) -> Self::V {
        // The last place of numbers around 3 * 2^15 is 2^-7: bits 7 to 14 of the sum are the biased exponent of `2^n`.
        self.halves(self.add(n, self.splat(98_304.0 + 127.0)))[0]
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

    /// This one, or the portable one if the processor lacks it.
    pub(crate) fn or_portable(self) -> InstructionSet {
        if self.is_available() { self } else { InstructionSet::Portable }
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
