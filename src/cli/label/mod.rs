//! `anywidth label`: writes metadata to a model file: labels, and measured accuracies, temperatures and gain table.

mod file;
mod props;
mod temperature;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use serde_json::{Value, json};

use self::file::{Rewritten, read};
use self::temperature::fit;
use super::evaluate::{Keep, Report, Scored};
use super::{Failure, print};
use crate::dataset;
use crate::engine::{GainTable, Outcome, Precision, Width};
use crate::nearest::{did_you_mean, nearest};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// ONNX file
    #[arg(value_name = "FILE")]
    model: PathBuf,

    /// Class names in the order of the scores: a text file with one name per line, a folder with one folder per class (sorted by
    /// name, as torchvision's ImageFolder does), or the names themselves, separated by commas
    #[arg(long, value_name = "FILE|FOLDER|A,B,...")]
    labels: Option<String>,

    /// Folder of labelled images that the network was not trained on, laid out as for `evaluate`; accuracies, temperatures and
    /// the gain table are measured on them and written
    #[arg(long, value_name = "FOLDER")]
    evaluate: Option<PathBuf>,

    /// Name of the split that --evaluate uses, such as `test` or `validation`; written with the accuracies
    #[arg(long, value_name = "WORD", default_value = "test", requires = "evaluate")]
    split: String,

    /// Sets another entry, such as preprocessing='{"crop": 0.875}'; an empty value removes the entry. Can be repeated
    #[arg(long, value_name = "KEY=JSON", value_parser = entry)]
    set: Vec<Change>,

    /// Write a new file instead of changing the model file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A key, and its new value or `None` to remove it.
type Change = (String, Option<String>);

/// The prefix of every key.
const PREFIX: &str = "anywidth.";
/// The keys that the server reads, without their prefix.
const KEYS: [&str; 9] =
    ["format", "labels", "accuracy", "precision", "temperature", "gain", "evaluation", "preprocessing", "training"];
/// The key and value of the metadata format's version.
const FORMAT: (&str, &str) = ("anywidth.format", "1");
/// Maximum length of --split, in bytes.
const MAX_SPLIT: usize = 64;

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { labels, evaluate, split, set, .. } = arguments;
    if labels.is_none() && evaluate.is_none() && set.is_empty() {
        return Err(Failure::Usage(anyhow!("nothing to write: use --labels, --evaluate or --set")));
    }
    if split.trim().is_empty() || split.len() > MAX_SPLIT {
        return Err(Failure::Usage(anyhow!(
            "--split must be a word of at most {MAX_SPLIT} bytes, such as test or validation"
        )));
    }
    let mut changes: BTreeMap<String, Option<String>> = set.iter().cloned().collect();
    if let Some(labels) = labels {
        changes.extend([text("labels", json!(labels_from(labels)?))]);
    }
    let bytes = read(&arguments.model)?;
    if !props::keys(&bytes)?.iter().any(|key| key == FORMAT.0.as_bytes()) {
        changes.entry(FORMAT.0.to_owned()).or_insert_with(|| Some(FORMAT.1.to_owned()));
    }

    let target = arguments.output.as_deref().unwrap_or(&arguments.model);
    let rewritten = Rewritten::new(&arguments.model, &bytes, target)?;
    if let Some(data) = evaluate {
        let labelled = props::changed(&bytes, &changes)?;
        let report = Report::new(rewritten.load(&labelled, Precision::F32)?, data, false, Keep::Scores)?;
        print(&report.as_text(data))?;
        report.check()?;
        changes.extend(measured(&report, split));
        changes.extend([precisions(&rewritten, &labelled, data)?]);
    }
    rewritten.finish(&props::changed(&bytes, &changes)?)?;
    let keys: Vec<_> = changes.keys().map(String::as_str).collect();
    Ok(print(&format!("wrote {} to {}\n", keys.join(", "), target.display()))?)
}

