//! The images of a run: those of a data set with a name, or somebody's photographs.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use exporter::data::photos::{self, Album, Reading, Shares, Splits};
use exporter::data::{Dataset, Examples, Images, PhotoSet, Source, split};
use exporter::train::Recipe;

/// The images of a run.
pub(super) struct Material {
    pub(super) source: Source,
    pub(super) train: Box<dyn Examples>,
    pub(super) validation: Images,
    test: Test,
}

/// Where the test images are: those of a data set are not read before they are wanted.
enum Test {
    Here(Images),
    There(Dataset, PathBuf),
}

/// How photographs are used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// Sides of the square that a picture becomes, in pixels.
    pub(super) size: usize,
    pub(super) shares: Shares,
    pub(super) seed: u64,
    pub(super) resources: Resources,
}

/// What reading photographs may take.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Resources {
    /// Memory for decoded training pictures, in MiB; those beyond it are decoded again in each epoch.
    #[arg(long, default_value_t = 1024, value_name = "MIB")]
    pub(super) memory: usize,
    /// Threads that decode and change pictures beside training; more if training waits for images [default: the
    /// processors that training leaves, at least 1].
    #[arg(long)]
    pub(super) loaders: Option<u16>,
}

/// Lines about single files before the rest is only counted.
const NAMED: usize = 10;

impl Resources {
    /// Loading threads, with `training` threads training.
    pub(super) fn loaders(&self, training: u16) -> anyhow::Result<usize> {
        ensure!(self.loaders != Some(0), "loaders: 0 is not allowed, at least 1");
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let left = processors.saturating_sub(usize::from(training)).max(1);
        Ok(self.loaders.map_or(left, usize::from))
    }
}

impl Material {
    /// The images of `dataset`, `held_out` of them for validation as `seed` says.
    pub(super) fn known(dataset: Dataset, folder: PathBuf, held_out: usize, seed: u64) -> anyhow::Result<Material> {
        let images = dataset.train(&folder)?;
        ensure!(held_out < images.len(), "held out: {held_out} is not below {} images", images.len());
        let (train, validation) = split::split(&images, held_out, seed);
        let test = Test::There(dataset, folder);
        Ok(Material { source: dataset.into(), train: Box::new(train), validation, test })
    }

    /// The photographs below `root`.
    pub(super) fn photos(root: &Path, settings: Settings) -> anyhow::Result<Material> {
        let splits = photos::split(root, settings.shares, settings.seed)?;
        say_what_is_odd(root, &splits);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let memory = settings.resources.memory.saturating_mul(1 << 20);
        let reading = Reading { size: settings.size, memory, threads: processors };
        let count = splits.train.len() + splits.validation.len() + splits.test.len();
        let bar = ProgressBar::new(count as u64).with_style(ProgressStyle::with_template(
            "reading pictures {bar:30} {pos}/{len}  {elapsed} gone, {eta} left",
        )?);
        let album = photos::read(&splits, reading, &|| bar.inc(1))?;
        bar.finish_and_clear();
        let broken = album.broken.iter().map(|one| format!("{}: {}; skipped", one.path.display(), one.reason));
        say(broken.collect(), "more broken pictures, skipped");
        let source = Source::Photos(described(root, &splits, &album, settings)?);
        let Album { train, validation, test, .. } = album;
        Ok(Material { source, train: Box::new(train), validation, test: Test::Here(test) })
    }

    /// The images that a run by `recipe` was trained with, from the folder `data`.
    pub(super) fn of(recipe: &Recipe, data: Option<&PathBuf>, resources: Resources) -> anyhow::Result<Material> {
        let (source, seed) = (&recipe.dataset, recipe.seed);
        let material = match (source, data) {
            (Source::Known(dataset), _) => {
                Material::known(*dataset, super::data_folder(data, *dataset), recipe.held_out, seed)?
            }
            (Source::Photos(photos), Some(root)) => {
                let [validation, test] = photos.shares;
                let shares = Shares { validation, test };
                Material::photos(root, Settings { size: photos.size, shares, seed, resources })?
            }
            (Source::Photos(photos), None) => bail!("--data is needed: the folder {:?} of the run", photos.folder),
        };
        ensure!(material.source == *source, "the pictures are not those that the run was begun with");
        Ok(material)
    }

    /// The images that no choice may depend on.
    pub(super) fn test(&self) -> anyhow::Result<Images> {
        Ok(match &self.test {
            Test::Here(images) => images.clone(),
            Test::There(dataset, folder) => dataset.test(folder)?,
        })
    }
}

fn described(root: &Path, splits: &Splits, album: &Album, settings: Settings) -> anyhow::Result<PhotoSet> {
    let root = root.canonicalize().with_context(|| root.display().to_string())?;
    let folder = root.file_name().map_or("photos".into(), |name| name.to_string_lossy().into_owned());
    Ok(PhotoSet {
        folder,
        classes: splits.classes.clone(),
        size: settings.size,
        shares: [settings.shares.validation, settings.shares.test],
        pictures: [album.train.labels().len(), album.validation.len(), album.test.len()],
        mean: album.mean.clone(),
        std: album.std.clone(),
    })
}

fn say_what_is_odd(root: &Path, splits: &Splits) {
    if splits.ignored > 0 {
        eprintln!("note: {}: {} files that are not .jpg, .png or .webp are ignored", root.display(), splits.ignored);
    }
    let twins = photos::twins(splits);
    let line = |(one, other): &(PathBuf, PathBuf)| {
        format!(
            "{} and {} are the same picture, in two splits: what is measured on it is memory",
            one.display(),
            other.display()
        )
    };
    say(twins.iter().map(line).collect(), "more pictures are in two splits");
}

/// The first of many notes, and how many more there are.
fn say(notes: Vec<String>, more: &str) {
    notes.iter().take(NAMED).for_each(|note| eprintln!("note: {note}"));
    if notes.len() > NAMED {
        eprintln!("note: {} {more}", notes.len() - NAMED);
    }
}
