//! Which images are worth more width, for a price of time.
//!
//! # The rule
//! An image at width `k` falls into bin `b` of the gain table by the probability of its most probable class. With `a` the
//! accuracy there, `p` the distribution over the bins `c` of a wider width `j`, and `t` the time of one image:
//!
//! `V(k, b) = max(a(k, b), max over j of sum over c of p(c) V(j, c) - price * (t(j) - t(k)))`
//!
//! The image stops where the first term is the larger, and else runs at the best `j` next: widening keeps what is computed. By
//! dynamic programming from full width down, once per price. Time is that of start-up: a correction of the profile scales the
//! price. The bins of a width are taken for a state, which images from different narrower bins share.

use crate::engine::{GainRow, GainTable, Width};

/// When images stop, at each of some prices.
#[derive(Debug, PartialEq)]
pub(super) struct ExitPlan {
    rows: Vec<Row>,
    /// By descending price, so by ascending mean time.
    levels: Vec<Level>,
}

/// A width at which images may stop.
#[derive(Debug, PartialEq)]
struct Row {
    width: Width,
    /// Time of one image, in nanoseconds.
    time: f64,
    /// Its bins.
    gain: GainRow,
}

/// A price.
#[derive(Debug, PartialEq)]
pub(super) struct Level {
    /// Accuracy that a second must gain.
    price: f64,
    /// For each row and bin, the row to run next; the same row to stop.
    next: Vec<Vec<usize>>,
    /// What to expect of an image that starts at each row.
    expected: Vec<Expected>,
}

/// The mean over images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Expected {
    /// Time of one image, in nanoseconds.
    pub(super) time: f64,
    /// The share of images that are right.
    pub(super) accuracy: f64,
}

/// What a table says, for each row.
struct Estimates<'a> {
    rows: &'a [Row],
    /// For each row and bin, the share of images that are right.
    accuracy: Vec<Vec<f64>>,
    /// For each row, each wider row and each bin: the distribution over the bins there.
    moves: Vec<Vec<Vec<Vec<f64>>>>,
    /// For each row, the distribution over its bins.
    start: Vec<Vec<f64>>,
}

/// A further run costs this many times what its channels cost: it is another walk through the layers.
const RERUN: f64 = 1.02;
/// What the mean of a width counts in the estimates of each of its bins, in images.
const PRIOR: f64 = 1.0;
/// Prices that are tried.
const PRICES: usize = 96;
/// The highest price that is tried over the lowest.
const SPAN: f64 = 1e5;
/// The smallest step of the mean time between two levels, as a share of its range.
const STEP: f64 = 0.02;

impl ExitPlan {
    /// The plan for a model with this gain table whose widths take these times, in nanoseconds and ascending up to full width.
    /// `None` if they have less than two widths in common.
    pub(super) fn new(gain: &GainTable, times: &[(Width, f64)]) -> Option<ExitPlan> {
        let row = |&(width, time): &(Width, f64)| Some(Row { width, time, gain: gain.row(width)?.clone() });
        let rows: Vec<Row> = times.iter().filter_map(row).collect();
        if rows.len() < 2 {
            return None;
        }
        let estimates = Estimates::new(&rows, gain);
        let range = rows[rows.len() - 1].time - rows[0].time;
        // At the highest price no image is widened: it would have to gain more than all accuracy there is.
        let shortest = rows.windows(2).map(|pair| pair[1].time - pair[0].time).filter(|&more| more > 0.0);
        let highest = 1e9 / shortest.fold(f64::INFINITY, f64::min);
        let mut levels: Vec<Level> = Vec::new();
        if range > 0.0 && highest.is_finite() {
            for at in 0..PRICES {
                let price = highest * SPAN.powf(-(at as f64) / (PRICES - 1) as f64);
                let level = estimates.level(price);
                let least = levels.last().map_or(rows[0].time, |last| last.expected[0].time) + STEP * range;
                if level.expected[0].time >= least {
                    levels.push(level);
                }
            }
        }
        (!levels.is_empty()).then_some(ExitPlan { rows, levels })
    }

