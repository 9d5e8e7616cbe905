//! What the width controller chooses between: the levels of a model, by ascending mean time.
//!
//! With a gain table, the levels are prices of time, at which each image stops where more width is not worth its time (see
//! [`exit_plan`](super::exit_plan)). Without one, but with accuracies, they are mixtures: a share of the images runs at one of two
//! widths, neighbors on the concave hull of accuracy over time, so that no dominated width runs. Without either, each width is a
//! level. The lowest level is the narrowest width for all images, the highest full width for all. A level's *equivalent width*
//! is the one width for all images that takes as long.

use std::sync::Arc;
use std::time::Duration;

use super::exit_plan::ExitPlan;
use super::hull::concave_hull;
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
    /// This share of the images at the wider of two steps, the others at the narrower.
    Mixture(Mixture),
    /// A price of the plan, and where between its narrowest step and full width the mean time lies, by the narrowest step.
    Price(usize, Vec<f64>),
}

/// Two steps, and the share of the images that runs at the wider one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mixture {
    narrow: usize,
    wide: usize,
    share: f64,
}

/// Decides for one image after another which of the two steps of a mixture it runs at, so that the share is kept at all times.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Dither {
    /// What the images so far leave of the share, from 0 to 1.
    rest: f64,
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
/// time, and gains nothing. Mixtures count as they are: with the same factor they lose 0.2 points of accuracy, and miss as many.
const VARIANCE: f64 = 1.3;
/// The smallest step of the mean time between two mixtures, as a share of the range of times.
const MIXTURE_STEP: f64 = 0.02;

impl Dither {
    /// The step of the next image.
    pub(super) fn next(&mut self, mixture: Mixture) -> usize {
        self.rest += mixture.share;
        if self.rest < 1.0 {
            return mixture.narrow;
        }
        self.rest -= 1.0;
        mixture.wide
    }
}

impl Levels {
    /// One level for each of these widths.
    pub(super) fn of_steps(widths: &[Width]) -> Levels {
        let level = |(step, &width)| Level { width, rule: Rule::Step(step) };
        let levels = widths.iter().enumerate().map(level).collect();
        Levels { levels, plan: None, costs: Vec::new(), steps: widths.len() }
    }

    /// Mixtures by accuracy. `steps` are the width, the time of one image in nanoseconds, and the accuracy, ascending by width.
    pub(super) fn of_mixtures(steps: &[(Width, f64, f64)]) -> Levels {
        let times: Vec<(Width, f64)> = steps.iter().map(|&(width, time, _)| (width, time)).collect();
        let hull = hull(steps);
        let range = times[times.len() - 1].1 - times[0].1;
        let mut levels = vec![Level { width: times[0].0, rule: Rule::Step(0) }];
        for pair in hull.windows(2) {
            let (narrow, wide) = (pair[0], pair[1]);
            let more = times[wide].1 - times[narrow].1;
            let count = (more / (MIXTURE_STEP * range)).ceil().max(1.0);
            for share in (1..count as usize).map(|at| at as f64 / count) {
                let width = equivalent(&times, times[narrow].1 + share * more);
                if levels.last().is_some_and(|below| below.width < width) && width < times[wide].0 {
                    levels.push(Level { width, rule: Rule::Mixture(Mixture { narrow, wide, share }) });
                }
            }
            levels.push(Level { width: times[wide].0, rule: Rule::Step(wide) });
        }
        Levels { levels, plan: None, costs: Vec::new(), steps: steps.len() }
    }

    /// Prices by a gain table; `None` if the table has too few of these widths. `times` are those of one image at each step in
    /// nanoseconds, ascending.
    pub(super) fn of_prices(gain: &GainTable, times: &[(Width, f64)]) -> Option<Levels> {
        let plan = ExitPlan::new(gain, times)?;
        let widths: Vec<Width> = times.iter().map(|time| time.0).collect();
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
        Some(Levels { levels, plan: Some(Arc::new(plan)), costs: Vec::new(), steps: times.len() })
    }

