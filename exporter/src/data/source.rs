//! What a recipe says about its images: a data set with a name, or somebody's own photographs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Dataset, Shape};
use crate::words::counted;

/// Where the images of a run come from, as far as the network and its reader need to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Source {
    /// A data set with a name.
    Known(Dataset),
    /// A folder of photographs.
    Photos(PhotoSet),
}

/// What is known of a folder of photographs once it has been read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhotoSet {
    /// The folder's own name.
    pub folder: String,
    /// The names of the folders in it, which are the classes.
    pub classes: Vec<String>,
    /// Sides of the square that an image becomes, in pixels.
    pub size: usize,
    /// Shares of each class to validate on and to test with, where folders do not say which images are.
    pub shares: [f64; 2],
    /// Images to train on, to validate on and to test with.
    pub images: [usize; 3],
    /// Mean of the training pixels (0..1), for each image channel.
    pub mean: Vec<f64>,
    /// Their standard deviation.
    pub std: Vec<f64>,
    /// Files that were left out because they are broken, by the same purposes.
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

    /// Mean and standard deviation of the training pixels (0..1), for each image channel.
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
