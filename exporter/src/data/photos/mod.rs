//! A folder of photographs as a data set: one folder per class, read once, decoded again only beyond the memory limit.
//!
//! Validation and test images are preprocessed by the server's own code ([`anywidth::image`]), so that measurements
//! hold for the served model. Must not know networks.

mod album;
mod layout;
mod read;
mod split;
mod statistics;
mod twins;

use std::path::PathBuf;

use anywidth::dataset::DatasetError;
use thiserror::Error;

pub use album::Photos;
pub use read::{Album, Broken, Measured, Reading, read, read_measured};
pub use split::{Shares, Splits, split};
pub use twins::{Trouble, Twins, twins};

/// Why a folder of photographs is not usable for training.
#[derive(Debug, Error)]
pub enum PhotosError {
    /// An error in the folder's structure.
    #[error(transparent)]
    Folder(#[from] DatasetError),
    /// Only one class.
    #[error("{}: one class only, {class:?}; at least two folders are needed, one for each class", path.display())]
    OneClass {
        /// The folder.
        path: PathBuf,
        /// The class.
        class: String,
    },
    /// A class has too few images.
    #[error("class {class:?} has {found}, at least {needed} needed: {purpose}{hint}")]
    FewImages {
        /// The class.
        class: String,
        /// The number of images it has, in words.
        found: String,
        /// The minimum.
        needed: usize,
        /// The purpose of the images.
        purpose: &'static str,
        /// A possible reason, after a semicolon.
        hint: String,
    },
    /// A folder next to the split folders that is not one.
    #[error("{} is neither train, val nor test, but stands beside them", path.display())]
    Stray {
        /// The folder.
        path: PathBuf,
    },
    /// A split folder without a training split.
    #[error("{} holds no images itself, so it is no class, and no train stands beside it", path.display())]
    NoTrain {
        /// The folder.
        path: PathBuf,
    },
    /// Two folders for the same split.
    #[error("{} and {} are for the same purpose: one of them must go", path.display(), other.display())]
    SamePurpose {
        /// The first.
        path: PathBuf,
        /// The second.
        other: PathBuf,
    },
    /// A validation or test folder has a class that training does not have.
    #[error("{}: class {class:?} is not among those of {}", path.display(), train.display())]
    UnknownClass {
        /// The validation or test folder.
        path: PathBuf,
        /// The class.
        class: String,
        /// The training folder.
        train: PathBuf,
    },
    /// Too many broken images.
    #[error("{count} of {of} images are broken, above {percent} %: {first}")]
    Broken {
        /// Number of broken images.
        count: usize,
        /// Number of images.
        of: usize,
        /// Maximum percentage.
        percent: usize,
        /// The first broken images, with reasons.
        first: String,
    },
}