    /// Number of prices.
    pub(super) fn levels(&self) -> usize {
        self.levels.len()
    }

    /// The accuracy that a second must gain at a level.
    pub(super) fn price(&self, level: usize) -> f64 {
        self.levels[level].price
    }

    /// What to expect at a level of an image that starts at the narrowest row of at least `from`.
    pub(super) fn expected(&self, level: usize, from: Width) -> Expected {
        self.levels[level].expected[self.row(from)]
    }

    /// The time of one image at the narrowest row of at least `from`, in nanoseconds.
    pub(super) fn time(&self, from: Width) -> f64 {
        self.rows[self.row(from)].time
    }

    /// Where an image starts that may not be narrower than `from`.
    pub(super) fn start(&self, from: Width) -> Width {
        self.rows[self.row(from)].width
    }

    /// The width at which to run an image next that has `width` and this calibrated probability of its most probable class;
    /// `None` to stop.
    pub(super) fn next(&self, level: usize, width: Width, probability: f32) -> Option<Width> {
        let row = self.row(width);
        let next = self.levels[level].next[row][self.rows[row].gain.bin(probability)];
        (next > row).then(|| self.rows[next].width)
    }

    /// The narrowest row that covers a width.
    fn row(&self, width: Width) -> usize {
        self.rows.partition_point(|row| row.width < width).min(self.rows.len() - 1)
    }
}

