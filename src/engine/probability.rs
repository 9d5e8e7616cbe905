//! Conversion of logits to probabilities.

/// The softmax of `logits / temperature`: `[classes]` in, `[classes]` out, with sum 1.
///
/// A temperature fitted on held-out images calibrates the probabilities: predictions with probability 0.9 are right
/// nine times in ten (Guo et al., *On Calibration of Modern Neural Networks*, 2017).
pub fn probabilities(logits: &[f32], temperature: f64) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // Subtracts the maximum, so no exponential overflows.
    let exponentials: Vec<f64> = logits.iter().map(|logit| (f64::from(logit - largest) / temperature).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.into_iter().map(|exponential| (exponential / sum) as f32).collect()
}

/// The largest of [`probabilities`]; NaN if a logit is.
pub fn top_probability(logits: &[f32], temperature: f64) -> f32 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (1.0 / logits.iter().map(|logit| (f64::from(logit - largest) / temperature).exp()).sum::<f64>()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_top_probability_is_the_largest(logits in prop::collection::vec(-20f32..20.0, 1..30), temperature in 0.1f64..10.0) {
            let largest = probabilities(&logits, temperature).into_iter().fold(0.0, f32::max);
            prop_assert_eq!(top_probability(&logits, temperature), largest);
        }
    }

    #[test]
    fn probabilities_sum_to_one_however_large_the_scores() {
        for logits in [vec![0.0; 3], vec![1e30, 0.0, -1e30], vec![88.8, 100.0, 90.0]] {
            let probabilities = probabilities(&logits, 0.7);
            assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{probabilities:?}");
        }
    }

    #[test]
    fn a_higher_temperature_lowers_the_top_probability() {
        let sure = |temperature| probabilities(&[2.0, 1.0, 0.0], temperature)[0];
        assert!(sure(0.5) > sure(1.0) && sure(1.0) > sure(2.0));
    }
}
