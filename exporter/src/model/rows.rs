//! Tiles small maps side by side for convolution kernels that process a row at a time.
//!
//! A processor with AMX sums 32 products at once. A weight's gradient is a sum over the pixels of a row of the map, so
//! a row of 4 pixels uses an eighth of the unit. Without AMX, tiling makes no difference.

use tch::Tensor;

/// Target number of pixels in a row.
const LONG: i64 = 32;
/// Longer rows are not tiled: the copies would cost what tiling saves.
const SHORT: i64 = 8;

/// Applies `convolve`, which keeps the map size, to `maps` (`[N, C, H, W]`), tiled to rows of up to 32 pixels by the
/// largest divisor of N that fits. `between` columns of zeros separate neighbouring maps and must cover the kernel.
pub(super) fn with_long_rows(maps: &Tensor, between: i64, convolve: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let [images, _, height, width] = maps.size()[..] else { unreachable!("maps have four axes") };
    let beside = (2..=LONG / width).rev().find(|beside| images % beside == 0);
    let Some(beside) = beside.filter(|_| width <= SHORT) else { return convolve(maps) };
    let (rows, space) = (images / beside, width + between);
    let pixels = maps.permute([0, 2, 3, 1]).constant_pad_nd([0, 0, 0, between]);
    let apart = pixels.reshape([rows, beside, height, space, -1]).transpose(1, 2);
    let long = apart.reshape([rows, height, beside * space, -1]).permute([0, 3, 1, 2]);
    let answers = convolve(&long).permute([0, 2, 3, 1]).reshape([rows, height, beside, space, -1]);
    let apart = answers.narrow(3, 0, width).transpose(1, 2);
    apart.reshape([images, height, width, -1]).permute([0, 3, 1, 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    use tch::Kind;

    /// Irregular values with gradients.
    fn values(size: &[i64]) -> Tensor {
        let count: i64 = size.iter().product();
        let values: Vec<f64> = (0..count).map(|index| f64::from((index * 37 % 101) as i32) / 50.0 - 1.0).collect();
        Tensor::from_slice(&values).to_kind(Kind::Double).view(size).set_requires_grad(true)
    }

    /// The outputs, and the gradients of maps and weights for a weighted sum of the outputs.
    fn learned(maps: &Tensor, weight: &Tensor, answers: &Tensor) -> [Tensor; 3] {
        let gradients =
            Tensor::run_backward(&[(answers * values(&answers.size())).sum(None)], &[maps, weight], false, false);
        let [of_maps, of_weight] = &gradients[..] else { unreachable!("two were asked for") };
        [answers.detach(), of_maps.shallow_clone(), of_weight.shallow_clone()]
    }

    #[test]
    fn maps_side_by_side_do_not_see_each_other() {
        for (images, [height, width], side, long) in [
            (16, [4, 4], 3, 8 * 5),
            (8, [8, 8], 3, 4 * 9),
            (8, [5, 8], 5, 4 * 10),
            (30, [3, 2], 3, 15 * 3),
            (128, [6, 6], 3, 4 * 7),
            (5, [4, 4], 3, 5 * 5),
            (11, [4, 4], 3, 4),
            (4, [9, 9], 3, 9),
        ] {
            let (maps, weight) = (values(&[images, 3, height, width]), values(&[4, 3, side, side]));
            let padding = side / 2;
            let convolve = |maps: &Tensor| maps.conv2d(&weight, None::<Tensor>, [1, 1], [padding; 2], [1, 1], 1);
            let plain = learned(&maps, &weight, &convolve(&maps));
            let seen = |maps: &Tensor| {
                assert_eq!(maps.size()[3], long, "{images} of {height}x{width}");
                convolve(maps)
            };
            let found = learned(&maps, &weight, &with_long_rows(&maps, padding, seen));
            for (plain, found) in plain.iter().zip(&found) {
                assert_eq!(plain.size(), found.size());
                let difference = (plain - found).abs().max().double_value(&[]);
                assert!(difference < 1e-11, "{images} of {height}x{width}: {difference}");
            }
        }
    }
}
