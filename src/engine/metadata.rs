//! The `anywidth.*` metadata of a model file: labels, accuracy and temperature by width, gain table, training settings.
//!
//! All entries are validated when they are read. Whether the figures are true is not checked.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write as _};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use thiserror::Error;

use super::gain_table::{GainRow, GainTable, GainTableError, RawRow};
use super::onnx::clip;
use super::precision::Precision;
use super::width::Width;

/// The metadata of a model file. Every entry is optional.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    /// One name per class, in the order of the logits.
    pub labels: Option<Vec<String>>,
    /// Accuracy on held-out images (0 to 1), by ascending width; empty if absent.
    pub accuracy: Vec<(Width, f64)>,
    /// Accuracy on the same images by ascending width with precisions other than `f32`, `anywidth.precision`:
    /// `{"bf16": [[0.5, 0.8], [1, 0.9]]}`.
    pub precision: BTreeMap<Precision, Vec<(Width, f64)>>,
    /// Divisor of the logits before the softmax, by ascending width; empty if absent.
    pub temperature: Vec<(Width, f64)>,
    /// Which images a wider width helps, `anywidth.gain`: counted on the same images, with the same temperatures.
    pub gain: Option<GainTable>,
    /// The images behind the accuracies, the temperatures and the gain table, `anywidth.evaluation`:
    /// `{"split": "validation", "images": 2000}`.
    pub evaluation: Option<Evaluation>,
    /// How an image becomes the input, `anywidth.preprocessing`: `{"crop": 0.875, "range": [0, 1]}`. The engine does
    /// not interpret it; `crate::image::Preprocessing` does.
    pub preprocessing: Option<serde_json::Value>,
    /// Data set, method, epochs, seed and trainer version, as written by the trainer.
    pub training: Option<serde_json::Value>,
}

/// The images on which a file's accuracies were measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluation {
    /// `validation` for images used to choose between networks, `test` for images on which no choice depended, or
    /// another word of up to 64 bytes.
    pub split: String,
    /// Number of images.
    pub images: u64,
}

/// Invalid metadata.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("metadata {key}: {what}")]
pub struct MetadataError {
    /// Key of the entry in `metadata_props`.
    pub key: String,
    /// The problem, as a predicate of the key.
    pub what: String,
}

impl MetadataError {
    /// An error about the entry `key`. `what` is truncated because it may quote the entry.
    pub(crate) fn new(key: &str, what: &str) -> MetadataError {
        MetadataError { key: key.into(), what: clip(what, MAX_REASON) }
    }
}

/// Maximum length of a reason, in characters.
const MAX_REASON: usize = 240;
/// Maximum length of an entry, in bytes.
const MAX_ENTRY_BYTES: usize = 1 << 20;
/// Maximum length of a label, in bytes.
const MAX_LABEL_BYTES: usize = 256;
/// Maximum length of the name of a split, in bytes.
const MAX_SPLIT_BYTES: usize = 64;
/// Key of [`Evaluation`].
const EVALUATION: &str = "anywidth.evaluation";
/// Key of [`Metadata::precision`].
const PRECISION: &str = "anywidth.precision";
/// Key of [`GainTable`].
const GAIN: &str = "anywidth.gain";
/// Largest difference between an accuracy and that of the gain table: both may be rounded.
const ROUNDING: f64 = 1e-4;
/// The supported version of these keys.
const FORMAT: u64 = 1;

impl Metadata {
    /// Reads the `anywidth.*` entries of `metadata_props` for a model of `classes` classes.
    pub(super) fn read(entries: &HashMap<String, String>, classes: usize) -> Result<Metadata, MetadataError> {
        let entries = Entries(entries);
        if let Some(format) = entries.json::<u64>("anywidth.format")?
            && format != FORMAT
        {
            return Err(error("anywidth.format", format!("is {format}; this version reads {FORMAT}")));
        }
        let metadata = Metadata {
            labels: entries.json("anywidth.labels")?.map(|labels| check_labels(labels, classes)).transpose()?,
            accuracy: entries.curve("anywidth.accuracy", is_share, "from 0 to 1")?,
            precision: entries.by_precision()?,
            temperature: entries.curve("anywidth.temperature", |t| t > 1e-3 && t < 1e3, "between 0.001 and 1000")?,
            gain: entries.json::<Vec<RawRow>>(GAIN)?.map(GainTable::new).transpose().map_err(gain_error)?,
            evaluation: entries.json(EVALUATION)?.map(check_evaluation).transpose()?,
            preprocessing: entries.json("anywidth.preprocessing")?,
            training: entries.json("anywidth.training")?,
        };
        metadata.check_gain()?;
        metadata.check_precision()?;
        Ok(metadata)
    }

