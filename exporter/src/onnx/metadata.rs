//! The file's metadata, as JSON strings; the server validates all of it.

use anywidth::engine::{Evaluation, GainTable, Width};
use anywidth::image::Preprocessing;
use serde::Serialize;

use crate::train::Recipe;

/// The file's `anywidth.*` entries.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// Class names, by index.
    pub labels: Vec<String>,
    /// Accuracy on held-out images by width, narrow to wide.
    pub accuracy: Vec<(Width, f64)>,
    /// Calibration temperature (divisor of the logits) at the same widths.
    pub temperature: Vec<(Width, f64)>,
    /// Which images a wider width helps, at these temperatures; none for a network of one width.
    pub gain: Option<GainTable>,
    /// The images of these measurements; none if nothing was measured.
    pub evaluation: Option<Evaluation>,
    /// Preprocessing of the network's input.
    pub preprocessing: Preprocessing,
    /// How the network was trained, if it was.
    pub training: Option<Training>,
}

/// How a network was trained.
#[derive(Debug, Clone, Serialize)]
pub struct Training {
    /// The complete recipe, including data set, method, epochs and seed.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// Completed epochs, if the run was exported before its last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs_done: Option<usize>,
    /// Version of this program.
    pub exporter_version: &'static str,
}

/// Key of the class names.
pub(super) const LABELS: &str = "anywidth.labels";
/// The field of [`Training`] with the number of completed epochs, if not all.
pub(super) const EPOCHS_DONE: &str = "epochs_done";
/// Key of the training description.
pub(super) const TRAINING: &str = "anywidth.training";
/// Version of the metadata format.
const FORMAT: &str = "1";
/// Maximum number of widths; more are thinned out.
const MAX_WIDTHS: usize = 64;

impl Metadata {
    /// The values for the file, with their widths, from one value for each of evenly spaced widths.
    pub fn by_width(values: &[f64]) -> Vec<(Width, f64)> {
        let stride = values.len().div_ceil(MAX_WIDTHS);
        let counts = (1..=values.len()).rev().step_by(stride);
        let mut pairs: Vec<_> = counts.map(|n| (Width::of_channels(n, values.len()), rounded(values[n - 1]))).collect();
        pairs.reverse();
        pairs
    }

    pub(super) fn entries(&self) -> Vec<(&'static str, String)> {
        let mut entries = vec![("anywidth.format", FORMAT.to_owned()), (LABELS, json(&self.labels))];
        if let Some(evaluation) = &self.evaluation {
            entries.extend(measured(&self.accuracy, &self.temperature, self.gain.as_ref(), evaluation));
        }
        entries.push(("anywidth.preprocessing", json(&self.preprocessing)));
        entries.extend(self.training.as_ref().map(|training| (TRAINING, json(training))));
        entries
    }
}

/// The entries that are measured.
pub(super) fn measured(
    accuracy: &[(Width, f64)],
    temperature: &[(Width, f64)],
    gain: Option<&GainTable>,
    evaluation: &Evaluation,
) -> Vec<(&'static str, String)> {
    let mut entries = vec![("anywidth.accuracy", json(&accuracy)), ("anywidth.temperature", json(&temperature))];
    entries.extend(gain.map(|gain| ("anywidth.gain", json(gain))));
    entries.push(("anywidth.evaluation", json(evaluation)));
    entries
}

/// Rounds to six places, beyond the precision of any of these numbers.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings, numbers and lists have a JSON form")
}
