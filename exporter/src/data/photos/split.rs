//! Splits images into training, validation and test.

use std::path::{Path, PathBuf};

use anywidth::dataset::{self, Labelled, Listing};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::PhotosError;
use super::layout::Layout;
use crate::words::counted;

/// Shares of each class held out of training, without folders for them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// Validation share, in 0..1.
    pub validation: f64,
    /// Test share, in 0..1.
    pub test: f64,
}

/// The images of a folder by split.
#[derive(Debug, Clone, PartialEq)]
pub struct Splits {
    /// Class names, by label.
    pub classes: Vec<String>,
    /// Training images.
    pub train: Vec<Labelled>,
    /// Validation images.
    pub validation: Vec<Labelled>,
    /// Test images.
    pub test: Vec<Labelled>,
    /// Number of files without an image extension.
    pub ignored: usize,
}

/// Lists and splits the images below `root`, which contains either class folders, or the folders `train` and optionally
/// `val` (or `valid`, `validation`) and `test`, each with class folders. A missing split is drawn per class with
/// `shares` and `seed`.
///
/// # Errors
/// [`PhotosError`] if there are fewer than two classes, a class has too few images, or an unknown folder is next to
/// `train`, `val` and `test`.
pub fn split(root: &Path, shares: Shares, seed: u64) -> Result<Splits, PhotosError> {
    let parts = Layout::of(root)?;
    let train = dataset::list(&parts.train)?;
    let classes = train.classes.clone();
    if let [class] = &classes[..] {
        return Err(PhotosError::OneClass { path: parts.train, class: class.clone() });
    }
    let given =
        |folder: &Option<PathBuf>| folder.as_ref().map(|folder| relabelled(folder, &classes, &parts.train)).transpose();
    let (validation, test) = (given(&parts.validation)?, given(&parts.test)?);
    let ignored = [Some(&train), validation.as_ref(), test.as_ref()];
    let ignored = ignored.into_iter().flatten().map(|listing| listing.ignored).sum();

    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut splits = Splits {
        train: Vec::new(),
        validation: validation.as_ref().map_or_else(Vec::new, |listing| listing.files.clone()),
        test: test.as_ref().map_or_else(Vec::new, |listing| listing.files.clone()),
        ignored,
        classes,
    };
    for (class, mut files) in by_class(train.files, splits.classes.len()).into_iter().enumerate() {
        let count = files.len();
        let needed = 1 + usize::from(validation.is_none()) + usize::from(test.is_none());
        if count < needed {
            let purpose = match needed {
                1 => "to train on",
                2 => "one to train on, one to measure with",
                _ => "one each to train on, to validate on and to test with",
            };
            let (class, hint) = (splits.classes[class].clone(), hint(count, train.ignored));
            return Err(PhotosError::FewImages { class, found: counted(count, "image"), needed, purpose, hint });
        }
        files.shuffle(&mut random);
        let taken = |share: f64, left: usize| ((count as f64 * share).round() as usize).clamp(1, left);
        if test.is_none() {
            let left = files.len() - needed + 1;
            splits.test.extend(files.drain(..taken(shares.test, left)));
        }
        if validation.is_none() {
            let left = files.len() - 1;
            splits.validation.extend(files.drain(..taken(shares.validation, left)));
        }
        splits.train.extend(files);
    }
    // The first layer may be initialized from the first images, which must not all be of the first class.
    splits.train.shuffle(&mut random);
    Ok(splits)
}

/// Why a class may have fewer images than its folder has files.
fn hint(found: usize, ignored: usize) -> String {
    match (found, ignored) {
        (0, 0) => "; if it is no class, its folder must go".into(),
        (_, 0) => String::new(),
        (_, ignored) => format!("; of all files, {ignored} without the extension of a JPEG, PNG or WebP were ignored"),
    }
}

/// The images below `folder`, with the labels of the training classes.
fn relabelled(folder: &Path, classes: &[String], train: &Path) -> Result<Listing, PhotosError> {
    let mut listing = dataset::list(folder)?;
    let label = |class: &String| {
        classes.binary_search(class).map_err(|_| PhotosError::UnknownClass {
            path: folder.into(),
            class: class.clone(),
            train: train.into(),
        })
    };
    let labels = listing.classes.iter().map(label).collect::<Result<Vec<_>, _>>()?;
    listing.files.iter_mut().for_each(|file| file.class = labels[file.class]);
    Ok(listing)
}

fn by_class(files: Vec<Labelled>, classes: usize) -> Vec<Vec<Labelled>> {
    let mut by_class = vec![Vec::new(); classes];
    files.into_iter().for_each(|file| by_class[file.class].push(file));
    by_class
}
