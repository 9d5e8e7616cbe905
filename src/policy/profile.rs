//! How long a batch takes: measured at start-up, made plausible, and corrected while the server runs.
//!
//! A batch takes the setup of its widest item, and then each item's own time at its width. That straight line is fitted to
//! what was measured. It makes a batch of mixed widths as easy as any other, and a forecast exactly monotone: more work,
//! or wider work, never ends earlier. Measured times are within a few percent of it; [`Profile::worst_fit`] says how many.

use std::time::{Duration, Instant};

use thiserror::Error;

use super::levels::{ExitRule, Levels};
use super::line_fit::{Line, ascending, fit, nanoseconds};
use crate::engine::{GainTable, Width};

/// What was measured at one width.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// The width: a step of the model's grid.
    pub width: Width,
    /// Batch sizes and how long one batch took.
    pub latencies: Vec<(usize, Duration)>,
    /// Share of held-out images that are named right at this width, if the model says.
    pub accuracy: Option<f64>,
}

/// Why measurements make no profile.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// None at all, or more than the limit.
    #[error("{0} widths are measured; from 1 to {MAX_STEPS} are allowed")]
    Widths(usize),
    /// Out of order, or twice the same.
    #[error("the measured widths must ascend")]
    Order,
    /// The last of them is not full width.
    #[error("the widest measured width must be 1")]
    NotFull,
    /// A width without a time, or a batch of none, or one that takes no time, or more than an hour.
    #[error("width {0}: each needs a time above 0 and up to an hour, for batches of at least one")]
    Latencies(Width),
}

/// Latency and accuracy of one model at each width that the scheduler may choose: its steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    steps: Vec<Step>,
    /// The times of the steps by the correction that holds now.
    costs: Vec<Cost>,
    /// What policies that set one width or price for all jobs choose between.
    levels: Levels,
    /// Running average of actual over predicted.
    correction: f64,
    /// When the correction decayed last.
    decayed: Option<Instant>,
    batches: u64,
    worst_fit: f64,
}

#[derive(Debug, Clone, PartialEq)]
struct Step {
    width: Width,
    /// Nanoseconds for each batch, and for each item in it.
    line: Line,
    accuracy: Option<f64>,
}

/// Nanoseconds of a batch, whole so that sums are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    /// Once for each batch.
    pub(super) setup: u64,
    /// For each item.
    pub(super) item: u64,
}

impl Step {
    /// The time of one image, in nanoseconds.
    fn time(&self) -> f64 {
        self.line.setup + self.line.item
    }
}

impl Cost {
    /// Of a batch of one.
    pub(super) fn single(self) -> u64 {
        self.setup + self.item
    }
}

/// Most steps of a profile: a step is a byte.
const MAX_STEPS: usize = 256;
/// Longest time that a batch may take.
const HOUR: Duration = Duration::from_secs(3600);
/// What the latest batch counts in the running average.
const WEIGHT: f64 = 0.05;
/// The time in which half of a correction above 1 decays.
const HALF_LIFE: Duration = Duration::from_secs(10);
/// A correction decays at most this often, as each time all costs are computed again.
const DECAY_EVERY: Duration = Duration::from_millis(100);
/// One batch counts as at most this many times faster or slower than predicted: a machine that slept says nothing.
const MOST: f64 = 4.0;

impl Profile {
    /// The profile that these measurements make, by ascending width up to full width. Leave out what the model was
    /// not trained for: the narrowest of them is what a server under load falls to.
    ///
    /// Noise is smoothed so that a wider width never seems faster.
    ///
    /// # Errors
    /// When the measurements are not complete: see [`ProfileError`].
    pub fn new(measurements: &[Measurement]) -> Result<Profile, ProfileError> {
        if !(1..=MAX_STEPS).contains(&measurements.len()) {
            return Err(ProfileError::Widths(measurements.len()));
        }
        if !measurements.is_sorted_by(|a, b| a.width < b.width) {
            return Err(ProfileError::Order);
        }
        if measurements.last().is_none_or(|last| last.width != Width::FULL) {
            return Err(ProfileError::NotFull);
        }
        let allowed = |&(batch, time): &(usize, Duration)| batch > 0 && !time.is_zero() && time <= HOUR;
        if let Some(bad) = measurements.iter().find(|at| at.latencies.is_empty() || !at.latencies.iter().all(allowed)) {
            return Err(ProfileError::Latencies(bad.width));
        }
        let lines: Vec<Line> = measurements.iter().map(|at| fit(&at.latencies)).collect();
        let setups = ascending(lines.iter().map(|line| line.setup));
        let items = ascending(lines.iter().map(|line| line.item));
        let lines = setups.into_iter().zip(items).map(|(setup, item)| Line { setup, item });
        let steps: Vec<Step> = measurements
            .iter()
            .zip(lines)
            .map(|(at, line)| Step { width: at.width, line, accuracy: at.accuracy })
            .collect();
        let off = |step: &Step, &(batch, time): &(usize, Duration)| {
            ((step.line.setup + step.line.item * batch as f64) / nanoseconds(time) - 1.0).abs()
        };
        let all = steps.iter().zip(measurements).flat_map(|(step, at)| at.latencies.iter().map(move |l| off(step, l)));
        let worst_fit = all.fold(0.0, f64::max);
        let levels = Levels::of_steps(&steps.iter().map(|step| step.width).collect::<Vec<_>>());
        let mut profile =
            Profile { steps, costs: Vec::new(), levels, correction: 1.0, decayed: None, batches: 0, worst_fit };
        profile.correct();
        Ok(profile)
    }

