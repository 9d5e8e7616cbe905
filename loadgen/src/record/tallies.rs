//! Counts the server's reasons and error codes; a foreign server may send any number of them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::results::Tally;

/// Counts by word.
#[derive(Debug, Default)]
pub(super) struct Tallies(BTreeMap<String, u64>);

/// Maximum number of words counted separately.
pub(super) const MAX_WORDS: usize = 100;

impl Tallies {
    pub(super) fn count(&mut self, mut word: String) {
        if self.0.len() >= MAX_WORDS && !self.0.contains_key(&word) {
            "others".clone_into(&mut word);
        }
        *self.0.entry(word).or_default() += 1;
    }

    /// Counts, the most frequent first.
    pub(super) fn tallies(&self) -> Vec<Tally> {
        let tally = |(what, &count): (&String, &u64)| Tally { what: what.clone(), count };
        let mut tallies: Vec<_> = self.0.iter().map(tally).collect();
        tallies.sort_by_key(|tally| Reverse(tally.count));
        tallies
    }
}
