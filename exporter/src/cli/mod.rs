//! The command line: one file per subcommand. Converts flags to typed settings and results to text.

mod command;
mod data;
mod engine;
mod evaluate;
mod export;
mod finished;
mod flags;
mod material;
mod measure;
mod method;
mod photos;
mod recipe;
mod say;
mod ship;
mod standard;
mod synth;
mod table;
mod target;
mod train;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use exporter::data::Dataset;
use exporter::train::difference::Difference;

pub(crate) use say::printable;

/// Trains Any-Width Networks and exports them as ONNX files.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Download a data set.
    #[command(subcommand)]
    Data(data::Command),
    /// Train a network at all widths.
    Train(Box<flags::Args>),
    /// Measure a trained network at every width.
    Evaluate(evaluate::Args),
    /// Export a trained network as an ONNX file with its card.
    Export(export::Args),
    /// Measure an exported file again, and update its accuracies, temperatures and gain table.
    Measure(measure::Args),
    /// Write a network with random weights, to measure its speed on a machine.
    Synth(synth::Args),
    /// Train networks by several methods and write a page that compares them.
    Table(table::Args),
}

impl Cli {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Data(command) => data::run(&command),
            Command::Train(args) => train::run(&args),
            Command::Evaluate(args) => evaluate::run(&args),
            Command::Export(args) => export::run(&args),
            Command::Measure(args) => measure::run(&args),
            Command::Synth(args) => synth::run(&args),
            Command::Table(args) => table::run(&args),
        }
    }
}

/// The folder of a data set's files: `--data`, or `data/<name>`.
fn data_folder(data: Option<&PathBuf>, dataset: Dataset) -> PathBuf {
    data.cloned().unwrap_or_else(|| PathBuf::from("data").join(dataset.name()))
}

/// The checkpoint in a run's folder.
fn checkpoint(run: &std::path::Path) -> PathBuf {
    run.join("checkpoint.safetensors")
}

/// Describes the differences between a run's recipe and the current images or flags.
fn in_words(differences: &[Difference]) -> String {
    let text = |Difference { field, values: [begun, now] }: &Difference| {
        let says = if field.starts_with("dataset.") { "now" } else { "the flags now say" };
        format!("{field}: started with {begun}, {says} {now}")
    };
    differences.iter().map(text).collect::<Vec<_>>().join("; ")
}

/// Lower end of the area under the accuracy-width curve.
fn quarter() -> anywidth::engine::Width {
    exporter::train::named_widths()[0]
}