    /// The profile of a model with a gain table: under load each image gets the width that is worth its time. A table with less
    /// than two of these widths changes nothing.
    #[must_use]
    pub fn with_gain(mut self, gain: &GainTable) -> Profile {
        let times: Vec<(Width, f64)> = self.steps.iter().map(|step| (step.width, step.time())).collect();
        if let Some(levels) = Levels::of_prices(gain, &times) {
            self.levels = levels;
            self.correct();
        }
        self
    }

    /// Takes over the levels of `other`, a profile of the same model with another gain table.
    pub(super) fn adopt_levels(&mut self, other: Profile) {
        self.levels = other.levels;
        self.correct();
    }

    /// The profile of a model without a gain table: under load images run at two widths, in the share that the load allows. It
    /// changes nothing where an accuracy is unknown.
    #[must_use]
    pub fn with_mixtures(mut self) -> Profile {
        let steps = self.steps.iter().map(|step| Some((step.width, step.time(), step.accuracy?)));
        if let Some(steps) = steps.collect::<Option<Vec<_>>>() {
            self.levels = Levels::of_mixtures(&steps);
            self.correct();
        }
        self
    }

    /// When images stop at each price between the narrowest and full width for all, by descending price; empty without a gain
    /// table.
    pub fn exit_rules(&self) -> impl Iterator<Item = ExitRule> + '_ {
        (0..self.levels.len()).filter_map(|level| self.exit_rule(level))
    }

    /// The widths that may be chosen, ascending; the last is full width.
    pub fn widths(&self) -> impl ExactSizeIterator<Item = Width> + '_ {
        self.steps.iter().map(|step| step.width)
    }

    /// How long a batch of `batch` items at the narrowest step that covers `width` takes, as corrected so far.
    pub fn latency(&self, width: Width, batch: usize) -> Duration {
        let cost = self.costs[self.covering(width)];
        Duration::from_nanos(cost.setup + cost.item * batch as u64)
    }

    /// Images per second that one worker answers in batches of this size, when decoding each takes so long.
    pub fn images_per_second(&self, width: Width, batch: usize, decoding: Duration) -> f64 {
        1.0 / (self.latency(width, batch).as_secs_f64() / batch as f64 + decoding.as_secs_f64())
    }

    /// The expected accuracy at the narrowest step that covers `width`, if the model says.
    pub fn accuracy(&self, width: Width) -> Option<f64> {
        self.steps[self.covering(width)].accuracy
    }

    /// Tells what a batch of items at these widths took. The caller leaves out batches that did something else than
    /// running each item once at its width.
    pub fn record(&mut self, widths: impl IntoIterator<Item = Width>, took: Duration) {
        let (mut setup, mut items) = (0.0, 0.0);
        for width in widths {
            let line = self.steps[self.covering(width)].line;
            setup = line.setup.max(setup);
            items += line.item;
        }
        if items > 0.0 {
            let ratio = (nanoseconds(took) / (setup + items)).clamp(1.0 / MOST, MOST);
            self.correction += WEIGHT * (ratio - self.correction);
            self.batches += 1;
            self.correct();
        }
    }

    /// Lets a correction above 1 decay towards 1 with time: what held the machine up is over some day, and without traffic no
    /// batch tells. At 100 batches a second and more, this lowers what they say by less than 2 %. A correction below 1
    /// remains: that the machine can be faster than it was at start-up stays true.
    pub fn decay(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(*self.decayed.get_or_insert(now));
        if elapsed < DECAY_EVERY {
            return;
        }
        self.decayed = Some(now);
        if self.correction > 1.0 {
            self.correction = 1.0 + (self.correction - 1.0) * 0.5f64.powf(elapsed.div_duration_f64(HALF_LIFE));
            self.correct();
        }
    }

    /// Lowers a correction above 1 a little, as a batch at the speed of start-up would.
    pub fn lower_correction(&mut self) {
        if self.correction > 1.0 {
            self.correction += WEIGHT * (1.0 - self.correction);
            self.correct();
        }
    }

    /// How many times longer than measured at start-up batches take now.
    pub fn correction(&self) -> f64 {
        self.correction
    }

    /// How many batches have been recorded.
    pub fn batches(&self) -> u64 {
        self.batches
    }

    /// The largest share by which the fitted times differ from those measured.
    pub fn worst_fit(&self) -> f64 {
        self.worst_fit
    }

    pub(super) fn costs(&self) -> &[Cost] {
        &self.costs
    }

    pub(super) fn levels(&self) -> &Levels {
        &self.levels
    }

    /// When images stop at a level; `None` if all run at one width.
    pub(super) fn exit_rule(&self, level: usize) -> Option<ExitRule> {
        self.levels.exit_rule(level, self.correction)
    }

    /// The narrowest width that may be chosen.
    pub fn narrowest(&self) -> Width {
        self.width(0)
    }

    pub(super) fn width(&self, step: usize) -> Width {
        self.steps[step].width
    }

    /// The narrowest step that covers a width.
    pub(super) fn covering(&self, width: Width) -> usize {
        self.steps.partition_point(|step| step.width < width).min(self.steps.len() - 1)
    }

    /// The widest step within a width, or the narrowest of all.
    pub(super) fn within(&self, width: Width) -> usize {
        self.steps.partition_point(|step| step.width <= width).max(1) - 1
    }

    /// The narrowest step from which on every step has at least this accuracy.
    pub(super) fn accurate(&self, least: f64) -> Option<usize> {
        let enough = |step: &Step| step.accuracy.is_some_and(|accuracy| accuracy >= least);
        let enough = self.steps.iter().rev().take_while(|step| enough(step)).count();
        (enough > 0).then(|| self.steps.len() - enough)
    }

    /// How long one item at a step takes at best: as at start-up, or as now, where the machine was busy then.
    pub(super) fn at_best(&self, step: usize) -> Duration {
        let line = self.steps[step].line;
        Duration::from_nanos(self.costs[step].single().min((line.setup + line.item) as u64))
    }

    /// What each further item of a batch adds at a step, at best.
    pub(super) fn item_at_best(&self, step: usize) -> Duration {
        Duration::from_nanos(self.costs[step].item.min(self.steps[step].line.item as u64))
    }

    fn correct(&mut self) {
        let correction = self.correction;
        let times = |nanoseconds: f64| (nanoseconds * correction).round() as u64;
        self.costs.clear();
        let corrected = |step: &Step| Cost { setup: times(step.line.setup), item: times(step.line.item) };
        self.costs.extend(self.steps.iter().map(corrected));
        self.levels.correct(&self.costs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn measurement(width: &str, latencies: &[(usize, f64)], accuracy: Option<f64>) -> Measurement {
        let latencies = latencies.iter().map(|&(batch, us)| (batch, Duration::from_secs_f64(us * 1e-6))).collect();
        Measurement { width: width.parse().unwrap(), latencies, accuracy }
    }

    fn two_steps() -> Profile {
        let half = measurement("0.5", &[(1, 110.0), (4, 410.0), (8, 810.0)], Some(0.8));
        let full = measurement("1", &[(1, 420.0), (8, 3220.0)], Some(0.9));
        Profile::new(&[half, full]).unwrap()
    }

    fn width(text: &str) -> Width {
        text.parse().unwrap()
    }

    #[test]
    fn a_straight_line_is_found_exactly() {
        let profile = two_steps();
        assert!(profile.worst_fit() < 1e-6);
        let us = |text: &str, batch: usize| profile.latency(width(text), batch).as_micros();
        assert_eq!((us("0.5", 1), us("0.5", 2), us("0.5", 16)), (110, 210, 1610));
        // Any width takes what the next step takes.
        assert_eq!((us("0.3", 1), us("0.50001", 1), us("1", 3)), (110, 420, 1220));
        assert_eq!((profile.accuracy(width("0.3")), profile.accuracy(width("0.7"))), (Some(0.8), Some(0.9)));
    }

    #[test]
    fn the_correction_follows_what_batches_take() {
        let mut profile = two_steps();
        for _ in 0..200 {
            profile.record([width("0.5"), width("1")], Duration::from_micros(520 * 13 / 10));
        }
        assert!((profile.correction() - 1.3).abs() < 1e-3, "{}", profile.correction());
        assert_eq!(profile.latency(width("1"), 1).as_micros(), 545);
        // One batch that was held up moves it a little.
        profile.record([width("1")], Duration::from_secs(60));
        assert!(profile.correction() < 1.3 + WEIGHT * MOST);
        let before = profile.clone();
        profile.record([], Duration::from_secs(1));
        assert_eq!(profile, before);
    }

    #[test]
    fn without_traffic_a_slow_spell_is_forgotten_within_a_minute_and_a_fast_one_is_not() {
        let (mut slow, start) = (two_steps(), Instant::now());
        let mut fast = slow.clone();
        for _ in 0..200 {
            slow.record([width("1")], Duration::from_micros(420 * 3));
            fast.record([width("1")], Duration::from_micros(420 / 2));
        }
        for second in 0..=60 {
            slow.decay(start + Duration::from_secs(second));
            fast.decay(start + Duration::from_secs(second));
            if second == 10 {
                assert!((slow.correction() - 2.0).abs() < 1e-3, "half of it is gone: {}", slow.correction());
            }
        }
        assert!((1.0..1.04).contains(&slow.correction()), "{}", slow.correction());
        assert!((fast.correction() - 0.5).abs() < 1e-3, "{}", fast.correction());
        assert_eq!(slow.latency(width("1"), 1).as_micros(), (420.0 * slow.correction()) as u128);
    }

    #[test]
    fn in_traffic_the_correction_follows_the_batches_however_often_it_decays() {
        let (mut profile, mut now) = (two_steps(), Instant::now());
        for _ in 0..2000 {
            now += Duration::from_millis(5);
            profile.decay(now);
            profile.record([width("1")], Duration::from_micros(420 * 3 / 2));
        }
        assert!((1.48..=1.5).contains(&profile.correction()), "{}", profile.correction());
    }

    #[test]
    fn incomplete_measurements_are_refused() {
        let good = measurement("1", &[(1, 10.0)], None);
        let error = |measurements: &[Measurement]| Profile::new(measurements).unwrap_err();
        assert_eq!(error(&[]), ProfileError::Widths(0));
        assert_eq!(error(&vec![good.clone(); 257]), ProfileError::Widths(257));
        assert_eq!(error(&[good.clone(), good.clone()]), ProfileError::Order);
        assert_eq!(error(&[measurement("0.5", &[(1, 1.0)], None)]), ProfileError::NotFull);
        for bad in [vec![], vec![(0, 1.0)], vec![(1, 0.0)], vec![(1, 1.0), (2, 1e12)]] {
            assert_eq!(error(&[measurement("1", &bad, None)]), ProfileError::Latencies(Width::FULL));
        }
    }

    proptest! {
        #[test]
        fn a_wider_or_larger_batch_never_seems_faster(times in prop::collection::vec((1u64..9999, 1u64..9999), 1..40)) {
            let steps = times.len() as u32;
            let measurements: Vec<_> = (1..).zip(&times).map(|(step, &(one, eight))| Measurement {
                width: Width::from_millionths(step * 1_000_000 / steps).unwrap(),
                latencies: vec![(1, Duration::from_nanos(one)), (8, Duration::from_nanos(eight))],
                accuracy: None,
            }).collect();
            let profile = Profile::new(&measurements).unwrap();
            for pair in profile.widths().collect::<Vec<_>>().windows(2) {
                for batch in [1, 2, 5, 16] {
                    prop_assert!(profile.latency(pair[0], batch) <= profile.latency(pair[1], batch));
                    prop_assert!(profile.latency(pair[0], batch) <= profile.latency(pair[0], batch + 1));
                }
            }
        }

        #[test]
        fn noise_is_averaged_out(noise in prop::collection::vec(0.95f64..1.05, 48)) {
            let truth = |step: usize, batch: usize| (50.0 + 10.0 * batch as f64) * (step + 1) as f64;
            let mut noise = noise.into_iter();
            let measurements: Vec<_> = (0..16).map(|step| {
                let noisy = [1, 4, 16].map(|batch| (batch, truth(step, batch) * noise.next().unwrap()));
                measurement(&((step + 1) as f64 / 16.0).to_string(), &noisy, None)
            }).collect();
            let profile = Profile::new(&measurements).unwrap();
            for (step, at) in profile.widths().enumerate() {
                for batch in [1, 4, 16] {
                    let off = profile.latency(at, batch).as_secs_f64() * 1e6 / truth(step, batch);
                    prop_assert!((0.9..1.1).contains(&off), "step {} batch {}: {}", step, batch, off);
                }
            }
        }
    }
}
