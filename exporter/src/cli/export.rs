//! `exporter export`: a finished run becomes a model folder, `<out>/<name>/{1/model.onnx, README.md}`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use anywidth::engine::Model;

use exporter::card::{Card, Dense};
use exporter::data::split;
use exporter::evaluate::{accuracies, accuracies_of, all_logits, calibration_errors, temperatures};
use exporter::file::write_whole;
use exporter::model::Mode;
use exporter::onnx::{self, Metadata, Training};
use exporter::train::difference::{Difference, differences};
use exporter::train::progress::by_width;
use exporter::train::{Method, Recipe, Run};

/// Flags of `exporter export`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A finished run's folder.
    run: PathBuf,
    /// Folder with the data set's files [default: data/<DATASET>].
    #[arg(long)]
    data: Option<PathBuf>,
    /// The folder of models.
    #[arg(long, default_value = "../models")]
    out: PathBuf,
    /// The model's name, which becomes its folder's [default: the data set's].
    #[arg(long)]
    name: Option<String>,
    /// The source's commit, for the card [default: what git says here].
    #[arg(long)]
    commit: Option<String>,
    /// The folder of a finished run with `--method dense` and otherwise the same flags, to compare with on the card.
    #[arg(long, value_name = "RUN")]
    dense: Option<PathBuf>,
    /// A sentence for the card's notes; may be repeated.
    #[arg(long)]
    note: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let run = finished(&args.run)?;
    let (recipe, network) = (run.recipe(), run.network());
    ensure!(
        recipe.method != Method::Dense,
        "{}: a dense network has no width but the full one; it is there to compare with: export RUN --dense {0}",
        args.run.display()
    );
    let dense = args.dense.as_ref().map(|folder| dense(folder, recipe)).transpose()?;
    let name = args.name.clone().unwrap_or_else(|| recipe.dataset.name().into());
    ensure!(
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
        "name: {name:?} may have letters, digits, '-', '_' and '.' only"
    );
    ensure!(!name.starts_with('.'), "name: {name:?} begins with a dot");

    let folder = super::data_folder(args.data.as_ref(), recipe.dataset);
    let (_, held_out) = split::split(&recipe.dataset.train(&folder)?, recipe.held_out, recipe.seed);
    let (logits, labels) = all_logits(network, &held_out, Mode::EVALUATION);
    let (validation, temperature) = (accuracies_of(&logits, &labels), temperatures(&logits, &labels));
    let test_set = recipe.dataset.test(&folder)?;
    let (logits, labels) = all_logits(network, &test_set, Mode::EVALUATION);
    let (test, calibration) = (accuracies_of(&logits, &labels), calibration_errors(&logits, &labels, &temperature));
    let dense = dense.map(|run| Dense {
        test: accuracies(run.network(), &test_set, Mode::EVALUATION)[0],
        cost: run.network().cost(),
        command: super::train::command(run.recipe()),
    });

    let metadata = Metadata {
        labels: recipe.dataset.labels().map(String::from).into(),
        accuracy: Metadata::by_width(&validation),
        temperature: Metadata::by_width(&temperature),
        training: Some(Training { recipe: recipe.clone(), exporter_version: env!("CARGO_PKG_VERSION") }),
    };
    let path = args.out.join(&name).join("1").join("model.onnx");
    let bytes = onnx::model(network, &metadata);
    let served = Model::from_onnx(&bytes).context("the server would refuse this network")?;
    write_whole(&path, &bytes).with_context(|| path.display().to_string())?;
    println!("{}", path.display());

    let commit = args.commit.clone().or_else(commit);
    let card = Card {
        name: &name,
        recipe,
        validation: &validation,
        test: &test,
        temperature: &temperature,
        calibration: &calibration,
        commit: commit.as_deref(),
        command: &super::train::command(recipe),
        dense: dense.as_ref(),
        notes: &args.note,
    };
    let path = args.out.join(&name).join("README.md");
    write_whole(&path, card.text(network, &served).as_bytes()).with_context(|| path.display().to_string())?;
    println!("{}\ntest {}", path.display(), by_width(&test));
    Ok(())
}

/// The run in `folder`, all of whose epochs are done.
fn finished(folder: &Path) -> anyhow::Result<Run> {
    let run = Run::resume(super::checkpoint(folder))?;
    let (done, epochs) = (run.history().len(), run.recipe().epochs);
    ensure!(done == epochs, "{}: {done} of {epochs} epochs are done", folder.display());
    Ok(run)
}

/// The finished run in `folder`, which is by the dense counterpart of `recipe`.
fn dense(folder: &Path, recipe: &Recipe) -> anyhow::Result<Run> {
    let run = finished(folder)?;
    let text = |Difference { field, values: [expected, found] }: &Difference| {
        format!("{field} is {found}, expected {expected}")
    };
    let text: Vec<String> = differences(&recipe.dense(), run.recipe()).iter().map(text).collect();
    ensure!(text.is_empty(), "{}: not the dense network of this recipe: {}", folder.display(), text.join("; "));
    Ok(run)
}

fn commit() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).output().ok()?;
    let commit = output.status.success().then(|| String::from_utf8(output.stdout).ok()).flatten()?;
    Some(commit.trim().to_owned())
}
