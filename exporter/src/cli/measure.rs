//! `exporter measure`: measures an exported file again, and writes what it finds into the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use anywidth::engine::{GainTable, Model, Width};

use exporter::data::arrival::as_sent;
use exporter::evaluate::{accuracies_of, gain_table, outcomes, temperatures};
use exporter::file::write_whole;
use exporter::onnx::{Exported, remeasured, with_precisions};
use exporter::train::progress::by_width;

use super::engine::{accuracies_by_precision, labels, logits};
use super::material::Measures;
use super::say::printable;
use super::ship::load_curve;

/// Flags of `exporter measure`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A model file of this program. Its accuracies, temperatures and gain table are replaced, and the figure load.svg of its
    /// card; its weights stay.
    file: PathBuf,
    /// Folder with the data set's files [default: data/<DATASET>], or with the images that the network was trained on.
    #[arg(long)]
    data: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let name = || printable(&args.file.display().to_string());
    let exported = Exported::read(&args.file).with_context(name)?;
    let bytes = std::fs::read(&args.file).with_context(name)?;
    let model = Arc::new(Model::from_onnx(&bytes).with_context(name)?);
    let recipe = exported.recipe();
    let measures = Measures::of(recipe, args.data.as_ref())?;
    ensure!(!measures.validation.is_empty(), "the validation split is empty");
    let images = as_sent(&measures.validation, &recipe.augmentation, recipe.seed);

    let counted = GainTable::widths_of(model.grid());
    let mut widths: Vec<Width> = model.metadata().accuracy.iter().map(|&(width, _)| width).collect();
    widths.extend(&counted);
    widths.sort_unstable();
    widths.dedup();
    let (scores, classes) = (logits(&model, &images, &widths), labels(&images));
    let (accuracy, temperature) = (accuracies_of(&scores, &classes), temperatures(&scores, &classes));
    let gain = gain_table(&scores, &classes, (&widths, &temperature), &counted);

    let bytes = remeasured(&bytes, (&widths, &accuracy, &temperature), &gain, images.len() as u64)?;
    let bytes = with_precisions(&bytes, &widths, &accuracies_by_precision(&bytes, &images, &widths)?)?;
    Model::from_onnx(&bytes).context("the engine refuses the new metadata")?;
    write_whole(&args.file, &bytes).with_context(name)?;
    if let Some(folder) = args.file.parent().and_then(Path::parent).filter(|folder| folder.join("README.md").exists()) {
        let test = measures.test()?;
        let (scores, classes) = (logits(&model, &test, &widths), labels(&test));
        let outcomes = outcomes(&scores, &classes, (&widths, &temperature), &counted);
        let title = folder.file_name().unwrap_or_default().to_string_lossy();
        let (path, figure) = (folder.join("load.svg"), load_curve(&title, &model, &gain, &outcomes));
        write_whole(&path, figure.as_bytes()).with_context(|| path.display().to_string())?;
    }
    println!("wrote {}: validation accuracy {}", name(), by_width(&widths, &accuracy));
    Ok(())
}
