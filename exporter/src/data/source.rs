//! A recipe's description of its images: a built-in data set or a folder of photographs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Dataset, Shape};
use crate::words::counted;

/// The source of a run's images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Source {
    /// A built-in data set.
    Known(Dataset),
    /// A folder of photographs.
    Photos(PhotoSet),
}

/// The description of a folder of photographs after reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhotoSet {
    /// The folder's name without its path.
    pub folder: String,
    /// The names of the class folders.
    pub classes: Vec<String>,
    /// Image size in pixels per side.
    pub size: usize,
    /// Validation and test shares of each class, without folders for them.
    pub shares: [f64; 2],
    /// Numbers of training, validation and test images.
    pub images: [usize; 3],
    /// Mean of the training pixels (0..1), by channel.
    pub mean: Vec<f64>,
    /// Standard deviation of the training pixels, by channel.
    pub std: Vec<f64>,
    /// Numbers of broken files, by split.
    #[serde(default, skip_serializing_if = "none")]
    pub broken: [usize; 3],
}

fn none(broken: &[usize; 3]) -> bool {
    *broken == [0; 3]
}

impl Source {
    /// The name in folders.
    pub fn name(&self) -> &str {
        match self {
            Source::Known(dataset) => dataset.name(),
            Source::Photos(photos) => &photos.folder,
        }
    }

    /// The name in prose.
    pub fn title(&self) -> String {
        match self {
            Source::Known(dataset) => dataset.title().into(),
            Source::Photos(PhotoSet { folder, images: [train, ..], .. }) => {
                format!("{} in the folder \"{folder}\"", counted(*train, "image"))
            }
        }
    }

    /// The class names, by label.
    pub fn labels(&self) -> Vec<String> {
        match self {
            Source::Known(dataset) => dataset.labels().iter().map(|&label| label.into()).collect(),
            Source::Photos(photos) => photos.classes.clone(),
        }
    }

    /// The shape of its images.
    pub fn shape(&self) -> Shape {
        match self {
            Source::Known(dataset) => dataset.shape(),
            Source::Photos(photos) => Shape { channels: 3, height: photos.size, width: photos.size },
        }
    }

    /// Mean and standard deviation of the training pixels (0..1), by channel.
    pub fn statistics(&self) -> (Vec<f64>, Vec<f64>) {
        match self {
            Source::Known(dataset) => dataset.statistics(),
            Source::Photos(photos) => (photos.mean.clone(), photos.std.clone()),
        }
    }
}

impl From<Dataset> for Source {
    fn from(dataset: Dataset) -> Source {
        Source::Known(dataset)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}
