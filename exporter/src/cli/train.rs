//! `exporter train`: flags and the data set's defaults become a recipe, the recipe becomes a run.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;

use exporter::data::{Augmentation, Dataset, split};
use exporter::model::Architecture;
use exporter::train::loss::Weighting;
use exporter::train::optimiser::Settings;
use exporter::train::progress::{Progress, by_width};
use exporter::train::schedule::{Decay, Schedule};
use exporter::train::{Method, Outcome, Precision, Recipe, Run};

/// Flags of `exporter train`. What is not given comes from the data set's own recipe.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The data set.
    dataset: Dataset,
    /// Folder with the data set's files [default: data/<DATASET>].
    #[arg(long)]
    data: Option<PathBuf>,
    /// Folder for the run's checkpoint [default: runs/<DATASET>].
    #[arg(long)]
    run: Option<PathBuf>,
    /// Go on where the run's checkpoint stands; the other flags must be those that it was begun with.
    #[arg(long)]
    resume: bool,
    /// Processor threads. Only one thread gives the same network every time.
    #[arg(long, default_value_t = 1)]
    threads: u16,
    /// Channels of every hidden layer; 45 is the usual 32 times the root of 2, because the triangle halves the weights.
    #[arg(long, default_value_t = 45)]
    channels: usize,
    /// Times that every image is seen; more is better, with less and less gain.
    #[arg(long)]
    epochs: Option<usize>,
    /// Images in a step.
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// The highest learning rate.
    #[arg(long, default_value_t = 0.1)]
    rate: f64,
    /// Share of all steps in which the learning rate rises.
    #[arg(long, default_value_t = 0.15)]
    warm_up: f64,
    /// How the learning rate falls.
    #[arg(long, value_enum, default_value_t = Decay::Cosine)]
    decay: Decay,
    /// Share of the last step's direction that is kept.
    #[arg(long, default_value_t = 0.9)]
    momentum: f64,
    /// Plain momentum, without looking ahead.
    #[arg(long)]
    no_nesterov: bool,
    /// Pull towards zero, on all weights but BatchNorm's.
    #[arg(long, default_value_t = 5e-4)]
    weight_decay: f64,
    /// Share of the target that is spread over all classes.
    #[arg(long, default_value_t = 0.0)]
    label_smoothing: f64,
    /// The narrowest width that is trained.
    #[arg(long, default_value_t = 0.125)]
    narrowest: f64,
    /// A width that counts for more, as WIDTH=SHARE of the whole loss; may be repeated. The rest is spread evenly over
    /// all channel counts [default: 0.25=0.2 0.5=0.1 1=0.1].
    #[arg(long, value_parser = emphasis)]
    emphasis: Vec<(f64, f64)>,
    /// Leave gradients as they are, instead of dividing each channel's by the share of the loss in which it takes part.
    #[arg(long)]
    no_coverage: bool,
    /// Pixels that images are shifted by at most.
    #[arg(long)]
    pad: Option<usize>,
    /// Mirror every second image.
    #[arg(long)]
    flip: Option<bool>,
    /// Training images that are kept for validation.
    #[arg(long, default_value_t = 5000)]
    held_out: usize,
    /// Seed of everything that is random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What the convolutions compute in while training.
    #[arg(long, value_enum, default_value_t = Precision::Bfloat16)]
    precision: Precision,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    tch::set_num_threads(i32::from(args.threads));
    let folder = args.run.clone().unwrap_or_else(|| PathBuf::from("runs").join(args.dataset.name()));
    let checkpoint = super::checkpoint(&folder);
    let recipe = args.recipe();
    let images = args.dataset.train(&super::data_folder(args.data.as_ref(), args.dataset))?;
    ensure!(recipe.held_out < images.len(), "held out: {} is not below {} images", recipe.held_out, images.len());
    let (train, validation) = split::split(&images, recipe.held_out, recipe.seed);

    let mut run = match (args.resume, checkpoint.exists()) {
        (false, true) => bail!(
            "{}: a run is there already; add --resume to go on with it, or name another folder with --run",
            checkpoint.display()
        ),
        (false, false) => Run::new(recipe, checkpoint),
        (true, _) => {
            let run = Run::resume(checkpoint.clone())?;
            ensure!(
                *run.recipe() == recipe,
                "{}: begun with another recipe:\n{}\nthe flags now say\n{}",
                checkpoint.display(),
                serde_json::to_string(run.recipe())?,
                serde_json::to_string(&recipe)?
            );
            run
        }
    };
    eprintln!("{}", serde_json::to_string(run.recipe())?);

    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    ctrlc::set_handler(move || told.store(true, Ordering::Relaxed)).context("cannot listen for Ctrl-C")?;
    match run.train(&train, &validation, &Progress::new(), &|| stop.load(Ordering::Relaxed))? {
        Outcome::Interrupted => eprintln!("stopped; the same command with --resume goes on"),
        Outcome::Finished => {
            let accuracy = run.history().last().map_or(String::new(), |epoch| by_width(&epoch.accuracy));
            eprintln!("finished; validation {accuracy}; next: exporter export {}", folder.display());
        }
    }
    Ok(())
}

