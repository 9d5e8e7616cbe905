//! Counts correct predictions and their confidence; derives accuracy and calibration error.
//!
//! Counts are integers, so the result does not depend on the order of addition.

use crate::engine::Width;

/// The predictions at one width.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tally {
    bins: [Bin; BINS],
}

/// The predictions within one interval of confidence.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Bin {
    answers: u64,
    correct: u64,
    /// Sum of the probabilities, in units of 1 / [`ONE`].
    confidence: u64,
}

/// The number of bins in the paper cited at [`Tally::calibration_error`].
const BINS: usize = 15;
/// Fixed-point scale: finer than the last bit of the largest of up to 65536 probabilities, with room to sum 2^24 of them.
const ONE: f64 = (1u64 << 40) as f64;

impl Tally {
    /// Counts a prediction with this probability.
    pub(super) fn add(&mut self, probability: f32, correct: bool) {
        let probability = f64::from(probability);
        // Bins: (0, 1/15], (1/15, 2/15], ...
        let index = ((probability * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        let bin = &mut self.bins[index];
        bin.answers += 1;
        bin.correct += u64::from(correct);
        bin.confidence += (probability * ONE) as u64;
    }

    /// Adds another tally.
    pub(super) fn merge(&mut self, other: &Tally) {
        for (bin, other) in self.bins.iter_mut().zip(&other.bins) {
            bin.answers += other.answers;
            bin.correct += other.correct;
            bin.confidence += other.confidence;
        }
    }

    pub(super) fn answers(&self) -> u64 {
        self.bins.iter().map(|bin| bin.answers).sum()
    }

    pub(super) fn correct(&self) -> u64 {
        self.bins.iter().map(|bin| bin.correct).sum()
    }

    /// The share of correct predictions; NaN without any.
    pub(super) fn accuracy(&self) -> f64 {
        self.correct() as f64 / self.answers() as f64
    }

    /// The expected calibration error: the difference between confidence and accuracy within each of 15 bins of probability,
    /// averaged over the predictions (Guo et al., *On Calibration of Modern Neural Networks*, 2017). NaN without any.
    pub(super) fn calibration_error(&self) -> f64 {
        let apart = |bin: &Bin| (bin.correct as f64 - bin.confidence as f64 / ONE).abs();
        self.bins.iter().map(apart).sum::<f64>() / self.answers() as f64
    }
}

/// The mean accuracy of a curve from `narrowest` to its last width: the area under it by the trapezoidal rule, divided by the
/// length. A segment that begins below `narrowest` is cut there.
pub(super) fn mean_accuracy(curve: &[(Width, f64)], narrowest: Width) -> f64 {
    let narrowest = narrowest.as_f64();
    let (mut area, mut length) = (0.0, 0.0);
    for pair in curve.windows(2) {
        let ((left, share), (right, last)) = ((pair[0].0.as_f64(), pair[0].1), (pair[1].0.as_f64(), pair[1].1));
        if right > narrowest {
            let from = left.max(narrowest);
            let first = share + (last - share) * (from - left) / (right - left);
            area += (right - from) * (first + last) / 2.0;
            length += right - from;
        }
    }
    // A curve of one point has no area.
    if length > 0.0 { area / length } else { curve.last().map_or(f64::NAN, |point| point.1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tally(answers: &[(f32, bool)]) -> Tally {
        let mut tally = Tally::default();
        for &(probability, correct) in answers {
            tally.add(probability, correct);
        }
        tally
    }

    fn width(text: &str) -> Width {
        text.parse().unwrap()
    }

    #[test]
    fn the_calibration_error_is_the_distance_of_confidence_from_accuracy() {
        assert_eq!(tally(&[(1.0, true), (1.0, true)]).calibration_error(), 0.0);
        assert_eq!(tally(&[(1.0, false), (1.0, true)]).calibration_error(), 0.5);
        assert_eq!(tally(&[(0.25, true), (0.75, true)]).calibration_error(), 0.5);
    }

    #[test]
    fn the_mean_of_a_straight_line_is_its_middle_however_the_points_lie() {
        let line = |at: &[&str]| at.iter().map(|text| (width(text), width(text).as_f64())).collect::<Vec<_>>();
        for points in
            [&["0.25", "1"][..], &["0.1", "0.25", "0.5", "0.9", "1"], &["0.1", "0.2", "0.3", "1"], &["0.1", "1"]]
        {
            assert!((mean_accuracy(&line(points), width("0.25")) - 0.625).abs() < 1e-12, "{points:?}");
        }
        assert_eq!(mean_accuracy(&line(&["0.4", "1"]), width("0.25")), 0.7);
        assert_eq!(mean_accuracy(&line(&["1"]), width("0.25")), 1.0);
    }

    /// The exporter's definition: the mean of the trapezoids.
    #[test]
    fn between_evenly_spaced_widths_every_step_weighs_the_same() {
        let curve: Vec<_> = (1..=4).map(|n| Width::of_channels(n, 4)).zip([0.9, 0.5, 0.8, 0.2]).collect();
        let trapezoids = [0.7, 0.65, 0.5];
        assert!((mean_accuracy(&curve, width("0.25")) - trapezoids.iter().sum::<f64>() / 3.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn the_calibration_error_is_that_of_its_definition(
            answers in proptest::collection::vec((0f32..=1.0, any::<bool>()), 1..60),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut expected = 0.0;
            for bin in 0..15 {
                let (low, high) = (f64::from(bin) / 15.0, f64::from(bin + 1) / 15.0);
                let inside = |p: f64| (p > low || bin == 0) && p <= high;
                let (mut correct, mut confidence) = (0.0, 0.0);
                for (p, right) in answers.iter().map(|&(p, right)| (f64::from(p), right)).filter(|&(p, _)| inside(p)) {
                    confidence += p;
                    correct += f64::from(u8::from(right));
                }
                expected += (correct - confidence).abs() / answers.len() as f64;
            }
            let all = tally(&answers);
            prop_assert!((all.calibration_error() - expected).abs() < 1e-9);
            prop_assert_eq!(all.correct() as usize, answers.iter().filter(|(_, right)| *right).count());

            let (a, b) = answers.split_at(cut.index(answers.len()));
            let mut merged = tally(b);
            merged.merge(&tally(a));
            prop_assert_eq!(merged, all);
        }
    }
}
