//! Images for training and measuring: reading, splitting, augmenting and batching.
//!
//! [`known`] has the built-in data sets, [`photos`] folders of photographs; training sees both as [`Examples`]. Must
//! not know networks.

pub mod arrival;
pub mod augment;
pub mod cifar;
pub mod fetch;
pub mod idx;
mod images;
pub mod known;
pub mod loader;
pub mod photos;
mod source;
pub mod split;

use std::path::PathBuf;

use rand::rngs::ChaCha8Rng;
use thiserror::Error;

pub use augment::{Augmentation, Border};
pub use images::{Batch, Images, Shape};
pub use known::Dataset;
pub use source::{PhotoSet, Source};

/// Training images, wherever they are stored.
pub trait Examples: Sync {
    /// The class index of every image; its length is the number of images.
    fn labels(&self) -> &[u16];

    /// The shape of every image in a batch.
    fn shape(&self) -> Shape;

    /// A batch of the images with these `indices`, without augmentation.
    ///
    /// # Errors
    /// [`DataError`] if an image is no longer readable.
    ///
    /// # Panics
    /// If an index is out of range.
    fn plain(&self, indices: &[usize]) -> Result<Batch, DataError>;

    /// A batch of the images with these `indices`, each changed by `augmentation` with `random`.
    ///
    /// # Errors
    /// See [`Examples::plain`].
    ///
    /// # Panics
    /// See [`Examples::plain`].
    fn augmented(
        &self,
        indices: &[usize],
        augmentation: &Augmentation,
        random: &mut ChaCha8Rng,
    ) -> Result<Batch, DataError>;
}

/// Why a data set could not be read.
#[derive(Debug, Error)]
pub enum DataError {
    /// A file of a built-in data set is missing or unreadable.
    #[error("{} cannot be read (`exporter data fetch` fetches the data sets)", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file's contents do not match its format or the data set.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The found and the expected contents.
        reason: String,
    },
}
