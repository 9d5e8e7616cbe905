//! `anywidth evaluate`: measures a model's accuracy and calibration at every width, on a folder of labelled images.

mod labels;
mod measure;
mod tally;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::json;

use self::labels::{LISTED, classes, first, skip_unknown};
pub(super) use self::measure::{Keep, Scored};
use self::measure::{Measurement, measure};
use self::tally::{Tally, mean_accuracy};
use super::subject::Chosen;
use super::table::{printable, table};
use super::{Failure, print};
use crate::dataset::{self, Listing};
use crate::engine::{GainTable, Outcome, Width};
use crate::repository::ServedModel;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Folder of JPEG, PNG or WebP files: one folder per class, named as the model's label ('_' for a '/' in it)
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,

    #[command(flatten)]
    chosen: Chosen,

    /// Skip folders that are not classes of the model, instead of failing
    #[arg(long)]
    skip_unknown: bool,

    /// Write the answer as JSON
    #[arg(long)]
    json: bool,

    /// Write what the model answers to each image at each width to a file, for the simulator: the probability of the most probable
    /// class, and 1 if it is right
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

/// A model's results on a folder of labelled images.
pub(super) struct Report {
    served: ServedModel,
    labels: Vec<String>,
    listing: Listing,
    /// Folders skipped because the model has no such class.
    skipped: Vec<String>,
    /// The model's class of each folder.
    classes: Vec<usize>,
    /// The measured widths, ascending to full width.
    widths: Vec<Width>,
    measured: Measurement,
}

/// What a model answers to each image at each width.
#[derive(Debug, Serialize)]
struct Recording<'a> {
    model: &'a str,
    widths: Vec<Width>,
    /// For each image and width, the probability of the most probable class, and 1 if it is right.
    images: Vec<Vec<(f32, u8)>>,
    /// The gain table of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    gain: Option<&'a GainTable>,
}

/// One broken file in this many is tolerated.
const TOLERATED: usize = 20;

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { data, chosen, skip_unknown, json, record } = arguments;
    let keep = if record.is_some() { Keep::Scores } else { Keep::Nothing };
    let report = Report::new(chosen.find()?, data, *skip_unknown, keep)?;
    if trained_on(&report.served, data) {
        eprintln!(
            "note: {} was trained on a folder of this name; if it is the same folder, most of its images are training data, and \
             the accuracy on them is meaningless: evaluate on other images",
            printable(&report.served.name)
        );
    }
    if let Some(path) = record {
        let text = serde_json::to_string(&report.recording())?;
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    print(&if *json { report.as_json() } else { report.as_text(data) })?;
    Ok(report.check()?)
}

/// Whether `data` has the name of the folder that the model was trained on, or is its training split.
fn trained_on(served: &ServedModel, data: &Path) -> bool {
    let training = served.model.metadata().training.as_ref();
    let Some(folder) = training.and_then(|training| training["dataset"]["folder"].as_str()) else { return false };
    let whole = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    let is_training = |name: &str| ["train", "training"].iter().any(|part| part.eq_ignore_ascii_case(name));
    let mut names = whole.iter().rev().filter_map(|name| name.to_str());
    let named = names.next();
    named == Some(folder) || (named.is_some_and(is_training) && names.next() == Some(folder))
}

/// The widths whose accuracies the file states, for comparison; otherwise the steps of the model's grid. With `keep`, both:
/// what is measured will replace what the file states.
fn widths(served: &ServedModel, keep: Keep) -> Vec<Width> {
    let stated = served.model.metadata().accuracy.iter().map(|&(width, _)| width);
    let mut widths: Vec<Width> = stated.filter(|&width| width < Width::FULL).collect();
    if widths.is_empty() || keep == Keep::Scores {
        widths.extend(served.model.grid());
    }
    widths.push(Width::FULL);
    widths.sort_unstable();
    widths.dedup();
    widths
}

impl Report {
    /// Runs the model on every image in the folder `data`. A folder that is not a class of the model is skipped if `skip` is set,
    /// otherwise it is an error.
    pub(super) fn new(served: ServedModel, data: &Path, skip: bool, keep: Keep) -> anyhow::Result<Report> {
        let mut listing = dataset::list(data)?;
        let labels: Vec<_> = (0..served.model.classes()).map(|class| served.model.metadata().label(class)).collect();
        let skipped = if skip { skip_unknown(&mut listing, &labels) } else { Vec::new() };
        let unknown = "some folders are not classes (--skip-unknown skips them)";
        let classes = classes(&listing.classes, &labels).context(unknown)?;
        ensure!(!listing.files.is_empty(), "there are no images in the folders of {}", data.display());
        let threads = available_parallelism().map_or(1, usize::from).min(listing.files.len());
        let widths = widths(&served, keep);
        let measured = measure(&served, &widths, &listing.files, &classes, threads, keep);
        if let (true, Some((_, reason))) = (measured.broken == listing.files.len(), measured.first_broken.first()) {
            return Err(anyhow!("no file in {} can be used; the first error: {reason}", data.display()));
        }
        Ok(Report { served, labels, listing, skipped, classes, widths, measured })
    }

