//! Calibration of probabilities: temperatures, and the remaining calibration error.
//!
//! Follows Guo et al., "On Calibration of Modern Neural Networks" (2017).

use tch::{Kind, Reduction, Tensor};

/// Number of equal bins of the top probability.
const BINS: usize = 15;

/// The expected calibration error at each width: the mean over all images of the difference between top probability and
/// accuracy in each of 15 bins.
///
/// The probabilities are those of `logits` (`[widths, N, classes]`) divided by the width's temperature; `labels` are `[N]`.
pub fn calibration_errors(logits: &Tensor, labels: &Tensor, temperatures: &[f64]) -> Vec<f64> {
    let of_width = |(row, &temperature): (usize, &f64)| {
        let probabilities = (logits.get(row as i64).to_kind(Kind::Double) / temperature).softmax(-1, None);
        let (top, answer) = probabilities.max_dim(-1, false);
        let top: Vec<f64> = Vec::try_from(top).expect("one probability for each image");
        let correct: Vec<bool> = Vec::try_from(answer.eq_tensor(labels)).expect("one answer for each image");
        calibration_error(&top, &correct)
    };
    temperatures.iter().enumerate().map(of_width).collect()
}

/// The error of answers with the probabilities `top`: the sum over bins `(m / 15, (m + 1) / 15]` of |mean probability -
/// accuracy|, weighted by the share of answers.
fn calibration_error(top: &[f64], correct: &[bool]) -> f64 {
    // Weight and mean cancel: a bin contributes |sum of probabilities - correct answers|.
    let mut off = [0.0; BINS];
    for (&probability, &correct) in top.iter().zip(correct) {
        let bin = (probability * BINS as f64).ceil() as usize;
        off[bin.clamp(1, BINS) - 1] += probability - f64::from(correct);
    }
    off.iter().map(|sum| sum.abs()).sum::<f64>() / top.len() as f64
}

/// Standard deviation of the prior of a temperature: its logarithm is normal around 0, so that 95 % lie between 0.37
/// and 2.7. A few images, all classified correctly, would otherwise give a temperature of 0; with thousands of images
/// the prior changes the temperature by less than 1 %.
const DEVIATION: f64 = 0.5;

/// The temperature at each width: the divisor of the logits with the highest posterior probability given `labels`. It
/// minimizes the mean cross entropy (Guo et al., "On Calibration of Modern Neural Networks", 2017), shrunk towards 1
/// for few images.
pub fn temperatures(logits: &Tensor, labels: &Tensor) -> Vec<f64> {
    let of_width = |row| temperature(&logits.get(row).to_kind(Kind::Double), labels, DEVIATION);
    (0..logits.size()[0]).map(of_width).collect()
}

