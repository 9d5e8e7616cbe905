//! A folder of labelled images, one folder per class: `<folder>/<class>/**/<image>`.
//!
//! Promises the same list for the same folder on every machine, whatever order its file system keeps. Lists paths, and
//! opens no file before [`read`] is asked to. Knows nothing of models, nor of what images are.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

use crate::system_files::is_system_file;

/// The images of a folder, and the classes that they belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The names of the class folders in Unicode's composed form (NFC), sorted; those without an image are among them.
    pub classes: Vec<String>,
    /// The images, by class and then by path.
    pub files: Vec<Labelled>,
    /// Files that somebody means and that are not listed: without an image's extension, or beside the class folders.
    pub ignored: usize,
}

/// An image whose class is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// Where it lies; it begins with the folder that was listed.
    pub path: PathBuf,
    /// The index of its class in [`Listing::classes`].
    pub class: usize,
}

/// Why a folder, or a file in it, cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A folder is missing, is none, or may not be read.
    #[error("cannot list {path}: {reason}", path = path.display())]
    Unlisted {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// There is no class.
    #[error("{path} holds no folder: one per class is expected, and there are {files} files", path = path.display())]
    NoClass {
        /// The folder.
        path: PathBuf,
        /// Files that it holds instead.
        files: usize,
    },
    /// More folders than any model has classes.
    #[error("{path} holds {classes} folders: one per class is expected, at most {MAX_CLASSES}", path = path.display())]
    TooManyClasses {
        /// The folder.
        path: PathBuf,
        /// Folders that it holds.
        classes: usize,
    },
    /// A class folder's name cannot be a label.
    #[error("the folder {path:?} cannot name a class: its name must be UTF-8 of at most {MAX_NAME_BYTES} bytes")]
    ClassName {
        /// The class folder.
        path: PathBuf,
    },
    /// Two class folders with the same name, but for how it is encoded.
    #[error(
        "the folders {first:?} and {second:?} name the same class: they differ only in how their letters are composed"
    )]
    SameClass {
        /// The one.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// Folders in folders without end: a link that leads to a folder above it, for instance.
    #[error("{path} lies too deep: at most {MAX_DEPTH} folders may lie in each other", path = path.display())]
    TooDeep {
        /// The first folder that is too deep.
        path: PathBuf,
    },
    /// More than anybody means to list.
    #[error("{path} holds more than {most} files and folders", path = path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// The limit.
        most: usize,
    },
    /// A file is missing or may not be read.
    #[error("cannot read {path}: {reason}", path = path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// A file is larger than its reader allows.
    #[error("cannot read {path}: it has more than {max_bytes} bytes, the most that is allowed", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        max_bytes: usize,
    },
}

/// What the names of images end with, in any case.
const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "jpe", "jfif", "png", "webp"];
/// The most classes.
const MAX_CLASSES: usize = 1000;
/// The longest name of a class, as of a model's label.
const MAX_NAME_BYTES: usize = 256;
/// The most folders in each other, the class folder counted.
const MAX_DEPTH: usize = 8;
/// The most files and folders.
const MAX_ENTRIES: usize = 5_000_000;

/// Lists the images (`.jpg`, `.jpeg`, `.jpe`, `.jfif`, `.png` and `.webp`, in any case) of a folder with one folder per class.
///
/// A class folder may hold folders, at most 8 in each other. Links are followed. Hidden names and those that systems leave
/// behind are left alone: see [`is_system_file`]. A link that leads nowhere is listed, so that whoever reads it learns of it.
/// The names of classes are given as [`composed`] makes them, so that they compare equal whatever system wrote them.
///
/// # Errors
/// [`DatasetError`] when a folder cannot be listed, there is no class folder or more than 1000, a class folder's name
/// is not UTF-8 or longer than 256 bytes, two name the same class, or there are more than 5 million files and folders.
pub fn list(root: &Path) -> Result<Listing, DatasetError> {
    list_at_most(MAX_ENTRIES, root)
}

/// The contents of a file, of which no more than `max_bytes` are ever in memory.
///
/// # Errors
/// [`DatasetError::Unread`] and [`DatasetError::TooLarge`].
pub fn read(path: &Path, max_bytes: usize) -> Result<Vec<u8>, DatasetError> {
    let mut bytes = Vec::new();
    let most = (max_bytes as u64).saturating_add(1);
    File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(|reason| DatasetError::Unread { path: path.to_owned(), reason })?;
    if bytes.len() > max_bytes {
        return Err(DatasetError::TooLarge { path: path.to_owned(), max_bytes });
    }
    Ok(bytes)
}

