//! Whether a gain table still holds: how often images that stopped early have the same class at full width.
//!
//! # The rule
//! Audits run images at full width that stopped at width `k` in bin `b` of a gain table. Let `a` be the accuracy there, and `m` of
//! `n` audits have agreed, older ones counting less. Where a table holds, answers agree at least as often as they are right: both
//! widths are right about the same images, and sometimes wrong about them alike. So the accuracy that policies should expect is
//!
//! `min(a, share + Z * sqrt(share * (1 - share) / (n + PRIOR)))` with `share = (m + PRIOR * a) / (n + PRIOR)`,
//!
//! the upper bound of what the audits are compatible with. It never raises an accuracy: agreeing is not being right.

use crate::engine::{GainTable, Width};

/// The audits of one model.
#[derive(Debug, Clone)]
pub struct Agreement {
    /// The table of the model's file.
    table: GainTable,
    /// For each row and bin.
    bins: Vec<Vec<Bin>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    audits: f64,
    agreed: f64,
    /// The accuracy of the latest correction, if there was one.
    corrected: Option<f64>,
}

/// What the table counts, in audits.
const PRIOR: f64 = 16.0;
/// Above this number, the audits of a bin count half: so drift is noticed soon, and forgotten when it ends.
const MOST: f64 = 256.0;
/// Standard deviations between what was seen and what is believed.
const Z: f64 = 2.0;
/// A change of a bin's accuracy by less than this changes no decision worth a new plan.
const CHANGE: f64 = 0.02;

impl Agreement {
    /// No audits yet.
    pub fn new(table: GainTable) -> Agreement {
        let bins = table.rows().iter().map(|row| vec![Bin::default(); row.bins()]).collect();
        Agreement { table, bins }
    }

    /// The accuracy that the table promises for an image that stops at `width` with this calibrated top probability; `None` if the
    /// table lacks the width.
    pub fn expected(&self, width: Width, probability: f32) -> Option<f64> {
        let row = self.table.row(width)?;
        Some(row.bin_accuracy(row.bin(probability)))
    }

    /// Counts an audit of an image that stopped at `width` with this calibrated top probability. Returns the table to plan with
    /// if that has changed since the last time.
    pub fn record(&mut self, width: Width, probability: f32, agrees: bool) -> Option<GainTable> {
        let at = self.table.rows().iter().position(|row| row.width() == width)?;
        let row = &self.table.rows()[at];
        let number = row.bin(probability);
        let (promised, bin) = (row.bin_accuracy(number), &mut self.bins[at][number]);
        bin.record(agrees);
        let (before, now) = (bin.corrected.unwrap_or(promised), bin.accuracy(promised));
        let restored = now == promised && bin.corrected.is_some();
        if (now - before).abs() < CHANGE && !restored {
            return None;
        }
        bin.corrected = (now < promised).then_some(now);
        Some(self.corrected())
    }

    /// The table with the accuracies that the audits leave.
    fn corrected(&self) -> GainTable {
        self.table.with_accuracy(|row, number, accuracy| self.bins[row][number].corrected.unwrap_or(accuracy))
    }
}

impl Bin {
    fn record(&mut self, agrees: bool) {
        self.audits += 1.0;
        self.agreed += f64::from(u8::from(agrees));
        if self.audits > MOST {
            (self.audits, self.agreed) = (self.audits / 2.0, self.agreed / 2.0);
        }
    }

    fn accuracy(self, promised: f64) -> f64 {
        let count = self.audits + PRIOR;
        let share = (self.agreed + PRIOR * promised) / count;
        promised.min(share + Z * (share * (1.0 - share) / count).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{gain, profile};
    use super::*;

    const SURE: f32 = 0.99;

    fn narrowest() -> Width {
        gain().rows()[0].width()
    }

    #[test]
    fn a_network_that_is_confidently_wrong_is_noticed_and_its_images_are_widened() {
        let mut agreement = Agreement::new(gain());
        let before = profile().with_gain(&gain());
        let sure = |profile: &crate::policy::Profile| {
            profile.exit_rules().filter(|rule| rule.next(narrowest(), SURE).is_some()).count()
        };
        assert_eq!(sure(&before), 0, "no price widens an image that is sure");
        let mut latest = None;
        for audit in 0..64 {
            latest = agreement.record(narrowest(), SURE, audit % 2 == 0).or(latest);
        }
        let after = before.with_gain(latest.as_ref().expect("half of the audits disagree"));
        assert!(sure(&after) > 3, "{}", sure(&after));
        // The drift ends.
        for _ in 0..2000 {
            latest = agreement.record(narrowest(), SURE, true).or(latest);
        }
        assert_eq!(sure(&after.with_gain(&latest.unwrap())), 0);
    }

    #[test]
    fn other_widths_say_nothing() {
        let mut agreement = Agreement::new(gain());
        let between = "0.3".parse().unwrap();
        assert_eq!(agreement.expected(between, SURE), None);
        assert!((0..1000).all(|_| agreement.record(between, SURE, false).is_none()));
        assert_eq!(agreement.corrected(), gain());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Whatever is audited, no accuracy is raised, and the table stays valid.
        #[test]
        fn corrections_only_lower(audits in prop::collection::vec((0usize..4, 0.0f32..=1.0, any::<bool>()), 0..500)) {
            let table = gain();
            let mut agreement = Agreement::new(table.clone());
            for (row, probability, agrees) in audits {
                if let Some(corrected) = agreement.record(table.rows()[row].width(), probability, agrees) {
                    let json = serde_json::to_string(&corrected).unwrap();
                    prop_assert_eq!(&serde_json::from_str::<GainTable>(&json).unwrap(), &corrected);
                    for (now, before) in corrected.rows().iter().zip(table.rows()) {
                        prop_assert!(now.correct().iter().zip(before.correct()).all(|(now, before)| now <= before));
                        prop_assert_eq!(now.images(), before.images());
                    }
                }
            }
        }

        /// As long as audits agree as often as the table says, nothing changes but by chance.
        #[test]
        fn a_table_that_holds_stays(seed in 0u64..1000) {
            let mut agreement = Agreement::new(gain());
            let accuracy = agreement.expected(narrowest(), 0.55).unwrap();
            let mut state = seed;
            for _ in 0..500 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                agreement.record(narrowest(), 0.55, ((state >> 33) as f64 / f64::from(1u32 << 31)) < accuracy);
            }
            let kept = agreement.corrected();
            let row = &kept.rows()[0];
            prop_assert!(row.bin_accuracy(row.bin(0.55)) > accuracy - 0.1);
        }
    }
}
