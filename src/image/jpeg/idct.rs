//! The inverse DCT at full size, bit-identical to libjpeg's accurate integer transform ("islow").
//!
//! It uses the factorization of Loeffler, Ligtenberg and Moschytz with 13-bit constants: columns first, with two extra
//! bits of precision, then rows.

use super::plane::Sink;

/// The sink of a block's coefficients.
pub(super) struct Whole<'a> {
    /// Quantization steps, in zigzag order.
    steps: &'a [i32; 64],
    /// Dequantized coefficients, row by row.
    rows: [Lanes; 8],
    only_mean: bool,
}

/// Eight values that take the same operations.
type Lanes = [i32; 8];

/// Row and column of each coefficient of the zigzag order.
pub(super) const ORDER: [(usize, usize); 64] = order();

impl<'a> Whole<'a> {
    pub(super) fn new(steps: &'a [i32; 64]) -> Whole<'a> {
        Whole { steps, rows: [[0; 8]; 8], only_mean: true }
    }

    /// Writes the block's samples. Rows are `stride` apart.
    #[inline]
    pub(super) fn write(self, target: &mut [u8], stride: usize) {
        if self.only_mean {
            let mean = sample(self.rows[0][0].wrapping_add(4) >> 3);
            target.chunks_mut(stride).take(8).for_each(|row| row[..8].fill(mean));
            return;
        }
        let columns = transposed(&transform(&self.rows, 11));
        let samples = transposed(&transform(&columns, 18));
        for (row, values) in target.chunks_mut(stride).zip(samples) {
            row[..8].copy_from_slice(&values.map(sample));
        }
    }
}

impl Sink for Whole<'_> {
    const MEAN_ALONE: bool = false;

    #[inline]
    fn mean(&mut self, value: i32) {
        self.rows[0][0] = value.wrapping_mul(self.steps[0]);
    }

    #[inline]
    fn other(&mut self, at: usize, value: i32) {
        let (row, column) = ORDER[at & 63];
        self.rows[row][column] = value.wrapping_mul(self.steps[at & 63]);
        self.only_mean = false;
    }
}

/// Shifts and clamps a value around 0 to a byte. Only its lower ten bits count, as in libjpeg: the coefficients of an
/// image need no more, those of a damaged file may.
#[inline]
fn sample(value: i32) -> u8 {
    const UNUSED: u32 = i32::BITS - 10;
    (((value << UNUSED) >> UNUSED) + 128).clamp(0, 255) as u8
}

/// Eight one-dimensional transforms side by side; results are rounded by `shift` bits. Damaged files may overflow.
#[inline]
fn transform(input: &[Lanes; 8], shift: u32) -> [Lanes; 8] {
    let add = |a: Lanes, b: Lanes| -> Lanes { std::array::from_fn(|lane| a[lane].wrapping_add(b[lane])) };
    let sub = |a: Lanes, b: Lanes| -> Lanes { std::array::from_fn(|lane| a[lane].wrapping_sub(b[lane])) };
    let times = |a: Lanes, factor: i32| -> Lanes { a.map(|value| value.wrapping_mul(factor)) };

    let common = times(add(input[2], input[6]), 4433);
    let two = sub(common, times(input[6], 15137));
    let three = add(common, times(input[2], 6270));
    let (sum, difference) = (times(add(input[0], input[4]), 1 << 13), times(sub(input[0], input[4]), 1 << 13));
    let even = [add(sum, three), add(difference, two), sub(difference, two), sub(sum, three)];

    let [seven, five, three, one] = [input[7], input[5], input[3], input[1]];
    let (a, b) = (times(add(seven, one), -7373), times(add(five, three), -20995));
    let (c, d) = (add(seven, three), add(five, one));
    let common = times(add(c, d), 9633);
    let (c, d) = (add(times(c, -16069), common), add(times(d, -3196), common));
    let odd = [
        add(times(one, 12299), add(a, d)),
        add(times(three, 25172), add(b, c)),
        add(times(five, 16819), add(b, d)),
        add(times(seven, 2446), add(a, c)),
    ];

    let round = |values: Lanes| values.map(|value| value.wrapping_add(1 << (shift - 1)) >> shift);
    std::array::from_fn(|at| match at {
        0..=3 => round(add(even[at], odd[at])),
        _ => round(sub(even[7 - at], odd[7 - at])),
    })
}

#[inline]
fn transposed(rows: &[Lanes; 8]) -> [Lanes; 8] {
    std::array::from_fn(|row| std::array::from_fn(|column| rows[column][row]))
}

const fn order() -> [(usize, usize); 64] {
    let mut order = [(0, 0); 64];
    let (mut row, mut column, mut at) = (0, 0, 0);
    while at < 64 {
        order[at] = (row, column);
        let upwards = (row + column) % 2 == 0;
        match (upwards, row, column) {
            (true, _, 7) => row += 1,
            (true, 0, _) => column += 1,
            (true, ..) => (row, column) = (row - 1, column + 1),
            (false, 7, _) => column += 1,
            (false, _, 0) => row += 1,
            (false, ..) => (row, column) = (row + 1, column - 1),
        }
        at += 1;
    }
    order
}
