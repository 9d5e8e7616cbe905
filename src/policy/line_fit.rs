//! Measured times, made a straight line.

use std::time::Duration;

/// Nanoseconds of a batch: once, and for each item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    pub(super) setup: f64,
    pub(super) item: f64,
}

pub(super) fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

/// The line with the least squared relative error, neither of its parts below zero.
pub(super) fn fit(latencies: &[(usize, Duration)]) -> Line {
    // Divided by the times: setup * x + item * y = 1, where x = 1/t and y = batch/t.
    let points = latencies.iter().map(|&(batch, time)| (1.0 / nanoseconds(time), batch as f64 / nanoseconds(time)));
    let [mut xx, mut xy, mut yy, mut x, mut y] = [0.0; 5];
    for (px, py) in points {
        (xx, xy, yy, x, y) = (xx + px * px, xy + px * py, yy + py * py, x + px, y + py);
    }
    let determinant = xx * yy - xy * xy;
    // Of one batch size alone no setup can be told.
    let line = if determinant > 1e-9 * xx * yy {
        Line { setup: (x * yy - y * xy) / determinant, item: (y * xx - x * xy) / determinant }
    } else {
        Line { setup: 0.0, item: y / yy }
    };
    match line {
        Line { setup, .. } if setup < 0.0 => Line { setup: 0.0, item: y / yy },
        Line { item, .. } if item < 0.0 => Line { setup: x / xx, item: 0.0 },
        line => line,
    }
}

/// The ascending sequence with the least squared error: neighbours that descend share their mean (Ayer et al. 1955, pool
/// adjacent violators).
pub(super) fn ascending(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for value in values {
        let (mut sum, mut count) = (value, 1);
        while let Some(&(before, many)) = pools.last()
            && before / many as f64 > sum / count as f64
        {
            (sum, count) = (sum + before, count + many);
            pools.pop();
        }
        pools.push((sum, count));
    }
    pools.into_iter().flat_map(|(sum, count)| std::iter::repeat_n(sum / count as f64, count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn one_batch_size_tells_no_setup() {
        assert_eq!(fit(&[(4, ms(8)), (4, ms(8))]), Line { setup: 0.0, item: 2e6 });
    }

    #[test]
    fn neither_part_is_below_zero() {
        let convex = fit(&[(1, ms(1)), (8, ms(20))]);
        assert!(convex.setup == 0.0 && convex.item > 1e6, "{convex:?}");
        let falling = fit(&[(1, ms(20)), (8, ms(10))]);
        assert!(falling.item == 0.0 && falling.setup > 1e7, "{falling:?}");
    }

    proptest! {
        /// No other ascending sequence that is tried, a pair of neighbours moved together or apart, is nearer.
        #[test]
        fn the_ascending_sequence_is_the_nearest(values in prop::collection::vec(0.0f64..9.0, 1..12), by in -0.5f64..0.5) {
            let found = ascending(values.iter().copied());
            let error = |other: &[f64]| other.iter().zip(&values).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            prop_assert!(found.is_sorted());
            for from in 0..found.len() {
                for to in from..found.len() {
                    let mut other = found.clone();
                    other[from..=to].iter_mut().for_each(|value| *value += by);
                    if other.is_sorted() {
                        prop_assert!(error(&found) <= error(&other) + 1e-9);
                    }
                }
            }
        }
    }
}
