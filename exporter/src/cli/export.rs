//! `exporter export`: writes a finished run as a model folder.

use std::path::PathBuf;

use anyhow::ensure;

use exporter::model::Weights;

use super::finished::{begun, dense, finished};
use super::material::Measures;
use super::ship::{ship, ship_sliced};
use super::target::Target;

/// Flags of `exporter export`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A run's folder.
    run: PathBuf,
    /// Export a run before its last epoch. A shorter training gives a better network, because its learning rate decays
    /// to the end.
    #[arg(long, conflicts_with = "dense")]
    unfinished: bool,
    /// Folder with the data set's files [default: data/<DATASET>], or with the images that the run was trained on.
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
    /// Folder of a finished run with `--method dense` and otherwise the same flags, to compare with on the card
    /// [default: the teacher's].
    #[arg(long, value_name = "RUN")]
    dense: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let run = if args.unfinished { begun(&args.run)? } else { finished(&args.run)? };
    let weights = run.recipe().method.weights();
    ensure!(
        weights != Weights::Dense,
        "{}: a dense network has no width but the full one; it is there to compare with: export RUN --dense {0}",
        args.run.display()
    );
    ensure!(
        weights != Weights::Sliced || (args.dense.is_none() && args.target.note.is_empty()),
        "a slimmable network has no card: no --dense, no --note"
    );
    let dense = args.dense.as_ref().map(|folder| dense(folder, run.recipe())).transpose()?;
    let destination = args.target.destination(&run.recipe().dataset)?;
    let measures = Measures::of(run.recipe(), args.data.as_ref())?;
    match weights {
        Weights::Sliced => ship_sliced(&run, &measures, &destination),
        _ => ship(&run, &measures, &args.target, &destination, dense.as_ref()),
    }
}