    /// Computes all costs from those of the steps.
    pub(super) fn correct(&mut self, steps: &[Cost]) {
        let full = steps[steps.len() - 1];
        let share_of = |from: u64, to: u64, share: f64| from + ((to - from) as f64 * share) as u64;
        let between = |from: Cost, to: Cost, share: f64| Cost {
            setup: share_of(from.setup, to.setup, share),
            item: share_of(from.item, to.item, share),
        };
        self.costs.clear();
        for level in &self.levels {
            let cost = |from: usize| match &level.rule {
                Rule::Step(step) => steps[from.max(*step)],
                Rule::Mixture(Mixture { narrow, wide, share }) => {
                    between(steps[from.max(*narrow)], steps[from.max(*wide)], *share)
                }
                Rule::Price(_, shares) => between(steps[from], full, shares[from]),
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
            Rule::Mixture(mixture) => mixture.wide,
            Rule::Price(..) => self.steps - 1,
        }
    }

    /// The steps of an image at a level, if some images run at one and the others at another.
    pub(super) fn mixture(&self, level: usize) -> Option<Mixture> {
        match self.levels[level].rule {
            Rule::Mixture(mixture) => Some(mixture),
            _ => None,
        }
    }

    /// When images stop at a level; `None` if all run at one width.
    pub(super) fn exit_rule(&self, level: usize, correction: f64) -> Option<ExitRule> {
        let Rule::Price(level, _) = self.levels[level].rule else { return None };
        Some(ExitRule { plan: self.plan.clone()?, level, correction })
    }

    /// Whether images may run wider than the equivalent width of their level.
    pub(super) fn exceeds_equivalent_widths(&self) -> bool {
        self.levels.iter().any(|level| !matches!(level.rule, Rule::Step(_)))
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

    /// The width at which an image stops that starts at `from` and may become as wide as `to`. `probability` is the calibrated
    /// probability of its most probable class at a width; the image also stops where that is unknown.
    pub fn stop(&self, from: Width, to: Width, probability: impl Fn(Width) -> Option<f32>) -> Width {
        let mut width = self.start(from).min(to);
        while width < to
            && let Some(next) = probability(width).and_then(|probability| self.next(width, probability))
        {
            width = next.min(to);
        }
        width
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

/// The steps of the concave hull of accuracy over time, from the narrowest on, and full width.
fn hull(steps: &[(Width, f64, f64)]) -> Vec<usize> {
    let points: Vec<(f64, f64)> = steps.iter().map(|&(_, time, accuracy)| (time, accuracy)).collect();
    let mut hull = concave_hull(&points);
    // More time for less accuracy is spent only at full width, where images run without load.
    let best = (0..hull.len()).max_by(|&a, &b| steps[hull[a]].2.total_cmp(&steps[hull[b]].2));
    hull.truncate(best.map_or(0, |best| best + 1));
    if hull.last() != Some(&(steps.len() - 1)) {
        hull.push(steps.len() - 1);
    }
    hull
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
    use super::super::{Measurement, Profile};
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

    /// The accuracies of a network whose second step is dominated, by step, and what images at a level reach on average.
    fn mixed() -> (Profile, [f64; 4]) {
        let accuracy = [0.6, 0.62, 0.8, 0.9];
        let at = |step: usize| Measurement {
            width: Width::of_channels(step + 1, 4),
            latencies: vec![(1, Duration::from_micros(100 * (step as u64 + 1)))],
            accuracy: Some(accuracy[step]),
        };
        (Profile::new(&(0..4).map(at).collect::<Vec<_>>()).unwrap().with_mixtures(), accuracy)
    }

    #[test]
    fn without_a_gain_table_two_widths_mix_and_no_dominated_one_runs() {
        let (profile, accuracy) = mixed();
        let levels = profile.levels();
        assert!(levels.len() > 40 && levels.exceeds_equivalent_widths());
        assert_eq!((levels.width(0), levels.width(levels.len() - 1)), (profile.width(0), Width::FULL));
        for level in 0..levels.len() {
            let mut dither = Dither::default();
            let mut step = || levels.mixture(level).map_or(levels.widest_step(level), |mixture| dither.next(mixture));
            let steps: Vec<usize> = (0..1000).map(|_| step()).collect();
            assert!(!steps.contains(&1), "the line from 0.25 to 0.75 is above the accuracy at 0.5");
            let mean = |of: &dyn Fn(usize) -> f64| steps.iter().map(|&step| of(step)).sum::<f64>() / 1000.0;
            let time = mean(&|step| profile.costs()[step].item as f64);
            let planned = levels.costs(level)[0].item as f64;
            assert!(
                time <= planned + 400.0 && planned - 1e5 <= VARIANCE * (time - 1e5) + 400.0,
                "level {level}: {time}"
            );
            // On the line between the points (100, 0.6) and (400, 0.9).
            assert!((mean(&|step| accuracy[step]) - (0.6 + (time - 1e5) * 1e-6)).abs() < 1e-3);
            assert_eq!(profile.exit_rule(level), None);
        }
    }

    #[test]
    fn an_accuracy_that_falls_with_the_width_leaves_full_width_the_highest_level() {
        let accuracy = [0.8, 0.9, 0.7, 0.85];
        let steps: Vec<_> =
            (0..4).map(|at| (Width::of_channels(at + 1, 4), 1e5 * (at + 1) as f64, accuracy[at])).collect();
        assert_eq!(hull(&steps), [0, 1, 3]);
        assert_eq!(hull(&steps[3..]), [0]);
        let levels = Levels::of_mixtures(&steps);
        assert_eq!(levels.width(levels.len() - 1), Width::FULL);
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
        fn a_lower_level_never_costs_more(
            (gain, times) in tables(),
            setup in 0u64..9000,
            accuracies in prop::collection::vec(0.0f64..1.0, 4),
            by_gain: bool,
        ) {
            let mixtures = || {
                let steps = times.iter().zip(&accuracies).map(|(&(width, time), &accuracy)| (width, time, accuracy));
                Levels::of_mixtures(&steps.collect::<Vec<_>>())
            };
            let mut levels = if by_gain { Levels::of_prices(&gain, &times).unwrap_or_else(mixtures) } else { mixtures() };
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
