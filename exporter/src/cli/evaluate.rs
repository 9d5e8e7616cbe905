//! `exporter evaluate`: prints the accuracy at every channel count from the narrowest trained width up.

use std::borrow::Cow;
use std::path::PathBuf;

use exporter::evaluate::{accuracies_at, area_under_curve};
use exporter::model::Mode;
use exporter::train::Run;

use super::finished::check_measurable;
use super::material::Measures;

/// Flags of `exporter evaluate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A run's folder.
    run: PathBuf,
    /// Folder with the data set's files [default: data/<DATASET>], or with the images that the run was trained on.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Measure on the test set instead of the validation split; make no choice by it.
    #[arg(long)]
    test: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let run = Run::resume(super::checkpoint(&args.run))?;
    check_measurable(&run, &args.run)?;
    let measures = Measures::of(run.recipe(), args.data.as_ref())?;
    let images = if args.test { measures.test()? } else { Cow::Borrowed(&measures.validation) };
    let widths = run.recipe().trained_widths();
    let accuracy = accuracies_at(run.network(), &widths, &images, Mode::EVALUATION);
    println!("channels  width     accuracy");
    for (width, share) in widths.iter().zip(&accuracy) {
        println!("{:8}  {width:<8}  {:.2} %", width.active(run.network().channels()), 100.0 * share);
    }
    if widths.len() > 1 {
        let from = run.recipe().method.narrowest().max(super::quarter());
        let area = 100.0 * area_under_curve(&widths, &accuracy, from);
        println!("mean accuracy over widths {from} to 1: {area:.2} %");
    }
    Ok(())
}
