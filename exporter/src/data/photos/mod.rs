//! Somebody's own photographs as a data set: a folder for each class, read once, decoded again only where memory ends.
//!
//! What is measured on is made by the server's own code ([`anywidth::image`]), so that a model is served what it was
//! measured on. Knows nothing of networks.

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

/// Why a folder of photographs cannot be trained on.
#[derive(Debug, Error)]
pub enum PhotosError {
    /// The folder, or what is in it, is not as it should be.
    #[error(transparent)]
    Folder(#[from] DatasetError),
    /// There is nothing to tell apart.
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
        /// How many images it has, in words.
        found: String,
        /// How many it should have.
        needed: usize,
        /// What they are for.
        purpose: &'static str,
        /// What may be the reason, after a semicolon.
        hint: String,
    },
    /// A folder stands beside those that are named for their purposes.
    #[error("{} is neither train, val nor test, but stands beside them", path.display())]
    Stray {
        /// The folder.
        path: PathBuf,
    },
    /// A folder is named for a measurement, and there is none to train on.
    #[error("{} holds no images itself, so it is no class, and no train stands beside it", path.display())]
    NoTrain {
        /// The folder.
        path: PathBuf,
    },
    /// Two folders are named for the same purpose.
    #[error("{} and {} are for the same purpose: one of them must go", path.display(), other.display())]
    SamePurpose {
        /// The one.
        path: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// A folder to measure with has a class that is not trained.
    #[error("{}: class {class:?} is not among those of {}", path.display(), train.display())]
    UnknownClass {
        /// The folder to measure with.
        path: PathBuf,
        /// The class.
        class: String,
        /// The folder to train on.
        train: PathBuf,
    },
    /// Too many images do not decode.
    #[error("{count} of {of} images are broken, above {percent} %: {first}")]
    Broken {
        /// How many.
        count: usize,
        /// Of how many.
        of: usize,
        /// How many may be.
        percent: usize,
        /// The first of them, with reasons.
        first: String,
    },
}