    /// Fails if more than one in [`TOLERATED`] files is broken.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let (broken, all) = (self.measured.broken, self.listing.files.len());
        ensure!(broken * TOLERATED <= all, "{broken} of {all} files are broken: more than one in {TOLERATED}");
        Ok(())
    }

    /// Indices of the measured widths that are steps of the model's grid.
    pub(super) fn steps(&self) -> Vec<usize> {
        let grid = self.served.model.grid();
        (0..self.widths.len()).filter(|&at| grid.contains(&self.widths[at])).collect()
    }

    /// The measured widths, ascending to full width.
    pub(super) fn widths(&self) -> &[Width] {
        &self.widths
    }

    /// Number of images measured, without broken files.
    pub(super) fn images(&self) -> usize {
        self.listing.files.len() - self.measured.broken
    }

    /// The accuracy at each width.
    pub(super) fn accuracies(&self) -> impl Iterator<Item = f64> {
        self.measured.tallies.iter().map(Tally::accuracy)
    }

    /// The kept scores at the steps of the grid, for a file.
    fn recording(&self) -> Recording<'_> {
        let metadata = self.served.model.metadata();
        let steps = self.steps();
        let answer = |scored: &Scored, at: usize| {
            let temperature = metadata.temperature_at(self.widths[at]);
            let Outcome { probability, correct } = Outcome::of(&scored.scores[at], temperature, scored.class);
            (probability, u8::from(correct))
        };
        let image = |scored: &Scored| steps.iter().map(|&at| answer(scored, at)).collect();
        Recording {
            model: &self.served.name,
            widths: steps.iter().map(|&at| self.widths[at]).collect(),
            images: self.measured.scored.iter().map(image).collect(),
            gain: metadata.gain.as_ref(),
        }
    }

    /// The kept scores.
    pub(super) fn scored(&self) -> &[Scored] {
        &self.measured.scored
    }

    fn rows(&self) -> impl Iterator<Item = (Width, &Tally)> {
        self.widths.iter().copied().zip(&self.measured.tallies)
    }

    /// The narrowest width of the mean, and the mean accuracy from there to full width.
    fn mean_accuracy(&self) -> (Width, f64) {
        let curve: Vec<_> = self.rows().map(|(width, tally)| (width, tally.accuracy())).collect();
        // A quarter, as on the models' cards, unless the curve begins above it.
        let narrowest = curve[0].0.max(Width::of_channels(1, 4));
        (narrowest, mean_accuracy(&curve, narrowest))
    }

    /// The labels of classes without files.
    fn absent(&self) -> Vec<&str> {
        let mut has = vec![false; self.labels.len()];
        for file in &self.listing.files {
            has[self.classes[file.class]] = true;
        }
        self.labels.iter().zip(has).filter(|(_, has)| !has).map(|(label, _)| label.as_str()).collect()
    }

    fn multiply_adds(&self, width: Width) -> u64 {
        self.served.model.cost(width).multiply_adds
    }

    fn as_json(&self) -> String {
        let row = |(width, tally): (Width, &Tally)| {
            json!({
                "width": width,
                "accuracy": tally.accuracy(),
                "correct": tally.correct(),
                "calibration_error": tally.calibration_error(),
                "multiply_adds": self.multiply_adds(width),
            })
        };
        let (narrowest, mean) = self.mean_accuracy();
        let reasons: Vec<_> = self.measured.first_broken.iter().map(|(_, reason)| reason).collect();
        let answer = json!({
            "model": self.served.name,
            "version": self.served.version.to_string(),
            "images": self.images(),
            "widths": self.rows().map(row).collect::<Vec<_>>(),
            "mean_accuracy": { "from": narrowest, "accuracy": mean },
            "labels_without_images": self.absent(),
            "skipped_folders": self.skipped,
            "ignored": self.listing.ignored,
            "broken": { "files": self.measured.broken, "first": reasons },
        });
        format!("{answer}\n")
    }

    pub(super) fn as_text(&self, data: &Path) -> String {
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        let full = self.multiply_adds(Width::FULL).max(1);
        let row = |(width, tally): (Width, &Tally)| {
            vec![
                width.to_string(),
                percent(tally.accuracy()),
                percent(tally.calibration_error()),
                format!("{:.1} %", 100.0 * self.multiply_adds(width) as f64 / full as f64),
            ]
        };
        let head = ["width", "accuracy", "calibration error", "multiply-adds"];
        let (narrowest, mean) = self.mean_accuracy();
        let (broken, all) = (self.measured.broken, self.listing.files.len());
        let mut text = format!(
            "{} on {}: {} images\n\n{}\nmean accuracy over widths {narrowest} to 1: {}\n",
            self.served.name,
            printable(&data.display().to_string()),
            self.images(),
            table(&head, self.rows().map(row).collect()),
            percent(mean),
        );
        let absent = self.absent();
        if !absent.is_empty() {
            text += &format!("labels without images: {}\n", first(absent.into_iter(), LISTED));
        }
        if !self.skipped.is_empty() {
            let skipped = first(self.skipped.iter().map(String::as_str), LISTED);
            text += &format!("skipped folders that are not classes of the model: {skipped}\n");
        }
        if self.listing.ignored > 0 {
            text += &format!(
                "ignored files, without an image's extension or outside the class folders: {}\n",
                self.listing.ignored
            );
        }
        if broken > 0 {
            text += &format!("broken files, not counted: {broken} of {all}\n");
            text.extend(self.measured.first_broken.iter().map(|(_, reason)| format!("  {}\n", printable(reason))));
        }
        text
    }
}