/// Golden-section search over the logarithm of the temperature, in which the loss is unimodal.
fn temperature(logits: &Tensor, labels: &Tensor, deviation: f64) -> f64 {
    let images = labels.numel() as f64;
    let loss = |logarithm: f64| {
        let scaled = logits / logarithm.exp();
        let entropy = scaled.cross_entropy_loss(labels, None::<Tensor>, Reduction::Mean, -100, 0.0).double_value(&[]);
        entropy + (logarithm / deviation).powi(2) / (2.0 * images)
    };
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (0.05f64.ln(), 20f64.ln());
    let (mut left, mut right) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut at_left, mut at_right) = (loss(left), loss(right));
    while high - low > 1e-4 {
        if at_left < at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - ratio * (high - low);
            at_left = loss(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + ratio * (high - low);
            at_right = loss(right);
        }
    }
    ((low + high) / 2.0).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    /// Labels drawn from the probabilities of `logits / T` give the temperature `T`.
    #[test]
    fn the_temperature_is_found_that_the_labels_were_drawn_with() {
        for drawn_with in [0.5, 2.0] {
            let (logits, labels) = drawn(20_000, drawn_with);
            let [found] = temperatures(&logits.unsqueeze(0), &labels)[..] else { panic!("one temperature") };
            assert!((found / drawn_with - 1.0).abs() < 0.1, "{found} for {drawn_with}");
        }
    }

    /// `count` images of two classes, with labels drawn from the probabilities of `logits / drawn_with`.
    fn drawn(count: usize, drawn_with: f64) -> (Tensor, Tensor) {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let (mut logits, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let logit: f64 = random.random_range(-3.0..3.0);
            logits.extend([0.0, logit]);
            labels.push(i64::from(random.random_bool(1.0 / (1.0 + (-logit / drawn_with).exp()))));
        }
        (Tensor::from_slice(&logits).view([-1, 2]), Tensor::from_slice(&labels))
    }

    #[test]
    fn what_is_thought_before_moves_the_temperature_of_thousands_of_images_by_less_than_a_hundredth() {
        for drawn_with in [0.6, 0.87, 1.12, 1.5] {
            let (logits, labels) = drawn(5000, drawn_with);
            let [alone, found] = [1e9, DEVIATION].map(|deviation| temperature(&logits, &labels, deviation));
            assert!((alone - found).abs() < 0.01, "{alone}, {found}");
        }
    }

    #[test]
    fn a_handful_of_images_asks_neither_for_certainty_nor_for_chance() {
        let logits = Tensor::from_slice(&[0.0, 2.0]).repeat([6, 1]);
        let right = temperature(&logits, &Tensor::from_slice(&[1i64; 6]), DEVIATION);
        assert!((0.5..1.0).contains(&right), "{right}");
        let half = temperature(&logits, &Tensor::from_slice(&[0i64, 1, 0, 1, 0, 1]), DEVIATION);
        assert!((1.0..3.0).contains(&half), "{half}");
    }

    #[test]
    fn the_calibration_error_is_what_the_ranges_are_off_by() {
        // Three bins: two answers at 0.9, one right; one at 0.52, right; two up to 0.6, one right.
        let off = [2.0 * 0.9 - 1.0, 0.52 - 1.0, 0.55 + 0.6 - 1.0f64];
        let expected = off.map(f64::abs).iter().sum::<f64>() / 5.0;
        let found = calibration_error(&[0.9, 0.52, 0.55, 0.9, 0.6], &[true, true, false, false, true]);
        assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
    }

    #[test]
    fn the_calibration_error_of_a_width_is_taken_at_its_own_temperature() {
        let logit = |probability: f64| (probability / (1.0 - probability)).ln();
        let row = [0.0, logit(0.9), 0.0, logit(0.7)];
        let logits = Tensor::from_slice(&[row, row.map(|logit| 3.0 * logit)].concat()).view([2, 2, 2]);
        // The first answer is right, the second is wrong.
        let found = calibration_errors(&logits, &Tensor::from_slice(&[1i64, 0]), &[1.0, 3.0]);
        for error in found {
            assert!((error - (0.1 + 0.7) / 2.0).abs() < 1e-12, "{error}");
        }
    }

    /// Enough images for a sampling error of about 0.01.
    const DRAWN: usize = 20_000;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

        /// Labels are drawn from the probabilities: these are calibrated, those of doubled logits are not.
        #[test]
        fn only_probabilities_that_the_labels_were_drawn_from_have_a_small_calibration_error(
            seed in any::<u64>(),
            classes in 2usize..6,
        ) {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let logits: Vec<f64> = (0..DRAWN * classes).map(|_| random.random_range(-2.0..2.0)).collect();
            let labels = logits.chunks_exact(classes).map(|logits| {
                let weights = logits.iter().map(|logit| logit.exp());
                let mut left = random.random_range(0.0..1.0) * weights.clone().sum::<f64>();
                let beyond = |weight: f64| {
                    left -= weight;
                    left > 0.0
                };
                weights.map(beyond).take_while(|&more| more).count() as i64
            });
            let labels: Vec<i64> = labels.map(|label| label.min(classes as i64 - 1)).collect();
            let logits = Tensor::from_slice(&logits).view([1, DRAWN as i64, classes as i64]);
            let both = Tensor::cat(&[&logits, &logits], 0);
            let errors = calibration_errors(&both, &Tensor::from_slice(&labels), &[1.0, 0.5]);
            prop_assert!(errors[0] < 0.02 && errors[1] > 0.05, "{errors:?}");
        }
    }
}
