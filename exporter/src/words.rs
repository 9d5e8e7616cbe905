//! Numbers in sentences: counts with nouns, and confidence intervals of shares.

/// `1 epoch`, `2 epochs`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{} {noun}{}", thousands(count as u64), if count == 1 { "" } else { "s" })
}

/// The verb for a count: `1 was`, `2 were`.
pub fn were(count: usize) -> &'static str {
    if count == 1 { "was" } else { "were" }
}

/// `1234567` as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// The 95 % interval of a share measured on `count` images (Wilson, "Probable Inference, the Law of Succession, and
/// Statistical Inference", 1927). 0..1 for a count of 0.
pub fn interval(share: f64, count: usize) -> (f64, f64) {
    /// The 97.5 % quantile of the standard normal distribution.
    const Z: f64 = 1.959_964;
    if count == 0 {
        return (0.0, 1.0);
    }
    let (n, square) = (count as f64, Z * Z);
    let middle = (share + square / (2.0 * n)) / (1.0 + square / n);
    let half = Z / (1.0 + square / n) * (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt();
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counts_have_their_nouns_and_groups_of_thousands() {
        assert_eq!(
            [0, 1, 2, 1500].map(|count| counted(count, "epoch")),
            ["0 epochs", "1 epoch", "2 epochs", "1,500 epochs"]
        );
        assert_eq!(thousands(1_234_567), "1,234,567");
    }

    /// Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I, method 3.
    #[test]
    fn the_interval_is_that_of_the_literature() {
        for (right, of, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let (found_low, found_high) = interval(f64::from(right) / f64::from(of), of as usize);
            assert!((found_low - low).abs() < 1e-4 && (found_high - high).abs() < 1e-4, "{found_low} {found_high}");
        }
        assert_eq!(interval(0.0, 0), (0.0, 1.0));
    }

    proptest! {
        #[test]
        fn an_interval_holds_its_share_within_0_and_1_and_narrows_with_the_count(
            count in 1usize..100_000,
            part in 0.0..=1.0f64,
        ) {
            let share = (count as f64 * part).round() / count as f64;
            let (low, high) = interval(share, count);
            prop_assert!(0.0 <= low && low <= share + 1e-12 && share <= high + 1e-12 && high <= 1.0);
            let (closer_low, closer_high) = interval(share, 4 * count);
            prop_assert!(closer_high - closer_low < high - low);
        }
    }
}
