//! `anywidth-load compare`: compares two runs.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use super::files::{print, write};
use crate::compare::{Named, page, text};
use crate::results::Results;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Run written by `run --json`
    #[arg(value_name = "A.json")]
    left: PathBuf,

    /// Run to compare with the first; changes are relative to the first
    #[arg(value_name = "B.json")]
    right: PathBuf,

    /// Also write an HTML page with both runs' figures on the same axes
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let paths = [&arguments.left, &arguments.right];
    let runs = [Results::read(paths[0])?, Results::read(paths[1])?];
    let names = paths.map(|path| name(path));
    let pair = [0, 1].map(|index| Named { name: &names[index], run: &runs[index] });
    if let Some(path) = &arguments.report {
        write(path, &page(pair))?;
    }
    Ok(print(&text(pair))?)
}

/// The file name without its extension.
fn name(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
