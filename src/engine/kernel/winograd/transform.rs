//! The transforms of Winograd's minimal filtering, F(M x M, 3 x 3): Lavin and Gray, "Fast Algorithms for Convolutional Neural
//! Networks" (CVPR 2016).
//!
//! A tile of `M x M` outputs reads a tile of `(M + 2) x (M + 2)` inputs `d`. With a kernel `g` it is
//! `A^T [(G g G^T) * (B^T d B)] A`, the product taken element by element, where each of the `(M + 2)^2` elements is a frequency. The
//! points of interpolation are 0, 1, -1, 2, -2 and infinity for M = 4, and 0, 1, -1 and infinity for M = 2.

use crate::engine::graph::{Pool, PoolKind, Shape};
use crate::engine::kernel::simd::Simd;

/// The side of an output tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tiling {
    /// F(2 x 2, 3 x 3): 16 multiplications for 4 outputs instead of 36.
    Two,
    /// F(4 x 4, 3 x 3): 36 multiplications for 16 outputs instead of 144.
    Four,
}

/// Elements of the longest line of a tile.
pub(super) const MAX_SIDE: usize = 6;

/// One tiling at compile time.
pub(super) trait Transform {
    /// Outputs along a line of a tile.
    const OUTPUTS: usize;
    /// Inputs, and frequencies, along a line of a tile.
    const INPUTS: usize = Self::OUTPUTS + 2;

    /// A column of `B^T d`. Elements from [`Transform::INPUTS`] on are ignored.
    fn input<S: Simd>(simd: S, line: [S::V; MAX_SIDE]) -> [S::V; MAX_SIDE];
    /// A column of `A^T m`. Elements from [`Transform::OUTPUTS`] on mean nothing.
    fn output<S: Simd>(simd: S, line: [S::V; MAX_SIDE]) -> [S::V; MAX_SIDE];
}

/// [`Tiling::Two`].
pub(super) struct Two;
/// [`Tiling::Four`].
pub(super) struct Four;

impl Tiling {
    /// Outputs along a side of a tile.
    pub(crate) fn outputs(self) -> usize {
        match self {
            Tiling::Two => 2,
            Tiling::Four => 4,
        }
    }

    /// Frequencies of a tile.
    pub(crate) fn frequencies(self) -> usize {
        (self.outputs() + 2) * (self.outputs() + 2)
    }

    /// Whether a pooling of an output of this shape can be computed tile by tile.
    pub(crate) fn pools(self, pool: &Pool, output: Shape) -> bool {
        let Pool { kind, window } = pool;
        let halves = window.kernel == [2, 2] && window.stride == [2, 2] && window.is_inside();
        *kind == PoolKind::Max && halves && output.height.is_multiple_of(2) && output.width.is_multiple_of(2)
    }

    /// `G g G^T` of a kernel, `[3][3]`, row by row.
    pub(super) fn kernel(self, taps: &[f32]) -> Vec<f64> {
        let lines: &[[f64; 3]] = match self {
            Tiling::Two => &[[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]],
            Tiling::Four => &[
                [1.0 / 4.0, 0.0, 0.0],
                [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
                [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
                [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
                [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
                [0.0, 0.0, 1.0],
            ],
        };
        let tap = |row: usize, column: usize| f64::from(taps[3 * row + column]);
        let element = |a: &[f64; 3], b: &[f64; 3]| {
            let row = |row: usize| (0..3).map(|column| tap(row, column) * b[column]).sum::<f64>();
            (0..3).map(|at| a[at] * row(at)).sum()
        };
        lines.iter().flat_map(|a| lines.iter().map(move |b| element(a, b))).collect()
    }
}

impl Transform for Two {
    const OUTPUTS: usize = 2;

    #[inline(always)]
    fn input<S: Simd>(simd: S, line: [S::V; MAX_SIDE]) -> [S::V; MAX_SIDE] {
        let [a, b, c, d, ..] = line;
        [simd.sub(a, c), simd.add(b, c), simd.sub(c, b), simd.sub(b, d), a, a]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, line: [S::V; MAX_SIDE]) -> [S::V; MAX_SIDE] {
        let [a, b, c, d, ..] = line;
        [simd.add(simd.add(a, b), c), simd.sub(simd.sub(b, c), d), a, a, a, a]
    }
}

impl Transform for Four {
    const OUTPUTS: usize = 4;

    #[inline(always)]
    fn input<S: Simd>(simd: S, line: [S::V; MAX_SIDE]) -> [S::V; MAX_SIDE] {
        let [a, b, c, d, e, f] = line;
        let [four, minus_four, minus_five, two, minus_two] =
            [simd.splat(4.0), simd.splat(-4.0), simd.splat(-5.0), simd.splat(2.0), simd.splat(-2.0)];
        let even = simd.mul_add(c, minus_four, e);
        let odd = simd.mul_add(b, minus_four, d);
        let (difference, step) = (simd.sub(e, c), simd.sub(d, b));
        [
            simd.mul_add(a, four, simd.mul_add(c, minus_five, e)),
            simd.add(even, odd),
            simd.sub(even, odd),
            simd.mul_add(step, two, difference),
            simd.mul_add(step, minus_two, difference),
            simd.mul_add(b, four, simd.mul_add(d, minus_five, f)),
        ]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, line: [S::V; MAX_SIDE]) -> [S::V; MAX_SIDE] {
        let [a, b, c, d, e, f] = line;
        let [two, four, eight] = [simd.splat(2.0), simd.splat(4.0), simd.splat(8.0)];
        let (sum, difference) = (simd.add(b, c), simd.sub(b, c));
        let (far_sum, far_difference) = (simd.add(d, e), simd.sub(d, e));
        [
            simd.add(simd.add(a, sum), far_sum),
            simd.mul_add(far_difference, two, difference),
            simd.mul_add(far_sum, four, sum),
            simd.add(simd.mul_add(far_difference, eight, difference), f),
            a,
            a,
        ]
    }
}