impl<'a> Estimates<'a> {
    fn new(rows: &'a [Row], table: &GainTable) -> Estimates<'a> {
        let smoothed = |counts: &[u32], mean: &[f64]| -> Vec<f64> {
            let all: f64 = counts.iter().map(|&count| f64::from(count)).sum();
            counts.iter().zip(mean).map(|(&count, mean)| (f64::from(count) + PRIOR * mean) / (all + PRIOR)).collect()
        };
        let start: Vec<Vec<f64>> = rows.iter().map(|row| distribution(row.gain.images())).collect();
        let accuracy = rows.iter().map(|Row { gain, .. }| {
            let (counts, mean) = (gain.correct().iter().zip(gain.images()), gain.accuracy());
            counts.map(|(&c, &n)| (f64::from(c) + PRIOR * mean) / (f64::from(n) + PRIOR)).collect()
        });
        let moves = (0..rows.len()).map(|row| {
            let to = |wider: usize| {
                let counts = table.moves(rows[row].width, rows[wider].width).unwrap_or_default();
                counts.iter().map(|counts| smoothed(counts, &start[wider])).collect()
            };
            (row + 1..rows.len()).map(to).collect()
        });
        let (accuracy, moves) = (accuracy.collect(), moves.collect());
        Estimates { rows, accuracy, moves, start }
    }

    /// The decisions at a price, by dynamic programming.
    fn level(&self, price: f64) -> Level {
        let count = self.rows.len();
        let mut next: Vec<Vec<usize>> = vec![Vec::new(); count];
        // For each row and bin: the value, and what to expect from there on.
        let mut value: Vec<Vec<f64>> = vec![Vec::new(); count];
        let mut then: Vec<Vec<Expected>> = vec![Vec::new(); count];
        for row in (0..count).rev() {
            for bin in 0..self.accuracy[row].len() {
                let stop = self.accuracy[row][bin];
                let mut best = (stop, row, Expected { time: 0.0, accuracy: stop });
                for wider in row + 1..count {
                    let moves = &self.moves[row][wider - row - 1][bin];
                    let time = self.rerun(row, wider);
                    let gained = mean(moves, value[wider].iter().copied()) - price * time * 1e-9;
                    // Among equals the narrower, so that a higher price never takes more time.
                    if gained > best.0 + 1e-12 {
                        let time = time + mean(moves, then[wider].iter().map(|after| after.time));
                        let accuracy = mean(moves, then[wider].iter().map(|after| after.accuracy));
                        best = (gained, wider, Expected { time, accuracy });
                    }
                }
                value[row].push(best.0);
                next[row].push(best.1);
                then[row].push(best.2);
            }
        }
        let expected = |row: usize| Expected {
            time: self.rows[row].time + mean(&self.start[row], then[row].iter().map(|after| after.time)),
            accuracy: mean(&self.start[row], then[row].iter().map(|after| after.accuracy)),
        };
        Level { price, expected: (0..count).map(expected).collect(), next }
    }

    fn rerun(&self, row: usize, wider: usize) -> f64 {
        RERUN * (self.rows[wider].time - self.rows[row].time)
    }
}

fn distribution(counts: &[u32]) -> Vec<f64> {
    let all: f64 = counts.iter().map(|&count| f64::from(count)).sum();
    counts.iter().map(|&count| f64::from(count) / all).collect()
}

fn mean(weights: &[f64], values: impl Iterator<Item = f64>) -> f64 {
    weights.iter().zip(values).map(|(weight, value)| weight * value).sum()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::Outcome;

    /// Tables of up to four widths, counted from images whose probabilities say something about them, and ascending times.
    pub(in crate::policy) fn tables() -> impl Strategy<Value = (GainTable, Vec<(Width, f64)>)> {
        let image = prop::collection::vec((0u8..50, 0u8..100), 4);
        let images = prop::collection::vec(image, 40..400);
        (2usize..=4, images, prop::collection::vec(1u32..1000, 4)).prop_map(|(count, images, steps)| {
            let widths: Vec<Width> = (1..=count).map(|active| Width::of_channels(active, count)).collect();
            let outcome = |&(top, luck): &(u8, u8)| Outcome {
                probability: 0.5 + f32::from(top) / 100.0,
                correct: luck < 50 + top,
            };
            let images: Vec<Vec<Outcome>> =
                images.iter().map(|image| image[..count].iter().map(outcome).collect()).collect();
            let times = steps.iter().scan(0.0, |sum, &step| {
                *sum += f64::from(step) * 1000.0;
                Some(*sum)
            });
            (GainTable::count(&widths, &images), widths.iter().copied().zip(times).collect())
        })
    }

    fn estimated(gain: &GainTable, times: &[(Width, f64)]) -> Vec<Row> {
        times.iter().map(|&(width, time)| Row { width, time, gain: gain.row(width).unwrap().clone() }).collect()
    }

    /// The value of the best plan from a row and bin on, by trying everything.
    fn best(estimates: &Estimates<'_>, price: f64, row: usize, bin: usize) -> f64 {
        let widen = |wider: usize| {
            let moves = &estimates.moves[row][wider - row - 1][bin];
            let then = (0..moves.len()).map(|to| best(estimates, price, wider, to));
            mean(moves, then) - price * estimates.rerun(row, wider) * 1e-9
        };
        (row + 1..estimates.rows.len()).map(widen).fold(estimates.accuracy[row][bin], f64::max)
    }

    /// What to expect of an image by walking through a level's decisions.
    fn walk(estimates: &Estimates<'_>, level: &Level, row: usize, bin: usize) -> Expected {
        let next = level.next[row][bin];
        if next == row {
            return Expected { time: 0.0, accuracy: estimates.accuracy[row][bin] };
        }
        let moves = &estimates.moves[row][next - row - 1][bin];
        let then: Vec<Expected> = (0..moves.len()).map(|to| walk(estimates, level, next, to)).collect();
        Expected {
            time: estimates.rerun(row, next) + mean(moves, then.iter().map(|after| after.time)),
            accuracy: mean(moves, then.iter().map(|after| after.accuracy)),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn no_other_plan_is_better_at_its_price((gain, times) in tables(), price in 0.0f64..3000.0) {
            let rows = estimated(&gain, &times);
            let estimates = Estimates::new(&rows, &gain);
            let level = estimates.level(price);
            for (row, width) in rows.iter().enumerate() {
                for bin in 0..estimates.accuracy[row].len() {
                    let Expected { time, accuracy } = walk(&estimates, &level, row, bin);
                    let value = accuracy - price * time * 1e-9;
                    prop_assert!((value - best(&estimates, price, row, bin)).abs() < 1e-9);
                }
                let walked: Vec<Expected> =
                    (0..estimates.accuracy[row].len()).map(|bin| walk(&estimates, &level, row, bin)).collect();
                let time = width.time + mean(&estimates.start[row], walked.iter().map(|after| after.time));
                let accuracy = mean(&estimates.start[row], walked.iter().map(|after| after.accuracy));
                prop_assert!((level.expected[row].time - time).abs() < 1e-3);
                prop_assert!((level.expected[row].accuracy - accuracy).abs() < 1e-9);
            }
        }

        #[test]
        fn a_lower_price_takes_more_time_and_is_more_often_right((gain, times) in tables()) {
            let Some(plan) = ExitPlan::new(&gain, &times) else { return Ok(()) };
            for level in 1..plan.levels() {
                prop_assert!(plan.price(level) < plan.price(level - 1));
                for &(width, _) in &times {
                    let [less, more] = [level - 1, level].map(|level| plan.expected(level, width));
                    prop_assert!(more.time >= less.time - 1e-6 && more.accuracy >= less.accuracy - 1e-9);
                }
            }
        }

        #[test]
        fn an_image_only_ever_becomes_wider((gain, times) in tables(), top in 0.0f32..=1.0) {
            let Some(plan) = ExitPlan::new(&gain, &times) else { return Ok(()) };
            for level in 0..plan.levels() {
                for &(width, _) in &times {
                    prop_assert!(plan.next(level, width, top).is_none_or(|next| next > width));
                }
                prop_assert_eq!(plan.next(level, Width::FULL, top), None);
            }
        }
    }

    #[test]
    fn images_that_more_width_does_not_change_stop_and_the_others_are_widened() {
        // Half of the images are sure and right at the narrow width; the others become right at full width.
        let width = Width::of_channels(1, 2);
        let image = |sure: bool| {
            let narrow = Outcome { probability: if sure { 0.9 } else { 0.6 }, correct: sure };
            vec![narrow, Outcome { probability: 0.95, correct: true }]
        };
        let images: Vec<_> = (0..400).map(|n| image(n % 2 == 0)).collect();
        let gain = GainTable::count(&[width, Width::FULL], &images);
        let plan = ExitPlan::new(&gain, &[(width, 1e5), (Width::FULL, 4e5)]).unwrap();
        // Widening gains almost everything in 306 us: 3,200 a second. Only the prior makes anyone else gain, some 8 a second.
        for level in (0..plan.levels()).filter(|&level| plan.price(level) > 10.0) {
            assert_eq!(plan.next(level, width, 0.95), None);
            assert_eq!(plan.next(level, width, 0.6), Some(Width::FULL));
            assert!(plan.price(level) < 3300.0);
        }
        assert!(plan.price(0) > 10.0);
        let Expected { time, accuracy } = plan.expected(0, width);
        assert!((time - (1e5 + 0.5 * RERUN * 3e5)).abs() < 1.0 && accuracy > 0.99, "{time} {accuracy}");
    }

    #[test]
    fn tables_that_say_nothing_make_no_plan() {
        let widths = [Width::of_channels(1, 2), Width::FULL];
        let image =
            |narrow: bool, wide: bool| [narrow, wide].map(|correct| Outcome { probability: 0.8, correct }).to_vec();
        let times = widths.map(|width| (width, if width == Width::FULL { 2e5 } else { 1e5 }));
        // A wider width is wrong where the narrow one is right.
        let falling: Vec<_> = (0..100).map(|n| image(true, n % 2 == 0)).collect();
        assert_eq!(ExitPlan::new(&GainTable::count(&widths, &falling), &times), None);
        // No width in common but full width, and widths that take no time.
        let table = GainTable::count(&widths, &(0..100).map(|_| image(false, true)).collect::<Vec<_>>());
        assert_eq!(ExitPlan::new(&table, &times[1..]), None);
        assert_eq!(ExitPlan::new(&table, &widths.map(|width| (width, 1e5))), None);
    }
}
