//! Images of one size in memory, and batches of them. Pixels stay bytes until they are batched.

use std::fmt;

use rand::rngs::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::{Augmentation, DataError, Examples};

/// Images with their labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// All pixels, image by image, each `[C, H, W]`.
    pixels: Vec<u8>,
    /// One class index per image.
    labels: Vec<u16>,
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

/// One batch of a network's input.
#[derive(Debug)]
pub struct Batch {
    /// `[N, C, H, W]` in 0..1, stored channels-last, which libtorch convolves fastest.
    pub images: Tensor,
    /// Class indices, `[N]`.
    pub labels: Tensor,
}

impl Images {
    /// Images of `shape` from their `pixels` (`[N, C, H, W]`) and `labels` (`[N]`).
    ///
    /// # Panics
    /// If the lengths do not match.
    pub fn new(pixels: Vec<u8>, labels: Vec<u16>, shape: Shape) -> Images {
        assert_eq!(pixels.len(), labels.len() * shape.len(), "pixels of {} images of {shape:?}", labels.len());
        Images { pixels, labels, shape }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The shape of every image.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The class index of every image.
    pub fn labels(&self) -> &[u16] {
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

    /// The images, with the pixels `[C, H, W]` of each passed to `change`.
    #[must_use]
    pub fn mapped(&self, mut change: impl FnMut(&mut [u8])) -> Images {
        let mut pixels = self.pixels.clone();
        pixels.chunks_exact_mut(self.shape.len()).for_each(&mut change);
        Images { pixels, labels: self.labels.clone(), shape: self.shape }
    }

    /// A batch of the images with these `indices`, without augmentation.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn batch(&self, indices: impl IntoIterator<Item = usize>) -> Batch {
        self.changed(indices, |_| {})
    }

    /// A batch of the images with these `indices`, with the pixels `[C, H, W]` of each passed to `change`.
    fn changed(&self, indices: impl IntoIterator<Item = usize>, mut change: impl FnMut(&mut [u8])) -> Batch {
        let images = indices.into_iter().map(|index| {
            let mut image = self.image(index).to_vec();
            change(&mut image);
            (image, self.labels[index])
        });
        Batch::new(images, self.shape)
    }

    fn image(&self, index: usize) -> &[u8] {
        &self.pixels[index * self.shape.len()..][..self.shape.len()]
    }
}

impl Examples for Images {
    fn labels(&self) -> &[u16] {
        &self.labels
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn plain(&self, indices: &[usize]) -> Result<Batch, DataError> {
        Ok(self.batch(indices.iter().copied()))
    }

    fn augmented(
        &self,
        indices: &[usize],
        augmentation: &Augmentation,
        random: &mut ChaCha8Rng,
    ) -> Result<Batch, DataError> {
        Ok(self.changed(indices.iter().copied(), |image| augmentation.apply(image, self.shape, random)))
    }
}

impl Batch {
    /// The same batch on `device`.
    pub fn to_device(&self, device: Device) -> Batch {
        Batch { images: self.images.to_device(device), labels: self.labels.to_device(device) }
    }

    /// A batch of `images`, each of `shape` and with its label.
    ///
    /// # Panics
    /// If an image does not match `shape`.
    pub fn new(images: impl Iterator<Item = (Vec<u8>, u16)>, shape: Shape) -> Batch {
        let Shape { channels, height, width } = shape;
        let area = height * width;
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for (image, label) in images {
            assert_eq!(image.len(), shape.len(), "values of an image of {shape}");
            let pixels = (0..area).flat_map(|pixel| image[pixel..].iter().step_by(area));
            values.extend(pixels.map(|&byte| f32::from(byte) / 255.0));
            labels.push(i64::from(label));
        }
        let size = [labels.len(), height, width, channels].map(|length| length as i64);
        let images = Tensor::from_slice(&values).view(size).permute([0, 3, 1, 2]);
        Batch { images, labels: Tensor::from_slice(&labels) }
    }
}

impl Shape {
    /// Number of values of an image.
    pub fn len(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether an image has no values.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for Shape {
    /// Formats as `3x32x32`: channels, rows, columns.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}x{}x{}", self.channels, self.height, self.width)
    }
}
