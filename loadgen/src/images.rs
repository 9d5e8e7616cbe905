//! Request bodies: image files, read without decoding.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anywidth::dataset::{self, DatasetError};
use anywidth::system_files::is_system_file;
use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use thiserror::Error;

/// A request body, and what it shows if that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The file.
    pub bytes: Bytes,
    /// The label of its class, with `_` for `/`.
    pub label: Option<String>,
}

/// Why images cannot be loaded.
#[derive(Debug, Error)]
pub enum ImagesError {
    /// A file or folder that cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// A folder without images.
    #[error("no image ({}) lies directly in {}", ENDINGS.join(", "), path.display())]
    None {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that is not one of labelled images.
    #[error(transparent)]
    Labelled(#[from] DatasetError),
    /// A folder of labelled images without images.
    #[error("no folder in {} has an image ({})", path.display(), ENDINGS.join(", "))]
    NoneLabelled {
        /// The folder.
        path: PathBuf,
    },
    /// An empty file.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Too many files.
    #[error("more than {MAX_IMAGES} images, the maximum")]
    TooMany,
    /// Too many bytes.
    #[error("the images have more than {MAX_BYTES} bytes together, the maximum")]
    TooLarge,
}

/// Maximum number of images.
pub const MAX_IMAGES: usize = 10_000;
/// Maximum total size of the images in bytes.
pub const MAX_BYTES: usize = 1 << 30;
/// Extensions of image files in a folder.
const ENDINGS: [&str; 6] = ["jpeg", "jpg", "jpe", "jfif", "png", "webp"];

/// The default images.
const SAMPLES: [&[u8]; 4] = [
    include_bytes!("../../samples/frog.png"),
    include_bytes!("../../samples/seven.png"),
    include_bytes!("../../samples/shirt.png"),
    include_bytes!("../../samples/ship.png"),
];

/// Images that need no file: those in `samples/`, in order of name.
pub fn samples() -> Vec<Image> {
    SAMPLES.map(|bytes| Image { bytes: Bytes::from_static(bytes), label: None }).to_vec()
}

/// Reads the images of a folder with one folder per class, in an order that `seed` shuffles.
///
/// # Errors
/// [`ImagesError`], naming the file.
pub fn labelled(folder: &Path, seed: u64) -> Result<Vec<Image>, ImagesError> {
    let listing = dataset::list(folder)?;
    let mut files: Vec<_> =
        listing.files.into_iter().map(|file| (file.path, Some(listing.classes[file.class].clone()))).collect();
    if files.is_empty() {
        return Err(ImagesError::NoneLabelled { path: folder.to_owned() });
    }
    files.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    read(files)
}

/// Reads files, and the images of folders in order of name.
///
/// # Errors
/// [`ImagesError`], naming the file.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Image>, ImagesError> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() { files.extend(inside(path)?) } else { files.push(path.clone()) }
    }
    read(files.into_iter().map(|path| (path, None)).collect())
}

fn read(files: Vec<(PathBuf, Option<String>)>) -> Result<Vec<Image>, ImagesError> {
    if files.len() > MAX_IMAGES {
        return Err(ImagesError::TooMany);
    }
    let (mut images, mut total) = (Vec::new(), 0);
    for (path, label) in files {
        let unreadable = |reason| ImagesError::Unreadable { path: path.clone(), reason };
        total += fs::metadata(&path).map_err(unreadable)?.len();
        if total > MAX_BYTES as u64 {
            return Err(ImagesError::TooLarge);
        }
        match fs::read(&path).map_err(unreadable)? {
            bytes if bytes.is_empty() => return Err(ImagesError::Empty { path }),
            bytes => images.push(Image { bytes: bytes.into(), label }),
        }
    }
    Ok(images)
}

/// The images directly in a folder, without its subfolders.
fn inside(folder: &Path) -> Result<Vec<PathBuf>, ImagesError> {
    let unreadable = |reason| ImagesError::Unreadable { path: folder.to_owned(), reason };
    let entries: Result<Vec<_>, _> = fs::read_dir(folder).map_err(unreadable)?.collect();
    let mut files: Vec<_> = entries.map_err(unreadable)?.iter().map(fs::DirEntry::path).collect();
    files.retain(|path| path.is_file() && is_image(path) && !path.file_name().is_some_and(is_system_file));
    files.sort();
    if files.is_empty() { Err(ImagesError::None { path: folder.to_owned() }) } else { Ok(files) }
}

fn is_image(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    ENDINGS.contains(&ending.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_images_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.PNG", "a.jpg", "c.txt", "d.jfif", "e.JPE", "none", "._a.jpg"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        fs::create_dir(folder.path().join("f.png")).unwrap();
        let alone = folder.path().join("none");
        let images = load(&[alone, folder.path().into()]).unwrap();
        assert!(images.iter().all(|image| image.label.is_none()));
        let bytes: Vec<_> = images.iter().map(|image| &image.bytes[..]).collect();
        assert_eq!(bytes, ["none", "a.jpg", "b.PNG", "d.jfif", "e.JPE"].map(str::as_bytes));
    }

    #[test]
    fn a_folder_of_classes_gives_shuffled_images_with_their_labels() {
        let folder = tempfile::tempdir().unwrap();
        for class in ["cat", "dog", "t_shirt"] {
            fs::create_dir(folder.path().join(class)).unwrap();
            (0..9).for_each(|n| fs::write(folder.path().join(class).join(format!("{n}.png")), class).unwrap());
        }
        let images = labelled(folder.path(), 1).unwrap();
        assert!(
            images.len() == 27 && images.iter().all(|image| image.label.as_ref().unwrap().as_bytes() == image.bytes)
        );
        assert_eq!(labelled(folder.path(), 1).unwrap(), images);
        assert_ne!(labelled(folder.path(), 2).unwrap(), images);
        let error = |path: &Path| labelled(path, 1).unwrap_err().to_string();
        assert!(error(&folder.path().join("cat")).contains("one per class is expected"));
        fs::create_dir_all(folder.path().join("empty/class")).unwrap();
        assert!(error(&folder.path().join("empty")).starts_with("no folder in "));
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("empty.png"), "").unwrap();
        fs::create_dir(at("folder")).unwrap();
        let message = |name| load(&[at(name)]).unwrap_err().to_string();
        assert!(message("empty.png").ends_with("empty.png is empty"));
        assert!(
            message("folder").ends_with("/folder")
                && message("folder").starts_with("no image (jpeg, jpg, jpe, jfif, png, webp) lies directly in ")
        );
        assert!(message("absent").contains("absent: "));
    }
}
