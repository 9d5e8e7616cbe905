//! The built-in data sets: their classes, shapes, statistics and files.

use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{DataError, Images, Shape, cifar, idx};

/// A built-in data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dataset {
    /// Handwritten digits, 28x28 grey.
    Mnist,
    /// Images of clothing, 28x28 grey.
    FashionMnist,
    /// Photographs of ten classes, 32x32 RGB.
    Cifar10,
    /// Photographs of a hundred classes, 32x32 RGB.
    Cifar100,
}

impl Dataset {
    /// The name in flags, folders and model files.
    pub fn name(self) -> &'static str {
        match self {
            Dataset::Mnist => "mnist",
            Dataset::FashionMnist => "fashion-mnist",
            Dataset::Cifar10 => "cifar10",
            Dataset::Cifar100 => "cifar100",
        }
    }

    /// The name in prose.
    pub fn title(self) -> &'static str {
        match self {
            Dataset::Mnist => "MNIST",
            Dataset::FashionMnist => "Fashion-MNIST",
            Dataset::Cifar10 => "CIFAR-10",
            Dataset::Cifar100 => "CIFAR-100",
        }
    }

    /// The class names, by label.
    pub fn labels(self) -> &'static [&'static str] {
        match self {
            Dataset::Mnist => &MNIST,
            Dataset::FashionMnist => &FASHION_MNIST,
            Dataset::Cifar10 => &CIFAR10,
            Dataset::Cifar100 => &CIFAR100,
        }
    }

    /// The shape of its images.
    pub fn shape(self) -> Shape {
        match self {
            Dataset::Mnist | Dataset::FashionMnist => Shape { channels: 1, height: 28, width: 28 },
            Dataset::Cifar10 | Dataset::Cifar100 => Shape { channels: 3, height: 32, width: 32 },
        }
    }

    /// Mean and standard deviation of the training pixels (0..1), by channel.
    pub fn statistics(self) -> (Vec<f64>, Vec<f64>) {
        match self {
            Dataset::Mnist => (vec![0.1307], vec![0.3081]),
            Dataset::FashionMnist => (vec![0.2860], vec![0.3530]),
            Dataset::Cifar10 => (vec![0.4914, 0.4822, 0.4465], vec![0.2470, 0.2435, 0.2616]),
            Dataset::Cifar100 => (vec![0.5071, 0.4866, 0.4409], vec![0.2673, 0.2564, 0.2762]),
        }
    }

    /// Reads the training images from `folder`.
    ///
    /// # Errors
    /// [`DataError`] names the file that is missing, truncated or of another format.
    pub fn train(self, folder: &Path) -> Result<Images, DataError> {
        match self {
            Dataset::Mnist | Dataset::FashionMnist => idx::read_pair(folder, "train", self.shape(), 60_000),
            Dataset::Cifar10 => cifar::read(folder, &cifar::TRAIN, 10_000, cifar::Layout::Cifar10),
            Dataset::Cifar100 => cifar::read(folder, &cifar::TRAIN_100, 50_000, cifar::Layout::Cifar100),
        }
    }

    /// Reads the test images from `folder`.
    ///
    /// # Errors
    /// As for [`Dataset::train`].
    pub fn test(self, folder: &Path) -> Result<Images, DataError> {
        match self {
            Dataset::Mnist | Dataset::FashionMnist => idx::read_pair(folder, "t10k", self.shape(), 10_000),
            Dataset::Cifar10 => cifar::read(folder, &cifar::TEST, 10_000, cifar::Layout::Cifar10),
            Dataset::Cifar100 => cifar::read(folder, &cifar::TEST_100, 10_000, cifar::Layout::Cifar100),
        }
    }
}

const MNIST: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
const FASHION_MNIST: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];
const CIFAR10: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const CIFAR100: [&str; 100] = [
    "apple",
    "aquarium_fish",
    "baby",
    "bear",
    "beaver",
    "bed",
    "bee",
    "beetle",
    "bicycle",
    "bottle",
    "bowl",
    "boy",
    "bridge",
    "bus",
    "butterfly",
    "camel",
    "can",
    "castle",
    "caterpillar",
    "cattle",
    "chair",
    "chimpanzee",
    "clock",
    "cloud",
    "cockroach",
    "couch",
    "crab",
    "crocodile",
    "cup",
    "dinosaur",
    "dolphin",
    "elephant",
    "flatfish",
    "forest",
    "fox",
    "girl",
    "hamster",
    "house",
    "kangaroo",
    "keyboard",
    "lamp",
    "lawn_mower",
    "leopard",
    "lion",
    "lizard",
    "lobster",
    "man",
    "maple_tree",
    "motorcycle",
    "mountain",
    "mouse",
    "mushroom",
    "oak_tree",
    "orange",
    "orchid",
    "otter",
    "palm_tree",
    "pear",
    "pickup_truck",
    "pine_tree",
    "plain",
    "plate",
    "poppy",
    "porcupine",
    "possum",
    "rabbit",
    "raccoon",
    "ray",
    "road",
    "rocket",
    "rose",
    "sea",
    "seal",
    "shark",
    "shrew",
    "skunk",
    "skyscraper",
    "snail",
    "snake",
    "spider",
    "squirrel",
    "streetcar",
    "sunflower",
    "sweet_pepper",
    "table",
    "tank",
    "telephone",
    "television",
    "tiger",
    "tractor",
    "train",
    "trout",
    "tulip",
    "turtle",
    "wardrobe",
    "whale",
    "willow_tree",
    "wolf",
    "woman",
    "worm",
];
