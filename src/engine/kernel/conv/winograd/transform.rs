//! The transforms of Winograd's minimal filtering, F(M x M, R x R): Lavin and Gray, "Fast Algorithms for Convolutional Neural
//! Networks" (CVPR 2016).
//!
//! A tile of `M x M` outputs reads a tile of `N x N` inputs `d`, where `N = M + R - 1`. With a kernel `g` it is
//! `A^T [(G g G^T) * (B^T d B)] A`, the product taken element by element, where each of the `N^2` elements is a frequency. The points
//! of interpolation are 0, 1, -1, 2, -2 and infinity for `N = 6`, and 0, 1, -1 and infinity for `N = 4`.

use crate::engine::graph::{Pool, PoolKind, Shape};
use crate::engine::kernel::simd::Simd;

/// The sides of an output tile and of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tiling {
    /// F(2 x 2, 3 x 3): 16 multiplications for 4 outputs instead of 36.
    Two,
    /// F(4 x 4, 3 x 3): 36 multiplications for 16 outputs instead of 144.
    Four,
    /// F(2 x 2, 5 x 5): 36 multiplications for 4 outputs instead of 100.
    TwoOfFive,
}

/// Elements of the longest line of a tile.
pub(super) const MAX_SIDE: usize = 6;

/// One tiling at compile time.
pub(super) trait Transform {
    /// Outputs along a line of a tile.
    const OUTPUTS: usize;
    /// Inputs, and frequencies, along a line of a tile.
    const INPUTS: usize;

    /// A column of `B^T d`. Elements from [`Transform::INPUTS`] on are ignored.
    fn input<S: Simd>(simd: S, line: [S::V; MAX_SIDE]) -> [S::V; MAX_SIDE];
    /// A column of `A^T m`. Elements from [`Transform::OUTPUTS`] on mean nothing.
    fn output<S: Simd>(simd: S, line: [S::V; MAX_SIDE]) -> [S::V; MAX_SIDE];
}

/// [`Tiling::Two`].
pub(super) struct Two;
/// [`Tiling::Four`].
pub(super) struct Four;
/// [`Tiling::TwoOfFive`].
pub(super) struct TwoOfFive;

impl Tiling {
    pub(crate) const ALL: [Tiling; 3] = [Tiling::Two, Tiling::Four, Tiling::TwoOfFive];

    /// Outputs along a side of a tile.
    pub(super) fn outputs(self) -> usize {
        match self {
            Tiling::Two | Tiling::TwoOfFive => 2,
            Tiling::Four => 4,
        }
    }

    /// The side of the kernel.
    pub(super) fn kernel_side(self) -> usize {
        match self {
            Tiling::Two | Tiling::Four => 3,
            Tiling::TwoOfFive => 5,
        }
    }

    /// Inputs along a side of a tile.
    pub(super) fn inputs(self) -> usize {
        self.outputs() + self.kernel_side() - 1
    }

    /// Frequencies of a tile.
    pub(crate) fn frequencies(self) -> usize {
        self.inputs() * self.inputs()
    }

    /// Tiles down and across a map.
    pub(super) fn tiles(self, map: Shape) -> [usize; 2] {
        [map.height.div_ceil(self.outputs()), map.width.div_ceil(self.outputs())]
    }

    /// Whether a pooling of an output of this shape can be computed tile by tile.
    pub(crate) fn pools(self, pool: &Pool, output: Shape) -> bool {
        let Pool { kind, window } = pool;
        let halves = window.kernel == [2, 2] && window.stride == [2, 2] && window.is_inside();
        *kind == PoolKind::Max && halves && output.height.is_multiple_of(2) && output.width.is_multiple_of(2)
    }

    /// The lines of `G`: the powers of each point, divided by the product of its distances from the others. The last is infinity.
    pub(super) fn lines(self) -> Vec<Vec<f64>> {
        let points: &[(f64, f64)] = match self.inputs() {
            4 => &[(0.0, 1.0), (1.0, 2.0), (-1.0, 2.0)],
            _ => &[(0.0, 4.0), (1.0, -6.0), (-1.0, -6.0), (2.0, 24.0), (-2.0, 24.0)],
        };
        let side = self.kernel_side();
        let powers =
            |&(point, divisor): &(f64, f64)| (0..side).map(|power| point.powi(power as i32) / divisor).collect();
        let last = (0..side).map(|tap| if tap + 1 == side { 1.0 } else { 0.0 }).collect();
        points.iter().map(powers).chain([last]).collect()
    }

    /// `G g G^T` of a kernel, row by row, with `G` from [`Tiling::lines`].
    pub(super) fn kernel(self, lines: &[Vec<f64>], taps: &[f32]) -> Vec<f64> {
        let side = self.kernel_side();
        let tap = |row: usize, column: usize| f64::from(taps[side * row + column]);
        let element = |a: &[f64], b: &[f64]| {
            let row = |row: usize| (0..side).map(|column| tap(row, column) * b[column]).sum::<f64>();
            (0..side).map(|at| a[at] * row(at)).sum()
        };
        lines.iter().flat_map(|a| lines.iter().map(move |b| element(a, b))).collect()
    }
}

impl Transform for Two {
    const OUTPUTS: usize = 2;
    const INPUTS: usize = 4;

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
    const INPUTS: usize = 6;

    #[inline(always)]
    fn input<S: Simd>(simd: S, line: [S::V; MAX_SIDE]) -> [S::V; MAX_SIDE] {
        six(simd, line)
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, line: [S::V; MAX_SIDE]) -> [S::V; MAX_SIDE] {
        let [a, .., f] = line;
        let [two, four, eight] = [simd.splat(2.0), simd.splat(4.0), simd.splat(8.0)];
        let [sum, difference, far_sum, far_difference] = opposite(simd, line);
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

impl Transform for TwoOfFive {
    const OUTPUTS: usize = 2;
    const INPUTS: usize = 6;

    #[inline(always)]
    fn input<S: Simd>(simd: S, line: [S::V; MAX_SIDE]) -> [S::V; MAX_SIDE] {
        six(simd, line)
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, line: [S::V; MAX_SIDE]) -> [S::V; MAX_SIDE] {
        let [a, .., f] = line;
        let [sum, difference, far_sum, far_difference] = opposite(simd, line);
        let odd = simd.mul_add(far_difference, simd.splat(2.0), difference);
        [simd.add(simd.add(a, sum), far_sum), simd.add(odd, f), a, a, a, a]
    }
}

/// Sum and difference of the products at the points 1 and -1, and of those at 2 and -2.
#[inline(always)]
fn opposite<S: Simd>(simd: S, [_, b, c, d, e, _]: [S::V; MAX_SIDE]) -> [S::V; 4] {
    [simd.add(b, c), simd.sub(b, c), simd.add(d, e), simd.sub(d, e)]
}

/// A column of `B^T d` for six inputs.
#[inline(always)]
fn six<S: Simd>(simd: S, line: [S::V; MAX_SIDE]) -> [S::V; MAX_SIDE] {
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
