//! Class weights for unbalanced data sets.

/// The weight of an image of each of `classes` classes that gives all classes the same total: inversely proportional to
/// the class's count in `labels`, with mean 1 over the images. Weights are capped at 10, because a few images seen
/// repeatedly are noise; the excess goes to the other classes.
pub fn class_weights(labels: &[u16], classes: usize) -> Vec<f64> {
    let mut counts = vec![0usize; classes];
    labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
    // Total weight of each uncapped class. It grows as classes are capped, until no more are.
    let mut share = labels.len() as f64 / classes as f64;
    loop {
        let (rare, others): (Vec<usize>, Vec<usize>) =
            counts.iter().partition(|&&count| share >= MAX_WEIGHT * count as f64);
        let left = labels.len() as f64 - MAX_WEIGHT * rare.iter().sum::<usize>() as f64;
        let next = share.max(left / others.len() as f64);
        if next == share {
            return counts.iter().map(|&count| (share / count as f64).min(MAX_WEIGHT)).collect();
        }
        share = next;
    }
}

/// Maximum weight of an image, relative to the mean.
const MAX_WEIGHT: f64 = 10.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert!(
            found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12),
            "{found:?}"
        );
    }

    #[test]
    fn classes_that_are_rarer_count_for_more_and_the_mean_image_counts_one() {
        let labels = [vec![0u16; 60], vec![1; 30], vec![2; 10]].concat();
        let weights = class_weights(&labels, 3);
        assert_close(&weights, &[100.0 / 180.0, 100.0 / 90.0, 100.0 / 30.0]);
        let mean = labels.iter().map(|&label| weights[usize::from(label)]).sum::<f64>() / labels.len() as f64;
        assert_close(&[mean], &[1.0]);
        assert_close(&class_weights(&[0, 1, 1, 0], 2), &[1.0, 1.0]);
        // One image in a thousand does not get the weight 500.
        let rare = class_weights(&[vec![0u16; 999], vec![1]].concat(), 2);
        assert!(rare[1] / rare[0] < 20.0, "{rare:?}");
    }

    #[test]
    fn no_image_counts_for_more_than_ten_however_many_classes_are_rare() {
        for counts in
            [vec![1050, 2, 2, 2, 2, 2, 2, 2, 2, 2], vec![1000, 30, 1, 1, 1], vec![9, 0, 1], vec![500, 12, 11, 10]]
        {
            let label = |(class, &count): (usize, &usize)| vec![class as u16; count];
            let labels: Vec<u16> = counts.iter().enumerate().flat_map(label).collect();
            let weights = class_weights(&labels, counts.len());
            assert!(weights.iter().all(|&weight| weight <= 10.0), "{counts:?}: {weights:?}");
            let mean = labels.iter().map(|&label| weights[usize::from(label)]).sum::<f64>() / labels.len() as f64;
            assert!((mean - 1.0).abs() < 1e-9, "{counts:?}: {mean}");
        }
    }
}