/// The entry for the accuracies with the other precisions of this processor; none if it has no others.
fn precisions(rewritten: &Rewritten, labelled: &[u8], data: &Path) -> anyhow::Result<Change> {
    let mut measured = serde_json::Map::new();
    for precision in Precision::others() {
        // With the scores kept, as for `f32`, it is measured at the same widths.
        let report = Report::new(rewritten.load(labelled, precision)?, data, false, Keep::Scores)?;
        let accuracies: Vec<f64> = report.accuracies().collect();
        let shown = report.steps().into_iter();
        let shown = shown.map(|at| format!("{:.2} % ({})", 100.0 * accuracies[at], report.widths()[at]));
        let shown: Vec<String> = shown.collect();
        print(&format!("accuracy with {precision}: {}\n", shown.join("  ")))?;
        measured.insert(precision.to_string(), curve(report.widths(), accuracies.into_iter()));
    }
    Ok(match measured.is_empty() {
        true => (format!("{PREFIX}precision"), None),
        false => text("precision", measured.into()),
    })
}

/// The entries for the measured values.
fn measured(report: &Report, split: &str) -> [Change; 4] {
    let temperature = |width: usize| {
        let images = report.scored().iter().map(|image| (image.scores[width].as_slice(), image.class));
        fit(&images.collect::<Vec<_>>())
    };
    let temperatures: Vec<f64> = (0..report.widths().len()).map(temperature).collect();
    [
        text("accuracy", curve(report.widths(), report.accuracies())),
        text("temperature", curve(report.widths(), temperatures.iter().copied())),
        text("gain", json!(gain(report, &temperatures))),
        text("evaluation", json!({ "split": split, "images": report.images() })),
    ]
}

/// Which images a wider width helps, for those measured widths that are steps of the model's grid.
fn gain(report: &Report, temperatures: &[f64]) -> GainTable {
    let steps = report.steps();
    let widths = GainTable::widths_of(&steps.iter().map(|&at| report.widths()[at]).collect::<Vec<_>>());
    let counted: Vec<usize> = steps.into_iter().filter(|&at| widths.contains(&report.widths()[at])).collect();
    let outcome = |image: &Scored, at: usize| Outcome::of(&image.scores[at], temperatures[at], image.class);
    let images = report.scored().iter().map(|image| counted.iter().map(|&at| outcome(image, at)).collect());
    GainTable::count(&widths, &images.collect::<Vec<_>>())
}

/// `[[width, value], ...]`, rounded to six decimals.
fn curve(widths: &[Width], values: impl Iterator<Item = f64>) -> Value {
    let rounded = |value: f64| (value * 1e6).round() / 1e6;
    widths.iter().zip(values).map(|(width, value)| json!([width, rounded(value)])).collect()
}

fn text(key: &str, value: Value) -> Change {
    (format!("{PREFIX}{key}"), Some(value.to_string()))
}

/// Parses the value of --labels.
fn labels_from(text: &str) -> anyhow::Result<Vec<String>> {
    let path = Path::new(text);
    let labels: Vec<String> = if path.is_dir() {
        dataset::list(path)?.classes
    } else if path.is_file() {
        let lines = fs::read_to_string(path).with_context(|| format!("cannot read {text}"))?;
        let lines = lines.strip_prefix('\u{feff}').unwrap_or(&lines).trim_end();
        lines.lines().map(|line| line.trim().to_owned()).collect()
    } else {
        ensure!(text.contains(','), "there is no file or folder {text:?}; names must be separated by commas");
        text.split(',').map(|label| label.trim().to_owned()).collect()
    };
    match labels.iter().position(String::is_empty) {
        Some(empty) => Err(anyhow!("label {empty} of {text} is empty (labels count from 0)")),
        None => Ok(labels),
    }
}

/// Parses a value of --set: a key, with or without its prefix, and JSON or nothing.
fn entry(text: &str) -> Result<Change, String> {
    let (key, value) = text.split_once('=').ok_or("KEY=JSON is expected")?;
    let short = key.strip_prefix(PREFIX).unwrap_or(key);
    if !KEYS.contains(&short) {
        let nearest = did_you_mean(&nearest(short, KEYS));
        return Err(format!("there is no key {short:?}{nearest} (the keys are {})", KEYS.join(", ")));
    }
    let value = match value {
        "" => None,
        value => {
            serde_json::from_str::<Value>(value).map_err(|cause| format!("{key} is not JSON: {cause}"))?;
            Some(value.to_owned())
        }
    };
    Ok((format!("{PREFIX}{short}"), value))
}
