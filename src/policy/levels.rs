//! What the width controller chooses between: the levels of a model, by ascending mean time.
//!
//! Without a gain table, each width is a level, the same for all images. With one, the narrowest and full width are such levels,
//! and between them lie prices of time, at which each image stops where more width is not worth its time (see
//! [`exit_plan`](super::exit_plan)). A level's *equivalent width* is the one width for all images that takes as long.

use std::sync::Arc;
use std::time::Duration;

use super::exit_plan::ExitPlan;
use super::profile::Cost;
use crate::engine::{GainTable, Width};

/// The levels of a model; at least one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Levels {
    levels: Vec<Level>,
    plan: Option<Arc<ExitPlan>>,
    /// What an image costs at each level, by the narrowest step that it allows, as corrected now.
    costs: Vec<Cost>,
    steps: usize,
}

#[derive(Debug, Clone, PartialEq)]
struct Level {
    /// The equivalent width.
    width: Width,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq)]
enum Rule {
    /// The same step for all images.
    Step(usize),
    /// A price of the plan, and where between its narrowest step and full width the mean time lies, by the narrowest step.
    Price(usize, Vec<f64>),
}

/// When the images of a batch stop, at one price of time.
#[derive(Debug, Clone)]
pub struct ExitRule {
    plan: Arc<ExitPlan>,
    level: usize,
    correction: f64,
}

/// Plans count what a price adds to the narrowest width this many times. Images differ from the mean, and prices are so close that
/// a queue would use all of its time and leave none for a burst. At 1, the simulator answers 0.1 points fewer of all requests in
/// time, and gains nothing.
const VARIANCE: f64 = 1.3;

impl Levels {
    /// One level for each of these widths.
    pub(super) fn of_steps(widths: &[Width]) -> Levels {
        let level = |(step, &width)| Level { width, rule: Rule::Step(step) };
        let levels = widths.iter().enumerate().map(level).collect();
        Levels { levels, plan: None, costs: Vec::new(), steps: widths.len() }
    }

    /// Prices by a gain table; one level per width if the table has too few of them. `times` are those of one image at each step
    /// in nanoseconds, ascending.
    pub(super) fn of_prices(gain: &GainTable, times: &[(Width, f64)]) -> Levels {
        let widths: Vec<Width> = times.iter().map(|time| time.0).collect();
        let Some(plan) = ExitPlan::new(gain, times) else { return Levels::of_steps(&widths) };
        let last = times.len() - 1;
        let mut levels = vec![Level { width: widths[0], rule: Rule::Step(0) }];
        let mut below = vec![0.0; times.len()];
        for price in 0..plan.levels() {
            let share = |step: usize| {
                let (narrow, wide) = (times[step].1, times[last].1);
                let mean = narrow + VARIANCE * (plan.expected(price, widths[step]).time - narrow);
                let share = if wide > narrow { (mean - narrow) / (wide - narrow) } else { 1.0 };
                // Rounding must not let it fall.
                share.clamp(below[step], 1.0)
            };
            let shares: Vec<f64> = (0..=last).map(share).collect();
            let width = equivalent(times, times[0].1 + shares[0] * (times[last].1 - times[0].1));
            if levels.last().is_some_and(|below| below.width < width) && width < Width::FULL {
                below.clone_from(&shares);
                levels.push(Level { width, rule: Rule::Price(price, shares) });
            }
        }
        levels.push(Level { width: Width::FULL, rule: Rule::Step(last) });
        Levels { levels, plan: Some(Arc::new(plan)), costs: Vec::new(), steps: times.len() }
    }

    /// Computes all costs from those of the steps.
    pub(super) fn correct(&mut self, steps: &[Cost]) {
        let full = steps[steps.len() - 1];
        let between = |from: u64, to: u64, share: f64| from + ((to - from) as f64 * share) as u64;
        self.costs.clear();
        for level in &self.levels {
            let cost = |from: usize| match &level.rule {
                Rule::Step(step) => steps[from.max(*step)],
                Rule::Price(_, shares) => Cost {
                    setup: between(steps[from].setup, full.setup, shares[from]),
                    item: between(steps[from].item, full.item, shares[from]),
                },
            };
            self.costs.extend((0..steps.len()).map(cost));
        }
    }

    /// Number of levels.
    pub(super) fn len(&self) -> usize {
        self.levels.len()
    }

    /// The equivalent width of a level.
    pub(super) fn width(&self, level: usize) -> Width {
        self.levels[level].width
    }

    /// The widest level within an equivalent width, or the narrowest of all.
    pub(super) fn within(&self, width: Width) -> usize {
        self.levels.partition_point(|level| level.width <= width).max(1) - 1
    }

    /// What an image costs at a level, by the narrowest step that it allows. Never falls with the level.
    pub(super) fn costs(&self, level: usize) -> &[Cost] {
        &self.costs[level * self.steps..][..self.steps]
    }

    /// The widest step of any image at a level.
    pub(super) fn widest_step(&self, level: usize) -> usize {
        match self.levels[level].rule {
            Rule::Step(step) => step,
            Rule::Price(..) => self.steps - 1,
        }
    }

    /// When images stop at a level; `None` if all run at one width.
    pub(super) fn exit_rule(&self, level: usize, correction: f64) -> Option<ExitRule> {
        let Rule::Price(level, _) = self.levels[level].rule else { return None };
        Some(ExitRule { plan: self.plan.clone()?, level, correction })
    }

    /// Whether there are prices.
    pub(super) fn has_prices(&self) -> bool {
        self.plan.is_some()
    }
}

