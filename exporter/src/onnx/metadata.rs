//! What the file says about itself, as JSON strings; a server trusts none of it.

use anywidth::engine::{Evaluation, Width};
use anywidth::image::Preprocessing;
use serde::Serialize;

use crate::train::Recipe;

/// The file's `anywidth.*` entries.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// Class names, by index.
    pub labels: Vec<String>,
    /// Accuracy on held-out images, at some widths, narrow to wide.
    pub accuracy: Vec<(Width, f64)>,
    /// What logits are divided by to give honest probabilities, at the same widths.
    pub temperature: Vec<(Width, f64)>,
    /// Whose images those are.
    pub evaluation: Evaluation,
    /// What was done to images before the network saw them.
    pub preprocessing: Preprocessing,
    /// How the network came to be, if it was trained.
    pub training: Option<Training>,
}

/// How a network came to be.
#[derive(Debug, Clone, Serialize)]
pub struct Training {
    /// The whole recipe, among it data set, method, epochs and seed.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// Epochs that were done, if the run was exported before its last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs_done: Option<usize>,
    /// Version of this program.
    pub exporter_version: &'static str,
}

/// The key of the class names.
pub(super) const LABELS: &str = "anywidth.labels";
/// The field of [`Training`] that says how many epochs were done, if not all.
pub(super) const EPOCHS_DONE: &str = "epochs_done";
/// The key of how the network came to be.
pub(super) const TRAINING: &str = "anywidth.training";
/// Version of the layout of these entries.
const FORMAT: &str = "1";
/// More widths than this are thinned out.
const MOST_WIDTHS: usize = 64;

impl Metadata {
    /// Of one value for each of evenly spaced widths, those that go into the file, with their widths.
    pub fn by_width(values: &[f64]) -> Vec<(Width, f64)> {
        let stride = values.len().div_ceil(MOST_WIDTHS);
        let counts = (1..=values.len()).rev().step_by(stride);
        let mut pairs: Vec<_> = counts.map(|n| (Width::of_channels(n, values.len()), rounded(values[n - 1]))).collect();
        pairs.reverse();
        pairs
    }

    pub(super) fn entries(&self) -> Vec<(&'static str, String)> {
        let mut entries = vec![
            ("anywidth.format", FORMAT.to_owned()),
            (LABELS, json(&self.labels)),
            ("anywidth.accuracy", json(&self.accuracy)),
            ("anywidth.temperature", json(&self.temperature)),
            ("anywidth.evaluation", json(&self.evaluation)),
            ("anywidth.preprocessing", json(&self.preprocessing)),
        ];
        entries.extend(self.training.as_ref().map(|training| (TRAINING, json(training))));
        entries
    }
}

/// Six places are more than any of these numbers mean.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings, numbers and lists have a JSON form")
}
