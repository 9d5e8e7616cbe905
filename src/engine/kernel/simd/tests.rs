//! What every instruction set computes alike.
#![expect(unsafe_code, reason = "stores")]

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
