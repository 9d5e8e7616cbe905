//! Data sets in memory: who they are, how their files are read, split, enlarged and cut into batches.
//!
//! Knows nothing of networks. Pixels stay bytes until a batch is made.

pub mod augment;
pub mod cifar;
pub mod fetch;
pub mod idx;
pub mod split;

use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use thiserror::Error;

pub use augment::{Augmentation, Border};

/// A data set that the exporter knows by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dataset {
    /// Handwritten digits, 28x28 grey.
    Mnist,
    /// Pictures of clothing, 28x28 grey.
    FashionMnist,
    /// Photographs of ten kinds of things, 32x32 RGB.
    Cifar10,
}

/// Images with their labels, as the files hold them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// All pixels, image after image, each `[C, H, W]`.
    pixels: Vec<u8>,
    /// One class index for each image.
    labels: Vec<u8>,
    shape: Shape,
}

/// The shape of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// 1 for grey, 3 for RGB.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// One batch on its way into a network.
#[derive(Debug)]
pub struct Batch {
    /// `[N, C, H, W]` in 0..1, held with the channels innermost, which is the order that libtorch convolves fastest.
    pub images: Tensor,
    /// `[N]`, class indices.
    pub labels: Tensor,
}

/// Why a data set could not be read.
#[derive(Debug, Error)]
pub enum DataError {
    /// A file is missing or unreadable.
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

impl Dataset {
    /// The name in flags, folders and model files.
    pub fn name(self) -> &'static str {
        match self {
            Dataset::Mnist => "mnist",
            Dataset::FashionMnist => "fashion-mnist",
            Dataset::Cifar10 => "cifar10",
        }
    }

    /// The name in prose.
    pub fn title(self) -> &'static str {
        match self {
            Dataset::Mnist => "MNIST",
            Dataset::FashionMnist => "Fashion-MNIST",
            Dataset::Cifar10 => "CIFAR-10",
        }
    }

    /// The class names, by label.
    pub fn labels(self) -> [&'static str; 10] {
        match self {
            Dataset::Mnist => ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
            Dataset::FashionMnist => [
                "T-shirt/top",
                "Trouser",
                "Pullover",
                "Dress",
                "Coat",
                "Sandal",
                "Shirt",
                "Sneaker",
                "Bag",
                "Ankle boot",
            ],
            Dataset::Cifar10 => {
                ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
            }
        }
    }

    /// The shape of its images.
    pub fn shape(self) -> Shape {
        match self {
            Dataset::Mnist | Dataset::FashionMnist => Shape { channels: 1, height: 28, width: 28 },
            Dataset::Cifar10 => Shape { channels: 3, height: 32, width: 32 },
        }
    }

    /// Mean and standard deviation of the training pixels (0..1), for each image channel.
    pub fn statistics(self) -> (Vec<f64>, Vec<f64>) {
        match self {
            Dataset::Mnist => (vec![0.1307], vec![0.3081]),
            Dataset::FashionMnist => (vec![0.2860], vec![0.3530]),
            Dataset::Cifar10 => (vec![0.4914, 0.4822, 0.4465], vec![0.2470, 0.2435, 0.2616]),
        }
    }

    /// Reads the training images from `folder`.
    ///
    /// # Errors
    /// [`DataError`] names the file that is missing, cut off or not what this data set's files are.
    pub fn train(self, folder: &Path) -> Result<Images, DataError> {
        match self {
            Dataset::Mnist | Dataset::FashionMnist => idx::read_pair(folder, "train", self.shape(), 60_000),
            Dataset::Cifar10 => cifar::read(folder, &cifar::TRAIN, 10_000),
        }
    }

    /// Reads the test images from `folder`.
    ///
    /// # Errors
    /// As for [`Dataset::train`].
    pub fn test(self, folder: &Path) -> Result<Images, DataError> {
        match self {
            Dataset::Mnist | Dataset::FashionMnist => idx::read_pair(folder, "t10k", self.shape(), 10_000),
            Dataset::Cifar10 => cifar::read(folder, &cifar::TEST, 10_000),
        }
    }
}

impl Images {
    /// Images of `shape` from their `pixels` (`[N, C, H, W]`) and `labels` (`[N]`).
    ///
    /// # Panics
    /// If the lengths do not belong together.
    pub fn new(pixels: Vec<u8>, labels: Vec<u8>, shape: Shape) -> Images {
        assert_eq!(pixels.len(), labels.len() * shape.len(), "pixels of {} images of {shape:?}", labels.len());
        Images { pixels, labels, shape }
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Is there no image at all?
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The shape of every image.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The class index of every image.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The images with these `indices`, in that order, unchanged.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn select(&self, indices: &[usize]) -> Images {
        let mut pixels = Vec::with_capacity(indices.len() * self.shape.len());
        indices.iter().for_each(|&index| pixels.extend_from_slice(self.image(index)));
        Images::new(pixels, indices.iter().map(|&index| self.labels[index]).collect(), self.shape)
    }

    /// The images with these `indices` as they are, for evaluation.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn batch(&self, indices: impl IntoIterator<Item = usize>) -> Batch {
        self.batch_with(indices, |_, _| {})
    }

    /// The images with these `indices`, each changed by `change` (its place in the batch and its pixels `[C, H, W]`).
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn batch_with(
        &self,
        indices: impl IntoIterator<Item = usize>,
        mut change: impl FnMut(usize, &mut [u8]),
    ) -> Batch {
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        let area = self.shape.height * self.shape.width;
        for (place, index) in indices.into_iter().enumerate() {
            let mut image = self.image(index).to_vec();
            change(place, &mut image);
            let pixels = (0..area).flat_map(|pixel| image[pixel..].iter().step_by(area));
            values.extend(pixels.map(|&byte| f32::from(byte) / 255.0));
            labels.push(i64::from(self.labels[index]));
        }
        let Shape { channels, height, width } = self.shape;
        let size = [labels.len(), height, width, channels].map(|length| length as i64);
        let images = Tensor::from_slice(&values).view(size).permute([0, 3, 1, 2]);
        Batch { images, labels: Tensor::from_slice(&labels) }
    }

    fn image(&self, index: usize) -> &[u8] {
        &self.pixels[index * self.shape.len()..][..self.shape.len()]
    }
}

impl Shape {
    /// How many values an image has.
    pub fn len(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Has an image no value at all?
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for Shape {
    /// As `3x32x32`: channels, rows, columns.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}x{}x{}", self.channels, self.height, self.width)
    }
}