impl ExitRule {
    /// Where an image starts that may not be narrower than `from`.
    pub fn start(&self, from: Width) -> Width {
        self.plan.start(from)
    }

    /// The width at which to run an image next that has `width` and this calibrated probability of its most probable class;
    /// `None` to stop.
    pub fn next(&self, width: Width, probability: f32) -> Option<Width> {
        self.plan.next(self.level, width, probability)
    }

    /// How long widening an image takes, as corrected when the batch was formed.
    pub fn time(&self, from: Width, to: Width) -> Duration {
        let more = self.plan.time(to) - self.plan.time(from);
        Duration::from_nanos((more.max(0.0) * self.correction) as u64)
    }

    /// The mean time of an image that starts at `from`, as corrected when the rule was asked for.
    pub fn mean_time(&self, from: Width) -> Duration {
        Duration::from_nanos((self.plan.expected(self.level, from).time * self.correction) as u64)
    }

    /// The expected share of images that are right if they start at `from`.
    pub fn expected_accuracy(&self, from: Width) -> f64 {
        self.plan.expected(self.level, from).accuracy
    }

    /// The price of time: the accuracy that a second must gain.
    pub fn price(&self) -> f64 {
        self.plan.price(self.level) / self.correction
    }
}

impl PartialEq for ExitRule {
    /// Of the same plan, at the same price.
    fn eq(&self, other: &ExitRule) -> bool {
        Arc::ptr_eq(&self.plan, &other.plan) && self.level == other.level && self.correction == other.correction
    }
}

/// The width that takes `time`, linear between the steps.
fn equivalent(times: &[(Width, f64)], time: f64) -> Width {
    let above = times.partition_point(|step| step.1 < time).clamp(1, times.len() - 1);
    let ((narrow, less), (wide, more)) = (times[above - 1], times[above]);
    let share = if more > less { ((time - less) / (more - less)).clamp(0.0, 1.0) } else { 1.0 };
    let between = f64::from(narrow.millionths()) * (1.0 - share) + f64::from(wide.millionths()) * share;
    Width::from_millionths(between.round() as u32).unwrap_or(wide)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::exit_plan::tests::tables;
    use super::super::testing::{gain, profile};
    use super::*;

    #[test]
    fn without_a_gain_table_a_level_is_a_width() {
        let profile = profile();
        let levels = profile.levels();
        assert_eq!(levels.len(), 4);
        for level in 0..4 {
            assert_eq!((levels.width(level), levels.widest_step(level)), (profile.width(level), level));
            assert_eq!(profile.exit_rule(level), None);
            let costs: Vec<Cost> = (0..4).map(|from| profile.costs()[level.max(from)]).collect();
            assert_eq!(levels.costs(level), costs);
        }
    }

    #[test]
    fn with_one_prices_lie_between_the_narrowest_and_full_width() {
        let profile = profile().with_gain(&gain());
        let levels = profile.levels();
        let last = levels.len() - 1;
        assert!(last > 5, "{last}");
        assert_eq!((levels.widest_step(0), levels.widest_step(last)), (0, 3));
        assert_eq!((profile.exit_rule(0), profile.exit_rule(last)), (None, None));
        assert_eq!((levels.width(0), levels.width(last)), (profile.width(0), Width::FULL));
        let rules: Vec<ExitRule> = (1..last).map(|level| profile.exit_rule(level).unwrap()).collect();
        assert!(rules.is_sorted_by(|a, b| a.price() > b.price()));
        let [narrow, full] = [0, 3].map(|step| profile.width(step));
        assert_eq!(rules[0].time(narrow, full), Duration::from_micros(300));
        assert_eq!(rules[0].time(full, narrow), Duration::ZERO);
        assert_eq!(rules[0].start("0.3".parse().unwrap()), profile.width(1));
    }

    #[test]
    fn a_correction_scales_times_and_prices() {
        let mut profile = profile().with_gain(&gain());
        let before = profile.exit_rule(3).unwrap();
        for _ in 0..500 {
            profile.record([Width::FULL], Duration::from_micros(800));
        }
        let after = profile.exit_rule(3).unwrap();
        assert!((before.price() / after.price() - 2.0).abs() < 1e-6);
        assert_eq!(after.time(profile.width(0), Width::FULL).as_micros(), 599);
        let costs = profile.levels().costs(3);
        let middle = (profile.costs()[0].item + profile.costs()[3].item) / 2;
        assert!(costs[0].item > profile.costs()[0].item && costs[0].item < middle * 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        /// More load moves the level down, and so never raises the expected time of any image.
        #[test]
        fn a_lower_level_never_costs_more((gain, times) in tables(), setup in 0u64..9000) {
            let mut levels = Levels::of_prices(&gain, &times);
            let steps: Vec<Cost> = times.iter().map(|time| Cost { setup, item: time.1 as u64 }).collect();
            levels.correct(&steps);
            for level in 1..levels.len() {
                prop_assert!(levels.width(level) > levels.width(level - 1));
                prop_assert_eq!(levels.within(levels.width(level)), level);
                for (less, more) in levels.costs(level - 1).iter().zip(levels.costs(level)) {
                    prop_assert!(less.setup <= more.setup && less.item <= more.item);
                }
                for (step, cost) in levels.costs(level).iter().enumerate() {
                    prop_assert!(cost.item >= steps[step].item && cost.item <= steps[steps.len() - 1].item);
                }
            }
            prop_assert_eq!(levels.width(levels.len() - 1), Width::FULL);
        }
    }
}