    /// Refuses accuracies of another precision at other widths than those of `f32`.
    fn check_precision(&self) -> Result<(), MetadataError> {
        let widths = |curve: &[(Width, f64)]| curve.iter().map(|point| point.0).collect::<Vec<_>>();
        for (precision, curve) in &self.precision {
            if widths(curve) != widths(&self.accuracy) {
                return Err(error(PRECISION, format!("has other widths for {precision} than anywidth.accuracy")));
            }
        }
        Ok(())
    }

    /// The largest loss of accuracy at any of `widths` by multiplying numbers of `precision` instead of `f32`, from 0 to 1; `None` if
    /// the file does not state it for each of them.
    pub(crate) fn loss(&self, precision: Precision, widths: &[Width]) -> Option<f64> {
        if precision == Precision::F32 {
            return Some(0.0);
        }
        let at = |curve: &[(Width, f64)], width: &Width| {
            Some(curve[curve.binary_search_by_key(width, |point| point.0).ok()?].1)
        };
        let other = self.precision.get(&precision)?;
        let losses: Option<Vec<f64>> =
            widths.iter().map(|width| Some(at(&self.accuracy, width)? - at(other, width)?)).collect();
        losses?.into_iter().max_by(f64::total_cmp)
    }

    /// Refuses a gain table of other images or of another model than the accuracies beside it.
    fn check_gain(&self) -> Result<(), MetadataError> {
        let Some(gain) = &self.gain else { return Ok(()) };
        let (counted, evaluated) = (gain.images(), self.evaluation.as_ref().map_or(gain.images(), |all| all.images));
        if counted > evaluated {
            return Err(error(GAIN, format!("counts {counted} images; {EVALUATION} says {evaluated}")));
        }
        // A table of a part of the images differs by chance: four standard deviations, at most.
        let chance = if counted < evaluated { 2.0 / (counted as f64).sqrt() } else { 0.0 };
        for &(width, accuracy) in &self.accuracy {
            if let Some(counted) = gain.row(width).map(GainRow::accuracy)
                && (counted - accuracy).abs() > ROUNDING + chance
            {
                let what = format!("has accuracy {counted:.4} at width {width}; anywidth.accuracy says {accuracy:.4}");
                return Err(error(GAIN, what));
            }
        }
        Ok(())
    }

    /// Name of a class: its label, or its index if there are no labels.
    pub fn label(&self, class: usize) -> String {
        let label = self.labels.as_ref().and_then(|labels| labels.get(class));
        label.cloned().unwrap_or_else(|| class.to_string())
    }

    /// Divisor of the logits at `width`: linear interpolation between the widths in the file; 1 if there are none.
    pub fn temperature_at(&self, width: Width) -> f64 {
        interpolate(&self.temperature, width).unwrap_or(1.0)
    }

    /// Expected accuracy at `width` (0 to 1): linear interpolation between the widths in the file; `None` if there are
    /// none.
    pub fn accuracy_at(&self, width: Width) -> Option<f64> {
        interpolate(&self.accuracy, width)
    }

    /// Expected accuracy (0 to 1) of answers at `width` whose most probable class has this calibrated probability, by the gain
    /// table; at a width that it lacks, [`Metadata::accuracy_at`].
    pub fn expected_accuracy(&self, width: Width, probability: f32) -> Option<f64> {
        let row = self.gain.as_ref().and_then(|gain| gain.row(width));
        row.map(|row| row.bin_accuracy(row.bin(probability))).or_else(|| self.accuracy_at(width))
    }
}

/// The `metadata_props` of a file.
struct Entries<'a>(&'a HashMap<String, String>);

impl Entries<'_> {
    fn json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, MetadataError> {
        let Some(text) = self.0.get(key) else { return Ok(None) };
        if text.len() > MAX_ENTRY_BYTES {
            return Err(error(key, format!("has {} bytes; at most {MAX_ENTRY_BYTES} are read", text.len())));
        }
        serde_json::from_str(text).map(Some).map_err(|cause| match cause.classify() {
            Category::Data => error(key, format!("is not {}", form(key))),
            _ => error(key, format!("is not JSON: {cause}")),
        })
    }

    fn curve(&self, key: &str, allowed: impl Fn(f64) -> bool, range: &str) -> Result<Vec<(Width, f64)>, MetadataError> {
        curve(self.json(key)?.unwrap_or_default(), key, allowed, range)
    }

    fn by_precision(&self) -> Result<BTreeMap<Precision, Vec<(Width, f64)>>, MetadataError> {
        let curves: BTreeMap<String, Vec<(f64, f64)>> = self.json(PRECISION)?.unwrap_or_default();
        let curves = curves.into_iter().map(|(name, points)| match name.parse() {
            Ok(precision) if precision != Precision::F32 => {
                Ok((precision, curve(points, PRECISION, is_share, "from 0 to 1")?))
            }
            _ => Err(error(PRECISION, format!("{:?} is none that is known besides f32: bf16", clip(&name, 20)))),
        });
        curves.collect()
    }
}

