//! Lists a folder of labelled images, one folder per class: `<folder>/<class>/**/<image>`.
//!
//! The same folder gives the same list on every machine, whatever the order of its file system. Listing opens no file;
//! only [`read`] does. The module must not know models or image formats.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

use crate::system_files::is_system_file;

/// The images of a folder and their classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Names of the class folders in Unicode's composed form (NFC), sorted, including folders without images.
    pub classes: Vec<String>,
    /// The images, ordered by class, then by path.
    pub files: Vec<Labelled>,
    /// Number of files that are neither listed nor system files: no image extension, or outside the class folders.
    pub ignored: usize,
}

/// An image with a known class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// Its path, starting with the listed folder.
    pub path: PathBuf,
    /// Index of its class in [`Listing::classes`].
    pub class: usize,
}

/// Why a folder or a file in it cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A folder is missing, unreadable, or not a folder.
    #[error("cannot list {path}: {reason}", path = path.display())]
    Unlisted {
        /// The folder.
        path: PathBuf,
        /// The operating system's error.
        reason: io::Error,
    },
    /// There is no class folder.
    #[error("{path} holds no folder: one per class is expected, and there are {files} files", path = path.display())]
    NoClass {
        /// The folder.
        path: PathBuf,
        /// Number of files in it.
        files: usize,
    },
    /// There are more class folders than a model can have classes.
    #[error("{path} holds {classes} folders: one per class is expected, at most {MAX_CLASSES}", path = path.display())]
    TooManyClasses {
        /// The folder.
        path: PathBuf,
        /// Number of class folders.
        classes: usize,
    },
    /// The name of a class folder cannot be a label.
    #[error("the folder {path:?} cannot name a class: its name must be UTF-8 of at most {MAX_NAME_BYTES} bytes")]
    ClassName {
        /// The class folder.
        path: PathBuf,
    },
    /// The names of two class folders are equal after Unicode composition.
    #[error(
        "the folders {first:?} and {second:?} name the same class: they differ only in how their letters are composed"
    )]
    SameClass {
        /// The first folder.
        first: PathBuf,
        /// The second folder.
        second: PathBuf,
    },
    /// Folders are nested too deeply, for example through a link to a parent folder.
    #[error("{path} is nested too deep: at most {MAX_DEPTH} levels of folders are allowed", path = path.display())]
    TooDeep {
        /// The first folder beyond the limit.
        path: PathBuf,
    },
    /// There are more files and folders than the limit.
    #[error("{path} holds more than {most} files and folders", path = path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// The limit.
        most: usize,
    },
    /// A file is missing or unreadable.
    #[error("cannot read {path}: {reason}", path = path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        reason: io::Error,
    },
    /// A file is larger than the caller allows.
    #[error("cannot read {path}: it has more than {max_bytes} bytes, the most that is allowed", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        max_bytes: usize,
    },
}

/// Extensions of image files, case-insensitive.
const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "jpe", "jfif", "png", "webp"];
/// Maximum number of classes.
const MAX_CLASSES: usize = 1000;
/// Maximum length of a class name; the same limit applies to a model's labels.
const MAX_NAME_BYTES: usize = 256;
/// Maximum folder nesting, including the class folder.
const MAX_DEPTH: usize = 8;
/// Maximum number of files and folders.
const MAX_ENTRIES: usize = 5_000_000;

/// Lists the images (`.jpg`, `.jpeg`, `.jpe`, `.jfif`, `.png` and `.webp`, case-insensitive) of a folder with one
/// folder per class.
///
/// A class folder may contain nested folders, up to 8 levels including itself. Links are followed. Hidden files and
/// system files are skipped: see [`is_system_file`]. A dangling link is listed, so reading it reports the error. Class
/// names are [`composed`], so they compare equal whatever system wrote them.
///
/// # Errors
/// [`DatasetError`] if a folder cannot be listed, if there is no class folder or more than 1000, if the name of a class
/// folder is not UTF-8 or exceeds 256 bytes, if two folders name the same class, or if there are more than 5 million
/// files and folders.
pub fn list(root: &Path) -> Result<Listing, DatasetError> {
    list_at_most(MAX_ENTRIES, root)
}

/// Reads a file of at most `max_bytes` bytes. Memory use stays within that limit.
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

/// Converts a name to Unicode's composed form (NFC), in which class names are compared. macOS stores "ü" as "u" and a
/// combining diaeresis.
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

/// The class folders, sorted by composed name, so the order does not depend on how the file system composes names.
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

/// The state of a listing in progress.
struct Walk<'a> {
    root: &'a Path,
    most: usize,
    /// Number of files and folders found so far.
    seen: usize,
    files: Vec<Labelled>,
    ignored: usize,
}

impl Walk<'_> {
    /// Lists a folder of `class` at nesting level `depth`.
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

    /// The files and folders directly in `folder` except system files, sorted by name.
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
            // Only links need a look at the target. A dangling link keeps the type of a link.
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

/// Whether a file has an image extension and is not a pipe or device, which might never end.
fn is_image(path: &Path, kind: FileType) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    (kind.is_file() || kind.is_symlink()) && EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

#[cfg(test)]
mod tests;
