//! A folder of images: listed first, so that errors are found before an image is decoded.

use std::path::{Path, PathBuf};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use exporter::data::photos::{self, Broken, Photos, Reading, Shares, Splits, Trouble, Twins};
use exporter::data::{Examples, Images, PhotoSet};

use super::say::{note, notes};

/// A listed folder of images.
#[derive(Debug)]
pub(super) struct PhotoFolder {
    root: PathBuf,
    /// The folder's name without its path.
    pub(super) folder: String,
    splits: Splits,
    /// Image size in pixels per side.
    size: usize,
    shares: Shares,
}

/// The images that were read, and their description.
pub(super) struct Album {
    pub(super) set: PhotoSet,
    pub(super) train: Photos,
    pub(super) validation: Images,
    pub(super) test: Images,
}

impl PhotoFolder {
    /// Lists the images below `root`.
    pub(super) fn list(root: &Path, size: usize, shares: Shares, seed: u64) -> anyhow::Result<PhotoFolder> {
        let whole = root.canonicalize().with_context(|| root.display().to_string())?;
        let folder = whole.file_name().map_or("photos".into(), |name| name.to_string_lossy().into_owned());
        let splits = photos::split(root, shares, seed)?;
        Ok(PhotoFolder { root: root.into(), folder, splits, size, shares })
    }

    /// The description available before decoding; the rest is taken from a started run.
    pub(super) fn described(&self, begun: Option<&PhotoSet>) -> PhotoSet {
        let broken = begun.map_or([0; 3], |begun| begun.broken);
        let listed = self.counts();
        PhotoSet {
            folder: self.folder.clone(),
            classes: self.splits.classes.clone(),
            size: self.size,
            shares: [self.shares.validation, self.shares.test],
            images: [0, 1, 2].map(|part| listed[part].saturating_sub(broken[part])),
            mean: begun.map_or_else(Vec::new, |begun| begun.mean.clone()),
            std: begun.map_or_else(Vec::new, |begun| begun.std.clone()),
            broken,
        }
    }

    /// Reads all images; decoded training images use at most `memory` MiB.
    pub(super) fn read(self, memory: usize) -> anyhow::Result<Album> {
        self.say_what_is_odd(memory);
        let (bar, reading) = (bar(self.counts().iter().sum())?, self.reading(memory));
        let photos::Album { train, validation, test, mean, std, broken } =
            photos::read(&self.splits, reading, &|| bar.inc(1))?;
        bar.finish_and_clear();
        say_what_is_broken(&broken);
        let beyond = train.labels().len() - train.kept();
        if beyond > 0 {
            let of = train.labels().len();
            note(&format!(
                "{beyond} of {of} training images do not fit into {memory} MiB (--memory): decoded again in each epoch"
            ));
        }
        let (listed, images) = (self.counts(), [train.labels().len(), validation.len(), test.len()]);
        let broken = [0, 1, 2].map(|part| listed[part] - images[part]);
        let set = PhotoSet { images, mean, std, broken, ..self.described(None) };
        Ok(Album { set, train, validation, test })
    }

    /// Reads the validation and the test images.
    pub(super) fn read_measured(&self) -> anyhow::Result<[Images; 2]> {
        let [_, validation, test] = self.counts();
        let bar = bar(validation + test)?;
        let measured = photos::read_measured(&self.splits, self.reading(0), &|| bar.inc(1))?;
        bar.finish_and_clear();
        say_what_is_broken(&measured.broken);
        Ok([measured.validation, measured.test])
    }

    /// Numbers of training, validation and test files.
    fn counts(&self) -> [usize; 3] {
        [&self.splits.train, &self.splits.validation, &self.splits.test].map(Vec::len)
    }

    fn reading(&self, memory: usize) -> Reading {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Reading { size: self.size, memory: memory.saturating_mul(1 << 20), threads }
    }

    fn say_what_is_odd(&self, memory: usize) {
        if self.splits.ignored > 0 {
            let (root, ignored) = (self.root.display(), self.splits.ignored);
            let (files, are) = if ignored == 1 { ("file", "is") } else { ("files", "are") };
            note(&format!("{root}: {ignored} {files} without the extension of a JPEG, PNG or WebP {are} ignored"));
        }
        let [_, validation, test] = self.counts();
        let measured = ((validation + test) * 3 * self.size * self.size) >> 20;
        if measured > memory {
            note(&format!(
                "the {} images to measure with take {measured} MiB, besides the {memory} of --memory",
                validation + test
            ));
        }
        let twins: Vec<String> = photos::twins(&self.splits).iter().map(in_words).collect();
        notes(&twins, "more duplicate images");
    }
}

fn in_words(Twins { paths: [one, other], trouble }: &Twins) -> String {
    let trouble = match trouble {
        Trouble::Memory => "to train on and to measure with: what is measured on it is memory",
        Trouble::Chosen => "to validate on and to test with: what is measured on it was chosen by it",
        Trouble::Contradiction => "in two classes, of which one is wrong",
    };
    let (one, other) = (one.display(), other.display());
    format!("{one} and {other} are the same image, {trouble}; both are used: delete one")
}

fn say_what_is_broken(broken: &[Broken]) {
    let line = |one: &Broken| format!("{}: {}; skipped", one.path.display(), one.reason);
    notes(&broken.iter().map(line).collect::<Vec<_>>(), "more broken images, skipped");
}

fn bar(count: usize) -> anyhow::Result<ProgressBar> {
    let style = "reading images {bar:30} {pos}/{len}  {elapsed} elapsed, {eta} left";
    Ok(ProgressBar::new(count as u64).with_style(ProgressStyle::with_template(style)?))
}