/// A curve by ascending width of values that are `allowed`, which `range` says in words.
fn curve(
    points: Vec<(f64, f64)>,
    key: &str,
    allowed: impl Fn(f64) -> bool,
    range: &str,
) -> Result<Vec<(Width, f64)>, MetadataError> {
    let curve = points
        .into_iter()
        .map(|(width, value)| {
            let width = Width::try_from(width).map_err(|why| error(key, format!("width {width}: {why}")))?;
            if allowed(value) { Ok((width, value)) } else { Err(error(key, format!("{value} is not {range}"))) }
        })
        .collect::<Result<Vec<_>, _>>()?;
    if !curve.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(error(key, "widths must ascend".into()));
    }
    Ok(curve)
}

/// The expected form of an entry, as a predicate.
fn form(key: &str) -> &'static str {
    match key {
        "anywidth.format" => "a whole number",
        "anywidth.labels" => r#"a list of strings, such as ["cat", "dog"]"#,
        "anywidth.accuracy" | "anywidth.temperature" => {
            "a list of pairs of a width and a number, such as [[0.5, 0.8], [1, 0.9]]"
        }
        PRECISION => r#"an object of lists of pairs, such as {"bf16": [[0.5, 0.8], [1, 0.9]]}"#,
        GAIN => {
            r#"a list of rows such as {"width": 1, "edges": [0.5], "images": [4, 6], "correct": [2, 6], "wider": []}"#
        }
        EVALUATION => r#"of the form {"split": "test", "images": 600}, with a whole number of images"#,
        _ => "what is expected",
    }
}

fn is_share(value: f64) -> bool {
    (0.0..=1.0).contains(&value)
}

fn check_labels(labels: Vec<String>, classes: usize) -> Result<Vec<String>, MetadataError> {
    let key = "anywidth.labels";
    if labels.len() != classes {
        return Err(error(key, format!("{} labels for {classes} classes", labels.len())));
    }
    if let Some(label) = labels.iter().find(|label| label.len() > MAX_LABEL_BYTES) {
        let start: String = label.chars().take(20).collect();
        return Err(error(key, format!("the label that starts with {start:?} exceeds {MAX_LABEL_BYTES} bytes")));
    }
    Ok(labels)
}

fn check_evaluation(evaluation: Evaluation) -> Result<Evaluation, MetadataError> {
    let Evaluation { split, images } = &evaluation;
    if split.trim().is_empty() || split.len() > MAX_SPLIT_BYTES || split.chars().any(char::is_control) {
        let start: String = split.chars().take(20).collect();
        return Err(error(EVALUATION, format!("the split {start:?} is not a word of 1 to {MAX_SPLIT_BYTES} bytes")));
    }
    if *images == 0 {
        return Err(error(EVALUATION, "images is 0; it must be at least 1".into()));
    }
    Ok(evaluation)
}

fn gain_error(cause: GainTableError) -> MetadataError {
    error(GAIN, cause.to_string())
}

fn error(key: &str, what: String) -> MetadataError {
    MetadataError::new(key, &what)
}

impl fmt::Display for Evaluation {
    /// Formats it as in `2,000 validation images`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Evaluation { split, images } = self;
        let digits = images.to_string();
        for (place, digit) in digits.chars().enumerate() {
            let comma = place > 0 && (digits.len() - place).is_multiple_of(3);
            if comma {
                out.write_char(',')?;
            }
            out.write_char(digit)?;
        }
        write!(out, " {split} image{}", if *images == 1 { "" } else { "s" })
    }
}

/// Linear interpolation of an ascending curve; constant beyond its ends.
fn interpolate(curve: &[(Width, f64)], width: Width) -> Option<f64> {
    let above = curve.partition_point(|point| point.0 < width);
    match (above.checked_sub(1).map(|below| curve[below]), curve.get(above)) {
        (Some((w0, v0)), Some(&(w1, v1))) => {
            let share = (width.as_f64() - w0.as_f64()) / (w1.as_f64() - w0.as_f64());
            Some(v0 + share * (v1 - v0))
        }
        (None, Some(&(_, value))) | (Some((_, value)), None) => Some(value),
        (None, None) => None,
    }
}
