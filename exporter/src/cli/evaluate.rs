//! `exporter evaluate`: the accuracy at every width that the network has, as text.

use std::borrow::Cow;
use std::path::PathBuf;

use exporter::evaluate::{accuracies, area_under_curve};
use exporter::model::Mode;
use exporter::train::Run;

use super::material::Measures;

/// Flags of `exporter evaluate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A run's folder.
    run: PathBuf,
    /// Folder with the data set's files [default: data/<DATASET>], or the pictures that the run was trained with.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Measure on the test set, which no choice may depend on, instead of the validation split.
    #[arg(long)]
    test: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let run = Run::resume(super::checkpoint(&args.run))?;
    let measures = Measures::of(run.recipe(), args.data.as_ref())?;
    let images = if args.test { measures.test()? } else { Cow::Borrowed(&measures.validation) };
    let accuracy = accuracies(run.network(), &images, Mode::EVALUATION);
    println!("channels  width     accuracy");
    for (width, share) in run.network().widths().into_iter().zip(&accuracy) {
        println!("{:8}  {width:<8}  {:.2} %", width.active(run.network().channels()), 100.0 * share);
    }
    if accuracy.len() == 1 {
        return Ok(());
    }
    let quarter = super::quarter();
    println!("mean accuracy over widths {quarter} to 1: {:.2} %", 100.0 * area_under_curve(&accuracy, quarter));
    Ok(())
}
