//! The images of a run: a built-in data set or a folder of photographs.

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

/// The images for measuring a run.
pub(super) struct Measures {
    pub(super) validation: Images,
    test: Test,
}

/// The test images: those of a built-in data set are read when they are first used.
enum Test {
    Here(Images),
    There(Dataset, PathBuf),
}

/// Resources for making batches.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Resources {
    /// Memory for decoded training images in MiB; images beyond it are decoded again in each epoch.
    #[arg(long, default_value_t = 1024, value_name = "MIB")]
    pub(super) memory: usize,
    /// Threads that decode and augment images; use more if training waits for images [default: the processors not used
    /// for training, at least 1].
    #[arg(long)]
    pub(super) loaders: Option<u16>,
}

/// Maximum number of loader threads.
const MAX_LOADERS: u16 = 256;

impl Resources {
    pub(super) fn check(self) -> anyhow::Result<()> {
        let loaders = self.loaders.unwrap_or(1);
        ensure!((1..=MAX_LOADERS).contains(&loaders), "loaders: {loaders} is not allowed: 1 to {MAX_LOADERS}");
        Ok(())
    }

    /// Number of loader threads next to `training` training threads.
    pub(super) fn loaders(self, training: u16) -> usize {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let left = processors.saturating_sub(usize::from(training)).max(1);
        self.loaders.map_or(left, usize::from)
    }
}

impl Material {
    /// The images of `dataset`, of which `seed` selects `held_out` for validation.
    pub(super) fn known(dataset: Dataset, folder: PathBuf, held_out: usize, seed: u64) -> anyhow::Result<Material> {
        let images = dataset.train(&folder)?;
        ensure!(held_out < images.len(), "held out: {held_out} is not below {} images", images.len());
        let (train, validation) = split::split(&images, held_out, seed);
        let measures = Measures { validation, test: Test::There(dataset, folder) };
        Ok(Material { source: dataset.into(), train: Box::new(train), measures })
    }

    /// The images of a folder; decoded training images use at most `memory` MiB.
    pub(super) fn photos(folder: PhotoFolder, memory: usize) -> anyhow::Result<Material> {
        let Album { set, train, validation, test } = folder.read(memory)?;
        let measures = Measures { validation, test: Test::Here(test) };
        Ok(Material { source: Source::Photos(set), train: Box::new(train), measures })
    }
}

impl Measures {
    /// The images for measuring a run by `recipe`, from the folder `data`.
    pub(super) fn of(recipe: &Recipe, data: Option<&PathBuf>) -> anyhow::Result<Measures> {
        let (photos, root) = match (&recipe.dataset, data) {
            (Source::Known(dataset), _) => {
                let folder = super::data_folder(data, *dataset);
                return Ok(Material::known(*dataset, folder, recipe.held_out, recipe.seed)?.measures);
            }
            (Source::Photos(photos), Some(root)) => (photos, root),
            (Source::Photos(photos), None) => bail!("--data is required: the folder {:?} of the run", photos.folder),
        };
        let [validation, test] = photos.shares;
        let mut folder = PhotoFolder::list(root, photos.size, Shares { validation, test }, recipe.seed)?;
        // The folder may have been moved.
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
        bail!("{}: the images differ from those that the run was started with: {text}", root.display())
    }

    /// The number of test images, if known without reading them.
    pub(super) fn test_count(&self) -> Option<usize> {
        match &self.test {
            Test::Here(images) => Some(images.len()),
            Test::There(..) => None,
        }
    }

    /// The test images, by which no choice may be made.
    pub(super) fn test(&self) -> anyhow::Result<Cow<'_, Images>> {
        Ok(match &self.test {
            Test::Here(images) => Cow::Borrowed(images),
            Test::There(dataset, folder) => Cow::Owned(dataset.test(folder)?),
        })
    }
}
