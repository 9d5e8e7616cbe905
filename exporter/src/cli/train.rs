//! `exporter train`: flags, over what the network and the data set have of their own, become a recipe, the recipe a run.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;

use exporter::data::photos::Shares;
use exporter::data::{Augmentation, Border, Dataset, Source};
use exporter::model::Architecture;
use exporter::train::difference::{Difference, differences};
use exporter::train::loss::Weighting;
use exporter::train::optimiser::Settings;
use exporter::train::progress::{Progress, by_width};
use exporter::train::schedule::{Decay, Schedule};
use exporter::train::{Material as Lessons, Method, Outcome, Precision, Recipe, Run, Start};

use super::material::{Material, Resources, Settings as PhotoSettings};
use super::ship::{Target, ship};
use super::standard::{Family, Standard};

/// Flags of `exporter train`. What is not given comes from the network's and the data set's own recipe.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A data set with a name; without it, --data names a folder of your own pictures.
    #[arg(required_unless_present = "data")]
    dataset: Option<Dataset>,
    /// Folder with the data set's files [default: data/<DATASET>]; or your own pictures, in a folder for each class, or
    /// in such folders below train, val and test.
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    photos: PhotoFlags,
    /// Folder for the run's checkpoint [default: runs/<DATASET>, or runs/ and the name of the folder of pictures].
    #[arg(long)]
    run: Option<PathBuf>,
    /// Go on where the run's checkpoint stands; the other flags must be those that it was begun with.
    #[arg(long)]
    resume: bool,
    /// Processor threads. Only one thread gives the same network every time.
    #[arg(long, default_value_t = 1)]
    threads: u16,
    /// The network [default: vgg-8 for photographs, lenet-3c1l for MNIST and Fashion-MNIST].
    #[arg(long, value_enum)]
    network: Option<Family>,
    /// How it is trained: at every width, or, to compare with, without the triangle and at full width alone.
    #[arg(long, value_enum, default_value_t = Method::OnePass)]
    method: Method,
    /// Channels of every hidden layer (LeNet-3C1L; 45 is the usual 32 times the root of 2, because the triangle halves
    /// the weights) or of the three stages (vgg-8) [default: 45, or 64,128,256].
    #[arg(long, value_delimiter = ',', value_parser = channels)]
    channels: Vec<usize>,
    /// Times that every image is seen; more is better, with less and less gain [default for pictures of your own: as
    /// many as make 4000 steps, from 10 to 100].
    #[arg(long)]
    epochs: Option<usize>,
    /// Images in a step [default: 128, less for fewer than 2048 pictures of your own].
    #[arg(long)]
    batch: Option<usize>,
    /// The highest learning rate [default: 0.1 for 128 images in a step, as much less as they are fewer].
    #[arg(long)]
    rate: Option<f64>,
    /// Share of all steps in which the learning rate rises.
    #[arg(long, default_value_t = 0.15)]
    warm_up: f64,
    /// How the learning rate falls [default: cosine, for vgg-8 linear].
    #[arg(long, value_enum)]
    decay: Option<Decay>,
    /// Share of the last step's direction that is kept.
    #[arg(long, default_value_t = 0.9)]
    momentum: f64,
    /// Plain momentum, without looking ahead.
    #[arg(long)]
    no_nesterov: bool,
    /// Pull towards zero, on all weights but BatchNorm's.
    #[arg(long, default_value_t = 5e-4)]
    weight_decay: f64,
    /// Share of the target that is spread over all classes [default: 0, for vgg-8 0.1].
    #[arg(long)]
    label_smoothing: Option<f64>,
    /// Share of a narrower width's target that is what full width says of the image, instead of its label [default: 0].
    #[arg(long)]
    distillation: Option<f64>,
    /// The narrowest width that is trained [default: 0.125].
    #[arg(long)]
    narrowest: Option<f64>,
    /// A width that counts for more, as WIDTH=SHARE of the whole loss; may be repeated. The rest is spread evenly over
    /// all widths that are trained [default: 0.25=0.2 0.5=0.1 1=0.1].
    #[arg(long, value_parser = emphasis)]
    emphasis: Vec<(f64, f64)>,
    /// Leave gradients as they are, instead of dividing each channel's by the share of the loss in which it takes part.
    #[arg(long)]
    no_coverage: bool,
    /// Begin with rows that pass one channel through, where the channel counts allow it [default: false, for vgg-8 true].
    #[arg(long)]
    copies: Option<bool>,
    /// Begin with the components of the training images' patches in the first layer [default: false, for vgg-8 true].
    #[arg(long)]
    whitened_stem: Option<bool>,
    /// Measure and export an average over the last steps, of which each one leaves this share [default: 0, which is no
    /// average, for vgg-8 0.998].
    #[arg(long)]
    average: Option<f64>,
    /// Smallest share of a picture's area that is cut out, for pictures of your own [default: 0.3].
    #[arg(long)]
    crop: Option<f64>,
    /// Brightness, contrast and saturation change by up to this much [default: 0, for pictures of your own 0.2].
    #[arg(long)]
    jitter: Option<f64>,
    /// Pixels that images are shifted by at most.
    #[arg(long)]
    pad: Option<usize>,
    /// What comes in where an image was shifted away [default: black, for vgg-8 reflect].
    #[arg(long, value_enum)]
    border: Option<Border>,
    /// Mirror every second image.
    #[arg(long)]
    flip: Option<bool>,
    /// Side in pixels of a grey square that covers a part of each image; 0 for none.
    #[arg(long, default_value_t = 0)]
    cutout: usize,
    /// Training images of a data set with a name that are kept for validation.
    #[arg(long, default_value_t = 5000)]
    held_out: usize,
    /// Let the images of rare classes count for no more than others [default for pictures of your own: they count so that
    /// all classes count alike, at most ten times].
    #[arg(long)]
    unbalanced: bool,
    /// Seed of everything that is random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What the convolutions compute in while training [default: bfloat16, for vgg-8, whose maps it slows down, float32].
    #[arg(long, value_enum)]
    precision: Option<Precision>,
}

