//! Random shifts and mirror images, which make a training set larger than it is.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::Shape;

/// How training images are changed each time that they are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Augmentation {
    /// Pixels of black border that are added on every side before the image is cut out again at a random place.
    pub pad: usize,
    /// Is every second image (at random) mirrored left to right?
    pub flip: bool,
}

impl Augmentation {
    /// Changes one image (`[C, H, W]`) in place.
    ///
    /// # Panics
    /// If `image` does not have `shape`.
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
                    let row = (place / shape.width + down).checked_sub(self.pad).filter(|&row| row < shape.height);
                    let column = (place % shape.width + right).checked_sub(self.pad).filter(|&c| c < shape.width);
                    *pixel = row.zip(column).map_or(0, |(row, column)| source[row * shape.width + column]);
                }
            });
        }
    }
}
