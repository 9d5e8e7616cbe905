//! `exporter synth`: a network with random weights, to size a machine before anything is trained.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use anywidth::image::Preprocessing;
use tch::Kind;

use exporter::data::Shape;
use exporter::file::write_whole;
use exporter::model::{Family, Network, Normalisation, Weights, mobilenet};
use exporter::onnx::{self, Metadata};

use super::flags::channels;
use super::say::printable;

/// Flags of `exporter synth`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file to write.
    output: PathBuf,
    /// The network.
    #[arg(long, value_enum)]
    network: Family,
    /// Side of its square images, in pixels.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(28..=224))]
    size: u16,
    /// Reads grey images instead of colour images.
    #[arg(long)]
    grey: bool,
    /// Channels, as for `train` [default: those of `train`].
    #[arg(long, value_delimiter = ',', value_parser = channels)]
    channels: Vec<usize>,
    /// Number of classes.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=10000))]
    classes: u16,
    /// Seed of the weights.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let (size, classes) = (usize::from(args.size), usize::from(args.classes));
    let shape = Shape { channels: if args.grey { 1 } else { 3 }, height: size, width: size };
    let small = args.network == Family::MobileNet && !mobilenet::SIDES.contains(&size);
    ensure!(!small, "mobilenet-v2 is for images of {:?} pixels a side", mobilenet::SIDES);
    let architecture = args.network.of(&args.channels, Weights::Triangular)?;
    let normalisation = Normalisation { mean: vec![0.5; shape.channels], std: vec![0.25; shape.channels] };
    let network =
        Network::new(architecture, Weights::Triangular, shape, classes, normalisation, args.seed, Kind::Float);
    let metadata = Metadata {
        labels: (0..classes).map(|class| format!("class {class}")).collect(),
        accuracy: Vec::new(),
        temperature: Vec::new(),
        gain: None,
        evaluation: None,
        preprocessing: Preprocessing::for_training(),
        training: None,
    };
    let name = printable(&args.output.display().to_string());
    write_whole(&args.output, &onnx::model(&network, &metadata)).with_context(|| name.clone())?;
    println!("wrote {name}: {} with random weights for {shape}, {classes} classes", args.network.name());
    Ok(())
}