/// Flags for pictures of one's own.
#[derive(Debug, clap::Args)]
struct PhotoFlags {
    /// Sides of the square that pictures of your own become, in pixels, from 28 to 128: larger shows more, and takes longer.
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Share of each class to validate on, where there is no folder val.
    #[arg(long, default_value_t = 0.15, value_parser = share)]
    validation: f64,
    /// Share of each class to test with, where there is no folder test.
    #[arg(long, default_value_t = 0.15, value_parser = share)]
    test: f64,
    #[command(flatten)]
    resources: Resources,
    #[command(flatten)]
    target: Target,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    tch::set_num_threads(i32::from(args.threads));
    let material = args.material()?;
    let folder = args.run.clone().unwrap_or_else(|| PathBuf::from("runs").join(material.source.name()));
    let checkpoint = super::checkpoint(&folder);
    let recipe = args.recipe(&material.source)?;

    let mut run = match (args.resume, checkpoint.exists()) {
        (false, true) => bail!(
            "{}: a run is there already; add --resume to go on with it, or name another folder with --run",
            checkpoint.display()
        ),
        (false, false) => Run::new(recipe, checkpoint),
        (true, _) => {
            let run = Run::resume(checkpoint.clone())?;
            let differences = differences(run.recipe(), &recipe);
            let text = |Difference { field, values: [begun, now] }: &Difference| {
                format!("{field}: begun with {begun}, the flags now say {now}")
            };
            let text: Vec<String> = differences.iter().map(text).collect();
            ensure!(text.is_empty(), "{}: {}", checkpoint.display(), text.join("; "));
            run
        }
    };
    eprintln!("{}", summary(run.recipe(), &material));

    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    ctrlc::set_handler(move || told.store(true, Ordering::Relaxed)).context("cannot listen for Ctrl-C")?;
    let loaders = args.photos.resources.loaders(args.threads)?;
    let lessons = Lessons { train: &*material.train, validation: &material.validation, loaders };
    match run.train(lessons, &Progress::new(), &|| stop.load(Ordering::Relaxed))? {
        Outcome::Interrupted => eprintln!("stopped; the same command with --resume goes on"),
        Outcome::Finished if args.dataset.is_none() => ship(&run, &material, &args.photos.target, None)?,
        Outcome::Finished => {
            let accuracy = run.history().last().map_or(String::new(), |epoch| by_width(&epoch.accuracy));
            let folder = folder.display();
            let next = match run.recipe().method {
                Method::OnePass => format!("exporter export {folder}"),
                Method::Dense => format!("exporter export RUN --dense {folder}"),
            };
            eprintln!("finished; validation {accuracy}; next: {next}");
        }
    }
    Ok(())
}

