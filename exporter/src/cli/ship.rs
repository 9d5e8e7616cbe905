//! A trained network becomes a model folder: `<models>/<name>/` with `<version>/model.onnx`, a card and its pictures.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use anywidth::engine::{Model, Width};
use anywidth::picture::Preparation;

use exporter::card::{Card, Dense};
use exporter::data::Source;
use exporter::evaluate::{
    accuracies, accuracies_of, all_logits, area_under_curve, calibration_errors, predictions, temperatures,
};
use exporter::file::write_whole;
use exporter::model::{Mode, Network};
use exporter::onnx::{self, Metadata, Training};
use exporter::plot::{Confusion, accuracy_curve};
use exporter::train::Run;
use exporter::train::progress::by_width;

use super::material::Material;

/// Where a model goes, and what its card says besides.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// The folder of models.
    #[arg(long, default_value = "models")]
    models: PathBuf,
    /// The model's name, which becomes its folder's [default: the data set's].
    #[arg(long)]
    name: Option<String>,
    /// The model's version [default: one more than the highest that is there].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    version: Option<u64>,
    /// The source's commit, for the card [default: what git says here].
    #[arg(long)]
    commit: Option<String>,
    /// A sentence for the card's notes; may be repeated.
    #[arg(long)]
    note: Vec<String>,
}

/// Mistakes that are told.
const MISTAKES: usize = 5;
/// The longest name that the server takes.
const LONGEST_NAME: usize = 64;

/// Measures the network of `run`, beside `dense` if there is one, and writes all files of its model.
pub(super) fn ship(run: &Run, material: &Material, target: &Target, dense: Option<&Run>) -> anyhow::Result<()> {
    let (recipe, network) = (run.recipe(), run.network());
    let name = target.name(&recipe.dataset)?;
    let folder = target.models.join(&name);
    let version = target.version.unwrap_or_else(|| next_version(&folder));

    let (logits, labels) = all_logits(network, &material.validation, Mode::EVALUATION);
    let (validation, temperature) = (accuracies_of(&logits, &labels), temperatures(&logits, &labels));
    let images = material.test()?;
    let (logits, labels) = all_logits(network, &images, Mode::EVALUATION);
    let (test, calibration) = (accuracies_of(&logits, &labels), calibration_errors(&logits, &labels, &temperature));
    let taken_for = predictions(&logits.get(-1));
    let pairs = images.labels().iter().map(|&label| usize::from(label)).zip(taken_for);
    let confusion = Confusion::count(&recipe.dataset.labels(), pairs);
    let dense = dense.map(|run| Dense {
        test: accuracies(run.network(), &images, Mode::EVALUATION)[0],
        cost: run.network().cost(),
        command: super::train::command(run.recipe()),
    });

    let metadata = Metadata {
        labels: recipe.dataset.labels(),
        accuracy: Metadata::by_width(&validation),
        temperature: Metadata::by_width(&temperature),
        picture: Preparation::default(),
        training: Some(Training { recipe: recipe.clone(), exporter_version: env!("CARGO_PKG_VERSION") }),
    };
    let bytes = onnx::model(network, &metadata);
    let served = Model::from_onnx(&bytes).context("the server would refuse this network")?;
    let (commit, command) = (target.commit.clone().or_else(commit), super::train::command(recipe));
    let card = Card {
        name: &name,
        version,
        recipe,
        validation: &validation,
        test: &test,
        temperature: &temperature,
        calibration: &calibration,
        mistakes: &confusion.worst(MISTAKES),
        commit: commit.as_deref(),
        command: &command,
        dense: dense.as_ref(),
        notes: &target.note,
    };
    let curve = curve(&name, network, [&validation, &test]);
    let file = folder.join(version.to_string()).join("model.onnx");
    write(&file, &bytes)?;
    write(&folder.join("accuracy.svg"), curve.as_bytes())?;
    write(
        &folder.join("confusion.svg"),
        confusion.svg(&format!("{name}: what the test images are taken for")).as_bytes(),
    )?;
    write(&folder.join("README.md"), card.text(network, &served).as_bytes())?;
    tell(&file, &test, &confusion);
    println!("serve it with: anywidth serve --models {} --default-model {name}", target.models.display());
    Ok(())
}

impl Target {
    fn name(&self, source: &Source) -> anyhow::Result<String> {
        let Some(name) = &self.name else { return Ok(slug(source.name())) };
        ensure!(
            name.len() <= LONGEST_NAME && slug(name) == *name,
            "name: {name:?} may have up to {LONGEST_NAME} letters, digits, '-', '_' and '.', and no dot first"
        );
        Ok(name.clone())
    }
}

/// A name of what a model's name may have; a run of anything else becomes one `-`.
fn slug(text: &str) -> String {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let words: Vec<&str> = text.split(|character| !allowed(character)).filter(|word| !word.is_empty()).collect();
    let slug: String = words.join("-").trim_start_matches('.').chars().take(LONGEST_NAME).collect();
    if slug.is_empty() { "photos".into() } else { slug }
}

fn next_version(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let versions = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok());
    versions.max().unwrap_or(0) + 1
}

fn curve(name: &str, network: &Network, [validation, test]: [&[f64]; 2]) -> String {
    let points =
        |accuracy: &[f64]| network.widths().into_iter().map(Width::as_f64).zip(accuracy.iter().copied()).collect();
    let curves = [("validation", points(validation)), ("test", points(test))];
    accuracy_curve(&format!("{name}: accuracy by width"), &curves)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    write_whole(path, bytes).with_context(|| path.display().to_string())
}

fn tell(file: &Path, test: &[f64], confusion: &Confusion) {
    println!("wrote {}, its card README.md, accuracy.svg and confusion.svg", file.display());
    let quarter = super::quarter();
    let area = 100.0 * area_under_curve(test, quarter);
    println!("test accuracy {}; {area:.2} over all widths from {quarter} to 1", by_width(test));
    for (count, of, class, taken_for) in confusion.worst(MISTAKES) {
        println!("  {count} of {of} pictures of {class:?} were taken for {taken_for:?}");
    }
}

fn commit() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).output().ok()?;
    let commit = output.status.success().then(|| String::from_utf8(output.stdout).ok()).flatten()?;
    Some(commit.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_folder_has_a_name_that_a_server_takes() {
        for (folder, name) in [
            ("photos", "photos"),
            ("my photos (2024)", "my-photos-2024"),
            ("..hidden", "hidden"),
            ("三角形", "photos"),
            ("größe_1.5", "gr-e_1.5"),
        ] {
            assert_eq!(slug(folder), name);
        }
        assert_eq!(slug(&"a".repeat(300)).len(), LONGEST_NAME);
    }

    #[test]
    fn the_next_version_follows_the_highest() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(next_version(&folder.path().join("none")), 1);
        for entry in ["2", "10", "README.md", "x"] {
            std::fs::create_dir(folder.path().join(entry)).expect("a folder");
        }
        assert_eq!(next_version(folder.path()), 11);
    }
}
