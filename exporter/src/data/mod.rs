//! Images to train on and to measure with: how they are read, split, enlarged and cut into batches.
//!
//! [`known`] has the data sets with a name, [`photos`] the folders of photographs; to what trains, both are
//! [`Examples`]. Knows nothing of networks.

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

/// Images to train on, wherever they are kept.
pub trait Examples: Sync {
    /// The class index of every image; there are as many images as labels.
    fn labels(&self) -> &[u16];

    /// The shape of every image in a batch.
    fn shape(&self) -> Shape;

    /// The images with these `indices` as they are.
    ///
    /// # Errors
    /// [`DataError`] if an image is not where it was any more.
    ///
    /// # Panics
    /// If an index is out of range.
    fn plain(&self, indices: &[usize]) -> Result<Batch, DataError>;

    /// The images with these `indices`, each changed as `augmentation` and `random` will.
    ///
    /// # Errors
    /// As for [`Examples::plain`].
    ///
    /// # Panics
    /// As for [`Examples::plain`].
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
    /// A file of a data set with a name is missing or unreadable.
    #[error("{} cannot be read (`exporter data fetch` fetches the data sets)", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file's content is not what its format or the data set says.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was found, and what was expected.
        reason: String,
    },
}