impl Args {
    fn material(&self) -> anyhow::Result<Material> {
        match (self.dataset, &self.data) {
            (Some(dataset), data) => {
                Material::known(dataset, super::data_folder(data.as_ref(), dataset), self.held_out, self.seed)
            }
            (None, Some(root)) => {
                let PhotoFlags { size, validation, test, resources, .. } = self.photos;
                ensure!(SIZES.contains(&size), "size: {size} is not from {} to {}", SIZES.start(), SIZES.end());
                let settings = PhotoSettings { size, shares: Shares { validation, test }, seed: self.seed, resources };
                Material::photos(root, settings)
            }
            (None, None) => bail!("a data set, or --data with a folder of pictures"),
        }
    }

    fn recipe(&self, source: &Source) -> anyhow::Result<Recipe> {
        let network = self.network.unwrap_or(Family::usual(source));
        let standard = Standard::of(network, source);
        let batch = self.batch.unwrap_or(standard.batch);
        let emphasis = if self.emphasis.is_empty() { DEFAULT_EMPHASIS.into() } else { self.emphasis.clone() };
        let recipe = Recipe {
            dataset: source.clone(),
            architecture: self.architecture(network)?,
            start: Start {
                copies: self.copies.unwrap_or(standard.start.copies),
                whitened_stem: self.whitened_stem.unwrap_or(standard.start.whitened_stem),
            },
            method: Method::OnePass,
            epochs: self.epochs.unwrap_or(standard.epochs),
            batch,
            schedule: Schedule {
                peak: self.rate.unwrap_or(rate(batch)),
                warm_up: self.warm_up,
                decay: self.decay.unwrap_or(standard.decay),
            },
            sgd: Settings { momentum: self.momentum, nesterov: !self.no_nesterov, weight_decay: self.weight_decay },
            loss_weights: Weighting { narrowest: self.narrowest.unwrap_or(DEFAULT_NARROWEST), emphasis },
            label_smoothing: self.label_smoothing.unwrap_or(standard.label_smoothing),
            distillation: self.distillation.unwrap_or(0.0),
            coverage: !self.no_coverage,
            average: self.average.unwrap_or(standard.average),
            augmentation: Augmentation {
                pad: self.pad.unwrap_or(standard.augmentation.pad),
                border: self.border.unwrap_or(standard.augmentation.border),
                flip: self.flip.unwrap_or(standard.augmentation.flip),
                cutout: self.cutout,
                crop: self.crop.unwrap_or(standard.augmentation.crop),
                jitter: self.jitter.unwrap_or(standard.augmentation.jitter),
            },
            held_out: self.held_out,
            seed: self.seed,
            precision: self.precision.unwrap_or(standard.precision),
            balanced: standard.balanced && !self.unbalanced,
        };
        recipe.check().map_err(anyhow::Error::msg)?;
        if self.method == Method::Dense {
            let about_widths = self.narrowest.is_some() || !self.emphasis.is_empty() || self.distillation.is_some();
            let flags = "no --narrowest, no --emphasis, no --distillation";
            ensure!(!about_widths, "a dense network is trained at full width alone: {flags}");
            return Ok(recipe.dense());
        }
        Ok(recipe)
    }

    fn architecture(&self, network: Family) -> anyhow::Result<Architecture> {
        Ok(match (network, &self.channels[..]) {
            (Family::Lenet, []) => Architecture::Lenet { channels: 45 },
            (Family::Lenet, &[channels]) => Architecture::Lenet { channels },
            (Family::Lenet, more) => bail!("channels: {} numbers, LeNet-3C1L has one", more.len()),
            (Family::Vgg8, []) => Architecture::Vgg8 { channels: [64, 128, 256] },
            (Family::Vgg8, &[first, second, third]) => Architecture::Vgg8 { channels: [first, second, third] },
            (Family::Vgg8, others) => bail!("channels: {} numbers, vgg-8 has three", others.len()),
        })
    }
}