impl Args {
    fn recipe(&self) -> Recipe {
        let (epochs, pad, flip) = match self.dataset {
            Dataset::Mnist => (18, 2, false),
            Dataset::FashionMnist => (26, 2, true),
            Dataset::Cifar10 => (38, 4, true),
        };
        let emphasis = if self.emphasis.is_empty() { DEFAULT_EMPHASIS.into() } else { self.emphasis.clone() };
        Recipe {
            dataset: self.dataset,
            architecture: Architecture::Lenet { channels: self.channels },
            method: Method::OnePass,
            epochs: self.epochs.unwrap_or(epochs),
            batch: self.batch,
            schedule: Schedule { peak: self.rate, warm_up: self.warm_up, decay: self.decay },
            sgd: Settings { momentum: self.momentum, nesterov: !self.no_nesterov, weight_decay: self.weight_decay },
            loss_weights: Weighting { narrowest: self.narrowest, emphasis },
            label_smoothing: self.label_smoothing,
            coverage: !self.no_coverage,
            augmentation: Augmentation { pad: self.pad.unwrap_or(pad), flip: self.flip.unwrap_or(flip) },
            held_out: self.held_out,
            seed: self.seed,
            precision: self.precision,
        }
    }
}

/// The command that trains by `recipe`, with every flag said.
pub(crate) fn command(recipe: &Recipe) -> String {
    let Architecture::Lenet { channels } = recipe.architecture;
    let mut flags = format!(
        "exporter train {} --channels {channels} --epochs {} --batch {} --rate {} --warm-up {} --decay {}",
        recipe.dataset.name(),
        recipe.epochs,
        recipe.batch,
        recipe.schedule.peak,
        recipe.schedule.warm_up,
        flag(recipe.schedule.decay),
    );
    let mut add = |text: String| flags.push_str(&text);
    add(format!(" --momentum {} --weight-decay {}", recipe.sgd.momentum, recipe.sgd.weight_decay));
    add(format!(" --label-smoothing {} --narrowest {}", recipe.label_smoothing, recipe.loss_weights.narrowest));
    recipe.loss_weights.emphasis.iter().for_each(|(width, share)| add(format!(" --emphasis {width}={share}")));
    add(format!(" --pad {} --flip {}", recipe.augmentation.pad, recipe.augmentation.flip));
    add(format!(" --held-out {} --seed {} --precision {}", recipe.held_out, recipe.seed, flag(recipe.precision)));
    if !recipe.sgd.nesterov {
        add(" --no-nesterov".into());
    }
    if !recipe.coverage {
        add(" --no-coverage".into());
    }
    flags
}

fn flag(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |possible| possible.get_name().to_owned())
}

const DEFAULT_EMPHASIS: [(f64, f64); 3] = [(0.25, 0.2), (0.5, 0.1), (1.0, 0.1)];

fn emphasis(text: &str) -> Result<(f64, f64), String> {
    let (width, share) = text.split_once('=').ok_or("expected WIDTH=SHARE, such as 0.25=0.2")?;
    let number = |text: &str| text.parse().map_err(|error| format!("{text:?}: {error}"));
    Ok((number(width)?, number(share)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn parsed(line: &str) -> Args {
        match Cli::try_parse_from(line.split_whitespace()).expect("flags that exist").command {
            Command::Train(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_on_a_card_gives_the_recipe_of_the_card() {
        for line in [
            "exporter train mnist",
            "exporter train fashion-mnist --epochs 3 --rate 0.07 --decay step --no-nesterov --seed 9 --flip false",
            "exporter train cifar10 --emphasis 0.25=0.3 --no-coverage --precision float32 --pad 3 --label-smoothing 0.1",
        ] {
            let recipe = parsed(line).recipe();
            assert_eq!(parsed(&command(&recipe)).recipe(), recipe, "{line}");
        }
    }

    #[test]
    fn an_emphasis_that_is_no_pair_of_numbers_is_refused() {
        for text in ["", "0.25", "=", "a=0.1", "0.25=b"] {
            assert!(emphasis(text).is_err(), "{text}");
        }
        assert_eq!(emphasis("0.25=0.2"), Ok((0.25, 0.2)));
    }
}