/// A name in Unicode's composed form (NFC), in which names of classes are compared: macOS stores "ü" as "u" and two dots.
pub fn composed(name: &str) -> String {
    name.nfc().collect()
}

fn list_at_most(most: usize, root: &Path) -> Result<Listing, DatasetError> {
    let mut walk = Walk { root, most, seen: 0, files: Vec::new(), ignored: 0 };
    let (folders, files): (Vec<_>, Vec<_>) = walk.entries(root)?.into_iter().partition(|(_, kind)| kind.is_dir());
    walk.ignored = files.len();
    match folders.len() {
        0 => return Err(DatasetError::NoClass { path: root.to_owned(), files: files.len() }),
        classes if classes > MAX_CLASSES => {
            return Err(DatasetError::TooManyClasses { path: root.to_owned(), classes });
        }
        _ => {}
    }
    let folders = by_class(root, folders.into_iter().map(|(name, _)| name))?;
    let mut classes = Vec::with_capacity(folders.len());
    for (class, (name, path)) in folders.into_iter().enumerate() {
        classes.push(name);
        walk.folder(&path, class, 1)?;
    }
    Ok(Listing { classes, files: walk.files, ignored: walk.ignored })
}

/// The class folders in the order of the classes that they name: the same on a system that decomposes names.
fn by_class(root: &Path, names: impl Iterator<Item = OsString>) -> Result<Vec<(String, PathBuf)>, DatasetError> {
    let named = |name: OsString| {
        let path = root.join(&name);
        class_name(&name).map(|class| (class, path.clone())).ok_or(DatasetError::ClassName { path })
    };
    let mut folders = names.map(named).collect::<Result<Vec<_>, _>>()?;
    folders.sort_unstable();
    match folders.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(DatasetError::SameClass { first: pair[0].1.clone(), second: pair[1].1.clone() }),
        None => Ok(folders),
    }
}

/// A folder on the way to its listing.
struct Walk<'a> {
    root: &'a Path,
    most: usize,
    /// Files and folders so far.
    seen: usize,
    files: Vec<Labelled>,
    ignored: usize,
}

impl Walk<'_> {
    /// Lists a folder of `class`, the `depth`th of those that lie in each other.
    fn folder(&mut self, folder: &Path, class: usize, depth: usize) -> Result<(), DatasetError> {
        if depth > MAX_DEPTH {
            return Err(DatasetError::TooDeep { path: folder.to_owned() });
        }
        for (name, kind) in self.entries(folder)? {
            let path = folder.join(&name);
            if kind.is_dir() {
                self.folder(&path, class, depth + 1)?;
            } else if is_image(&path, kind) {
                self.files.push(Labelled { path, class });
            } else {
                self.ignored += 1;
            }
        }
        Ok(())
    }

    /// The files and folders directly in a folder that somebody means, by name: in the order of their paths.
    fn entries(&mut self, folder: &Path) -> Result<Vec<(OsString, FileType)>, DatasetError> {
        let unlisted = |reason| DatasetError::Unlisted { path: folder.to_owned(), reason };
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(unlisted)? {
            let entry = entry.map_err(unlisted)?;
            let name = entry.file_name();
            if is_system_file(&name) {
                continue;
            }
            self.seen += 1;
            if self.seen > self.most {
                return Err(DatasetError::TooMany { path: self.root.to_owned(), most: self.most });
            }
            let kind = entry.file_type().map_err(unlisted)?;
            // Only a link costs a look at the file itself; one that leads nowhere stays a link.
            let target = kind.is_symlink().then(|| fs::metadata(entry.path()).ok()).flatten();
            entries.push((name, target.map_or(kind, |target| target.file_type())));
        }
        entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(entries)
    }
}

fn class_name(name: &OsStr) -> Option<String> {
    name.to_str().map(composed).filter(|name| name.len() <= MAX_NAME_BYTES)
}

/// Is it named as images are, and no pipe or device, which might never end?
fn is_image(path: &Path, kind: FileType) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    (kind.is_file() || kind.is_symlink()) && EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

#[cfg(test)]
mod tests;