/// What is about to happen.
fn summary(recipe: &Recipe, material: &Material) -> String {
    let (train, shape) = (material.train.labels().len(), recipe.dataset.shape());
    format!(
        "{}: {train} images to train on, {} to validate on, in {} classes; {} with {}, for {}x{} pixels; {} epochs of {} steps",
        recipe.dataset,
        material.validation.len(),
        recipe.dataset.labels().len(),
        recipe.architecture.name(),
        recipe.architecture.size(),
        shape.width,
        shape.height,
        recipe.epochs,
        train / recipe.batch.max(1),
    )
}

/// The command that trains by `recipe`, with every flag said.
pub(crate) fn command(recipe: &Recipe) -> String {
    let (network, channels) = match recipe.architecture {
        Architecture::Lenet { channels } => (Family::Lenet, channels.to_string()),
        Architecture::Vgg8 { channels } => (Family::Vgg8, channels.map(|count| count.to_string()).join(",")),
    };
    let mut flags = match &recipe.dataset {
        Source::Known(dataset) => format!("exporter train {} --network {}", dataset.name(), flag(network)),
        Source::Photos(photos) => {
            let [validation, test] = photos.shares;
            let shares = format!("--validation {validation} --test {test}");
            format!(
                "exporter train --data {} --network {} --size {} {shares}",
                quoted(&photos.folder),
                flag(network),
                photos.size
            )
        }
    };
    let mut add = |text: String| flags.push_str(&text);
    add(format!(" --channels {channels} --epochs {} --batch {}", recipe.epochs, recipe.batch));
    let Schedule { peak, warm_up, decay } = recipe.schedule;
    add(format!(" --rate {peak} --warm-up {warm_up} --decay {}", flag(decay)));
    add(format!(" --momentum {} --weight-decay {}", recipe.sgd.momentum, recipe.sgd.weight_decay));
    add(format!(" --label-smoothing {}", recipe.label_smoothing));
    match recipe.method {
        Method::OnePass => {
            add(format!(" --narrowest {}", recipe.loss_weights.narrowest));
            recipe.loss_weights.emphasis.iter().for_each(|(width, share)| add(format!(" --emphasis {width}={share}")));
            if recipe.distillation > 0.0 {
                add(format!(" --distillation {}", recipe.distillation));
            }
        }
        Method::Dense => add(" --method dense".into()),
    }
    add(format!(" --copies {} --whitened-stem {}", recipe.start.copies, recipe.start.whitened_stem));
    add(format!(" --average {}", recipe.average));
    let Augmentation { pad, border, flip, cutout, crop, jitter } = recipe.augmentation;
    add(format!(" --pad {pad} --border {} --flip {flip} --cutout {cutout}", flag(border)));
    if let Source::Photos(_) = recipe.dataset {
        add(format!(" --crop {crop} --jitter {jitter}"));
    }
    add(format!(" --held-out {} --seed {} --precision {}", recipe.held_out, recipe.seed, flag(recipe.precision)));
    if !recipe.sgd.nesterov {
        add(" --no-nesterov".into());
    }
    if !recipe.coverage && recipe.method == Method::OnePass {
        add(" --no-coverage".into());
    }
    if !recipe.balanced && matches!(recipe.dataset, Source::Photos(_)) {
        add(" --unbalanced".into());
    }
    flags
}

/// As a shell reads it as one word.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) { text.into() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Sides of pictures that a network can be made for.
const SIZES: RangeInclusive<usize> = 28..=128;

/// The highest learning rate for steps of `batch` images: 0.1 for 128, and as much less as they are fewer (Goyal et al.,
/// "Accurate, Large Minibatch SGD", 2017).
fn rate(batch: usize) -> f64 {
    0.1 * (batch as f64 / 128.0)
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|error| format!("{text:?}: {error}"))?;
    if share > 0.0 && share < 0.5 { Ok(share) } else { Err(format!("{share} is not above 0 and below 0.5")) }
}

fn flag(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |possible| possible.get_name().to_owned())
}

const DEFAULT_NARROWEST: f64 = 0.125;
const DEFAULT_EMPHASIS: [(f64, f64); 3] = [(0.25, 0.2), (0.5, 0.1), (1.0, 0.1)];

/// More channels than this in a layer are a slip of the finger.
const MOST_CHANNELS: usize = 4096;

