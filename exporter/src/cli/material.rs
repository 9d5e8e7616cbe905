//! The images of a run: those of a data set with a name, or somebody's photographs.

use std::borrow::Cow;
use std::path::PathBuf;

use anyhow::{bail, ensure};

use exporter::data::photos::Shares;
use exporter::data::{Dataset, Examples, Images, Source, split};
use exporter::train::Recipe;
use exporter::train::difference::differences;

use super::photos::{Album, PhotoFolder};

/// The images of a run.
pub(super) struct Material {
    pub(super) source: Source,
    pub(super) train: Box<dyn Examples>,
    pub(super) measures: Measures,
}

/// The images that a run is measured with.
pub(super) struct Measures {
    pub(super) validation: Images,
    test: Test,
}

/// Where the test images are: those of a data set are not read before they are wanted.
enum Test {
    Here(Images),
    There(Dataset, PathBuf),
}

/// What making batches may take.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Resources {
    /// Memory for decoded training images, in MiB; those beyond it are decoded again in each epoch.
    #[arg(long, default_value_t = 1024, value_name = "MIB")]
    pub(super) memory: usize,
    /// Threads that decode and change images beside training; more if training waits for images [default: the
    /// processors that training leaves, at least 1].
    #[arg(long)]
    pub(super) loaders: Option<u16>,
}

/// More loading threads than any machine has use for.
const MOST_LOADERS: u16 = 256;

impl Resources {
    pub(super) fn check(self) -> anyhow::Result<()> {
        let loaders = self.loaders.unwrap_or(1);
        ensure!((1..=MOST_LOADERS).contains(&loaders), "loaders: {loaders} is not allowed, 1 to {MOST_LOADERS}");
        Ok(())
    }

    /// Loading threads, with `training` threads training.
    pub(super) fn loaders(self, training: u16) -> usize {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let left = processors.saturating_sub(usize::from(training)).max(1);
        self.loaders.map_or(left, usize::from)
    }
}

impl Material {
    /// The images of `dataset`, `held_out` of them for validation as `seed` says.
    pub(super) fn known(dataset: Dataset, folder: PathBuf, held_out: usize, seed: u64) -> anyhow::Result<Material> {
        let images = dataset.train(&folder)?;
        ensure!(held_out < images.len(), "held out: {held_out} is not below {} images", images.len());
        let (train, validation) = split::split(&images, held_out, seed);
        let measures = Measures { validation, test: Test::There(dataset, folder) };
        Ok(Material { source: dataset.into(), train: Box::new(train), measures })
    }

    /// The images of a folder, of which decoded ones to train on may take `memory` MiB.
    pub(super) fn photos(folder: PhotoFolder, memory: usize) -> anyhow::Result<Material> {
        let Album { set, train, validation, test } = folder.read(memory)?;
        let measures = Measures { validation, test: Test::Here(test) };
        Ok(Material { source: Source::Photos(set), train: Box::new(train), measures })
    }
}

impl Measures {
    /// The images that a run by `recipe` is measured with, from the folder `data`.
    pub(super) fn of(recipe: &Recipe, data: Option<&PathBuf>) -> anyhow::Result<Measures> {
        let (photos, root) = match (&recipe.dataset, data) {
            (Source::Known(dataset), _) => {
                let folder = super::data_folder(data, *dataset);
                return Ok(Material::known(*dataset, folder, recipe.held_out, recipe.seed)?.measures);
            }
            (Source::Photos(photos), Some(root)) => (photos, root),
            (Source::Photos(photos), None) => bail!("--data is needed: the folder {:?} of the run", photos.folder),
        };
        let [validation, test] = photos.shares;
        let mut folder = PhotoFolder::list(root, photos.size, Shares { validation, test }, recipe.seed)?;
        // It may have been moved.
        folder.folder.clone_from(&photos.folder);
        let mut now = folder.described(Some(photos));
        if now == *photos {
            let [validation, test] = folder.read_measured()?;
            (now.images[1], now.images[2]) = (validation.len(), test.len());
            if now == *photos {
                return Ok(Measures { validation, test: Test::Here(test) });
            }
        }
        let now = Recipe { dataset: Source::Photos(now), ..recipe.clone() };
        let text = super::in_words(&differences(recipe, &now));
        bail!("{}: the images are not those that the run was begun with: {text}", root.display())
    }

    /// How many images there are to test with, if that is known before they are read.
    pub(super) fn test_count(&self) -> Option<usize> {
        match &self.test {
            Test::Here(images) => Some(images.len()),
            Test::There(..) => None,
        }
    }

    /// The images that no choice may depend on.
    pub(super) fn test(&self) -> anyhow::Result<Cow<'_, Images>> {
        Ok(match &self.test {
            Test::Here(images) => Cow::Borrowed(images),
            Test::There(dataset, folder) => Cow::Owned(dataset.test(folder)?),
        })
    }
}
