//! Random shifts, mirror images and covered squares, which make a training set larger than it is.

use clap::ValueEnum;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::Shape;

/// How training images are changed each time that they are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Augmentation {
    /// Pixels of border that are added on every side before the image is cut out again at a random place.
    pub pad: usize,
    /// What that border shows.
    #[serde(default)]
    pub border: Border,
    /// Is every second image (at random) mirrored left to right?
    pub flip: bool,
    /// Side of a square of grey that covers a random place, in pixels; 0 for none.
    #[serde(default)]
    pub cutout: usize,
}

/// What the border of a shifted image shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Border {
    /// Nothing.
    #[default]
    Black,
    /// The image, mirrored in its outermost pixels.
    Reflect,
}

/// The value of a covered pixel: the middle, near the mean of photographs.
const GREY: u8 = 128;

impl Augmentation {
    /// Changes one image (`[C, H, W]`) in place.
    ///
    /// # Panics
    /// If `image` does not have `shape`, a reflected border reaches over the whole image, or the covered square does not
    /// fit into it.
    pub fn apply(self, image: &mut [u8], shape: Shape, random: &mut impl Rng) {
        assert_eq!(image.len(), shape.len(), "an image of {shape:?}");
        // Drawn even where they are not used, so that one setting does not change what another one draws.
        let (down, right) = (random.random_range(0..=2 * self.pad), random.random_range(0..=2 * self.pad));
        let mirrored = random.random_bool(0.5) && self.flip;
        if mirrored {
            image.chunks_exact_mut(shape.width).for_each(<[u8]>::reverse);
        }
        if self.pad > 0 {
            image.chunks_exact_mut(shape.height * shape.width).for_each(|plane| {
                let source = plane.to_vec();
                for (place, pixel) in plane.iter_mut().enumerate() {
                    let row = self.source(place / shape.width + down, shape.height);
                    let column = self.source(place % shape.width + right, shape.width);
                    *pixel = row.zip(column).map_or(0, |(row, column)| source[row * shape.width + column]);
                }
            });
        }
        if self.cutout > 0 {
            let top = random.random_range(0..=shape.height - self.cutout);
            let left = random.random_range(0..=shape.width - self.cutout);
            for row in image.chunks_exact_mut(shape.width).enumerate() {
                if (top..top + self.cutout).contains(&(row.0 % shape.height)) {
                    row.1[left..left + self.cutout].fill(GREY);
                }
            }
        }
    }

    /// The pixel of the image, of `length` pixels, that stands at `place` of the image with its border, if one does.
    fn source(self, place: usize, length: usize) -> Option<usize> {
        match (place.checked_sub(self.pad), self.border) {
            (Some(inside), _) if inside < length => Some(inside),
            (_, Border::Black) => None,
            (None, Border::Reflect) => Some(self.pad - place),
            (Some(beyond), Border::Reflect) => Some(2 * (length - 1) - beyond),
        }
    }
}
