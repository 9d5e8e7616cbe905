//! Fits the temperature that calibrates a model's probabilities on labelled images, as the trainer does.
//!
//! After Guo et al., *On Calibration of Modern Neural Networks*, 2017. Pure functions.

/// The scores `[classes]` of an image at one width, and its class.
pub(super) type Scored<'a> = (&'a [f32], usize);

/// Standard deviation of the prior: `ln(temperature)` is normal with mean 0, so 95 % of the mass lies between 0.37 and 2.7.
/// Without a prior, a handful of correctly classified images would drive the temperature to 0. With thousands of images the
/// prior moves the temperature by less than 0.01.
const DEVIATION: f64 = 0.5;
/// The search interval of the temperature.
const RANGE: [f64; 2] = [0.05, 20.0];
/// Tolerance of the search, in `ln(temperature)`.
const PRECISION: f64 = 1e-5;

/// The temperature that minimises the cross-entropy of the scores divided by it, with a prior towards 1. Returns 1 without
/// images.
pub(super) fn fit(images: &[Scored<'_>]) -> f64 {
    if images.is_empty() {
        return 1.0;
    }
    let loss = |logarithm: f64| {
        let prior = (logarithm / DEVIATION).powi(2) / (2.0 * images.len() as f64);
        cross_entropy(images, logarithm.exp()) + prior
    };
    minimum(RANGE[0].ln(), RANGE[1].ln(), loss).exp()
}

/// The mean of `-ln(probability of the image's class)`, with scores divided by `temperature`.
fn cross_entropy(images: &[Scored<'_>], temperature: f64) -> f64 {
    let of_image = |&(scores, class): &Scored<'_>| {
        let largest = f64::from(scores.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let scaled = |score: f32| (f64::from(score) - largest) / temperature;
        scores.iter().map(|&score| scaled(score).exp()).sum::<f64>().ln() - scaled(scores[class])
    };
    images.iter().map(of_image).sum::<f64>() / images.len() as f64
}

/// The minimum of a unimodal function, by golden-section search.
fn minimum(mut low: f64, mut high: f64, of: impl Fn(f64) -> f64) -> f64 {
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let (mut left, mut right) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut at_left, mut at_right) = (of(left), of(right));
    while high - low > PRECISION {
        if at_left < at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - ratio * (high - low);
            at_left = of(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + ratio * (high - low);
            at_right = of(right);
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scored(images: &[(Vec<f32>, usize)]) -> Vec<Scored<'_>> {
        images.iter().map(|(scores, class)| (scores.as_slice(), *class)).collect()
    }

    fn images() -> impl Strategy<Value = Vec<(Vec<f32>, usize)>> {
        prop::collection::vec((prop::collection::vec(-9f32..9.0, 4), 0..4usize), 1..40)
    }

    proptest! {
        #[test]
        fn no_other_temperature_makes_the_classes_more_probable(images in images(), other in 0.05f64..20.0) {
            let images = scored(&images);
            let loss = |t: f64| cross_entropy(&images, t) + (t.ln() / DEVIATION).powi(2) / (2.0 * images.len() as f64);
            prop_assert!(loss(fit(&images)) <= loss(other) + 1e-6);
        }
    }

    /// A score difference of ln(9) means 90 %; nine of ten images are correct, or seven.
    #[test]
    fn the_temperature_makes_a_probability_the_share_of_right_answers() {
        for right in [9, 7] {
            let score = 9f32.ln();
            let images: Vec<_> = (0..1000).map(|n| (vec![score, 0.0], usize::from(n % 10 >= right))).collect();
            let temperature = fit(&scored(&images));
            let probability = 1.0 / (1.0 + (-f64::from(score) / temperature).exp());
            assert!((probability - right as f64 / 10.0).abs() < 0.005, "{probability}");
        }
    }

    #[test]
    fn a_handful_of_correct_predictions_does_not_drive_the_temperature_to_zero() {
        let images = vec![(vec![0.0, 2.0], 1); 6];
        assert!((0.5..1.0).contains(&fit(&scored(&images))));
        assert_eq!(fit(&[]), 1.0);
    }
}
