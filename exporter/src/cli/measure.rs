//! `exporter measure`: measures an exported file again, and writes what it finds into the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use anywidth::engine::{GainTable, Model, Pass, Width};
use tch::Tensor;

use exporter::data::Images;
use exporter::data::arrival::as_sent;
use exporter::evaluate::{accuracies_of, gain_table, outcomes, temperatures};
use exporter::file::write_whole;
use exporter::onnx::{Exported, remeasured};
use exporter::train::progress::by_width;

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

fn labels(images: &Images) -> Tensor {
    Tensor::from_slice(&images.labels().iter().map(|&label| i64::from(label)).collect::<Vec<_>>())
}

/// The engine's logits of `images` at each of `widths`, `[widths, N, classes]`.
fn logits(model: &Arc<Model>, images: &Images, widths: &[Width]) -> Tensor {
    let (classes, shape) = (model.classes(), images.shape());
    let mut pass = Pass::new(model.clone(), 1);
    let mut all = Vec::with_capacity(images.len() * widths.len() * classes);
    for index in 0..images.len() {
        let image = images.batch([index]).images.contiguous().view([-1]);
        let image: Vec<f32> = Vec::try_from(image).expect("a flat tensor of floats");
        assert_eq!(image.len(), shape.len(), "values of the image");
        pass.clear();
        pass.push(&image);
        pass.widen(&[Width::FULL]);
        all.extend(pass.logits_by_width(0, widths).into_iter().flat_map(|(_, logits)| logits));
    }
    let size = [images.len() as i64, widths.len() as i64, classes as i64];
    Tensor::from_slice(&all).view(size).permute([1, 0, 2]).contiguous()
}
