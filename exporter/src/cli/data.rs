//! `exporter data fetch`: downloads a data set.

use std::path::PathBuf;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};

use exporter::data::{Dataset, fetch};

/// The subcommands of `exporter data`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fetch a data set from its public source; keeps files that exist.
    Fetch {
        /// The data set.
        dataset: Dataset,
        /// Folder for its files [default: data/<DATASET>].
        #[arg(long)]
        dir: Option<PathBuf>,
    },
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    let Command::Fetch { dataset, dir } = command;
    let folder = super::data_folder(dir.as_ref(), *dataset);
    let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes}  {msg}")?;
    let bar = ProgressBar::new(0).with_style(style);
    fetch::fetch(&fetch::downloads(*dataset), &folder, &bar)?;
    eprintln!("{} is in {}", dataset.name(), folder.display());
    Ok(())
}