fn channels(text: &str) -> Result<usize, String> {
    let count = text.parse().map_err(|error| format!("{text:?}: {error}"))?;
    let allowed = (1..=MOST_CHANNELS).contains(&count);
    if allowed { Ok(count) } else { Err(format!("{count} is not between 1 and {MOST_CHANNELS}")) }
}

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
    use exporter::data::PhotoSet;

    fn parsed(line: &str) -> Args {
        match Cli::try_parse_from(line.split_whitespace()).expect("flags that exist").command {
            Command::Train(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    fn recipe(line: &str) -> Recipe {
        let args = parsed(line);
        let source = args.dataset.expect("a data set with a name").into();
        args.recipe(&source).expect("flags that go together")
    }

    #[test]
    fn the_command_on_a_card_gives_the_recipe_of_the_card() {
        for line in [
            "exporter train mnist",
            "exporter train fashion-mnist --epochs 3 --rate 0.07 --decay step --no-nesterov --seed 9 --flip false",
            "exporter train cifar10 --emphasis 0.25=0.3 --no-coverage --precision float32 --pad 3 --label-smoothing 0.1",
            "exporter train cifar10 --network vgg-8 --distillation 0.5",
            "exporter train cifar10 --network vgg-8 --method dense --epochs 7",
            "exporter train cifar10 --network vgg-8 --channels 8,9,10 --copies false --average 0 --cutout 8 --border black",
        ] {
            let recipe = recipe(line);
            assert_eq!(self::recipe(&command(&recipe)), recipe, "{line}");
        }
    }

    #[test]
    fn the_command_for_photographs_gives_their_recipe() {
        let photos = PhotoSet {
            folder: "my photos".into(),
            classes: vec!["a b".into(), "c".into()],
            size: 48,
            shares: [0.2, 0.1],
            pictures: [700, 200, 100],
            mean: vec![0.5; 3],
            std: vec![0.25; 3],
        };
        let source = Source::Photos(photos);
        for line in [
            "exporter train --data x --size 48",
            "exporter train --data x --network vgg-8 --unbalanced --crop 0.5 --jitter 0 --batch 20",
        ] {
            let recipe = parsed(line).recipe(&source).expect("flags that go together");
            let command = command(&recipe);
            let folder = "--data 'my photos'";
            assert!(command.contains(folder), "{command}");
            assert_eq!(
                parsed(&command.replace(folder, "--data x")).recipe(&source).expect("the same"),
                recipe,
                "{line}"
            );
        }
    }

    /// Every card in `models`: its command means the recipe that stands beside it, whatever flags came since.
    #[test]
    fn the_commands_on_the_cards_of_the_shipped_models_still_mean_their_recipes() {
        for name in ["mnist", "fashion-mnist", "cifar10-lenet", "cifar10"] {
            let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models").join(name).join("README.md");
            let card = std::fs::read_to_string(&path).expect("a card");
            let line = |start: &str| card.lines().find(|line| line.starts_with(start)).expect(start);
            let stated: Recipe = serde_json::from_str(line("{")).expect("a recipe");
            assert_eq!(recipe(line("exporter train")), stated, "{name}");
        }
    }

    #[test]
    fn flags_that_no_network_has_are_refused_with_the_reason() {
        let reason = |flags: &str| {
            let line = format!("exporter train cifar10 {flags}");
            let args = Cli::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())?;
            let Command::Train(args) = args.command else { panic!("the command is train") };
            args.recipe(&Dataset::Cifar10.into()).map(|_| ()).map_err(|error| error.to_string())
        };
        for (flags, expected) in [
            ("--channels 0", "0 is not between 1 and 4096"),
            ("--channels 5000", "5000 is not between 1 and 4096"),
            ("--network lenet-3c1l --channels 4,5", "2 numbers, LeNet-3C1L has one"),
            ("--method dense --narrowest 0.5", "a dense network is trained at full width alone"),
            ("--method dense --emphasis 0.5=0.5", "a dense network is trained at full width alone"),
            ("--network vgg-8 --channels 64", "1 numbers, vgg-8 has three"),
            ("--network vgg-8 --channels 1,8,8", "a layer of vgg-8 would have none, with 1, 8 and 8 channels"),
        ] {
            let message = reason(flags).expect_err(flags);
            assert!(message.contains(expected), "{flags}: {message}");
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
