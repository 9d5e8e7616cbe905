//! Detects whether a folder contains classes, or folders train, val and test that contain classes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anywidth::dataset;
use anywidth::system_files::is_system_file;

use super::PhotosError;

/// The locations of the class folders.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) train: PathBuf,
    pub(super) validation: Option<PathBuf>,
    pub(super) test: Option<PathBuf>,
}

/// Names of split folders, in any case.
const TRAIN: [&str; 2] = ["train", "training"];
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];
const TEST: [&str; 2] = ["test", "testing"];

impl Layout {
    /// The layout of `root`. `train` is a split folder if another split folder stands next to it, or if it contains
    /// only folders; if it contains images itself, it is a class named "train".
    ///
    /// # Errors
    /// [`PhotosError`] names a folder next to the splits that is not one, two folders for the same split, or a split
    /// without a training split.
    pub(super) fn of(root: &Path) -> Result<Layout, PhotosError> {
        let folders = folders(root);
        let measures = |folder: &PathBuf| is_named(folder, &VALIDATION) || is_named(folder, &TEST);
        let trains = |folder: &PathBuf| is_named(folder, &TRAIN);
        let (train, measured) = (folders.iter().any(trains), folders.iter().any(measures));
        if !(train && measured) {
            let named: Vec<&PathBuf> = folders.iter().filter(|folder| trains(folder) || measures(folder)).collect();
            match without_images(root, &named)? {
                None => return Ok(Layout { train: root.into(), validation: None, test: None }),
                Some(path) if !train => return Err(PhotosError::NoTrain { path }),
                Some(_) => {}
            }
        }
        if let Some(stray) = folders.iter().find(|folder| !measures(folder) && !trains(folder)) {
            return Err(PhotosError::Stray { path: stray.clone() });
        }
        let train = only(&folders, &TRAIN)?.unwrap_or_else(|| root.into());
        Ok(Layout { train, validation: only(&folders, &VALIDATION)?, test: only(&folders, &TEST)? })
    }
}

/// The visible folders in `root`, by name.
fn folders(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let meant = entries.filter(|entry| !is_system_file(&entry.file_name()));
    let mut folders: Vec<PathBuf> = meant.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn is_named(folder: &Path, names: &[&str]) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The first of `folders` that contains images only in subfolders.
fn without_images(root: &Path, folders: &[&PathBuf]) -> Result<Option<PathBuf>, PhotosError> {
    if folders.is_empty() {
        return Ok(None);
    }
    let listing = dataset::list(root)?;
    let holding: HashSet<&Path> = listing.files.iter().filter_map(|file| file.path.parent()).collect();
    Ok(folders.iter().find(|folder| !holding.contains(folder.as_path())).map(|folder| (*folder).clone()))
}

/// The folder with one of these `names`.
fn only(folders: &[PathBuf], names: &[&str]) -> Result<Option<PathBuf>, PhotosError> {
    let mut found = folders.iter().filter(|folder| is_named(folder, names)).cloned();
    match (found.next(), found.next()) {
        (Some(path), Some(other)) => Err(PhotosError::SamePurpose { path, other }),
        (path, _) => Ok(path),
    }
}
