//! Data augmentation: random crops, shifts, mirroring, covered squares and colour changes.

use anywidth::image::Region;
use clap::ValueEnum;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::Shape;
use super::arrival::{arrive, invert};

/// Augmentation of training images, drawn anew at each use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Augmentation {
    /// Pixels added on every side before a random crop of the original size.
    pub pad: usize,
    /// Contents of that border.
    #[serde(default)]
    pub border: Border,
    /// Whether images are mirrored left to right with probability 1/2.
    pub flip: bool,
    /// Side in pixels of a grey square at a random position; 0 for none.
    #[serde(default)]
    pub cutout: usize,
    /// Smallest share of a photograph's area in a random crop, which is then scaled; 1 for the server's crop. Applies
    /// to photographs only.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub crop: f64,
    /// Brightness, contrast and saturation are multiplied by a random factor within this distance of 1; 0 for none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub jitter: f64,
    /// Share of the images encoded as a server receives them: enlarged, compressed as JPEG, and preprocessed
    /// ([`super::arrival`]).
    #[serde(default, skip_serializing_if = "is_none")]
    pub arrival: f64,
    /// Share of the images with inverted brightness.
    #[serde(default, skip_serializing_if = "is_none")]
    pub inverted: f64,
}

fn whole() -> f64 {
    1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_whole(crop: &f64) -> bool {
    *crop >= 1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none(share: &f64) -> bool {
    *share == 0.0
}

impl Default for Augmentation {
    /// No augmentation.
    fn default() -> Augmentation {
        Augmentation {
            pad: 0,
            border: Border::Black,
            flip: false,
            cutout: 0,
            crop: 1.0,
            jitter: 0.0,
            arrival: 0.0,
            inverted: 0.0,
        }
    }
}

/// Contents of the border of a shifted image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Border {
    /// Zeros.
    #[default]
    Black,
    /// The image, reflected at its outermost pixels.
    Reflect,
}

/// The value of covered pixels: near the mean of photographs.
const GREY: u8 = 128;

/// Extreme aspect ratios of a crop, width over height.
const ASPECT: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);
/// Attempts before falling back to the largest central crop.
const TRIES: usize = 10;

impl Augmentation {
    /// A random crop of a photograph of `size` (width and height in pixels), of random area and aspect ratio (Szegedy
    /// et al., "Going Deeper with Convolutions", 2015). `None` for the server's crop.
    pub fn cut(self, size: (u32, u32), random: &mut impl Rng) -> Option<Region> {
        let (width, height) = (f64::from(size.0), f64::from(size.1));
        if self.crop >= 1.0 {
            return None;
        }
        for _ in 0..TRIES {
            let area = width * height * random.random_range(self.crop..1.0);
            let aspect = random.random_range(ASPECT.0.ln()..ASPECT.1.ln()).exp();
            let (wide, high) = ((area * aspect).sqrt(), (area / aspect).sqrt());
            if wide <= width && high <= height {
                let left = random.random::<f64>() * (width - wide);
                let top = random.random::<f64>() * (height - high);
                return Some(Region { left, top, width: wide, height: high });
            }
        }
        None
    }

    /// Augments one image (`[C, H, W]`) in place, except for the crop.
    ///
    /// # Panics
    /// If `image` does not match `shape`, a reflected border exceeds the image, or the covered square does not fit.
    pub fn apply(self, image: &mut [u8], shape: Shape, random: &mut impl Rng) {
        assert_eq!(image.len(), shape.len(), "an image of {shape:?}");
        if self.inverted > 0.0 && random.random_bool(self.inverted) {
            invert(image);
        }
        if self.arrival > 0.0 && random.random_bool(self.arrival) {
            image.copy_from_slice(&arrive(image, shape, random));
        }
        // Always drawn, so that one setting does not change the random numbers of another.
        let (down, right) = (random.random_range(0..=2 * self.pad), random.random_range(0..=2 * self.pad));
        let mirrored = random.random_bool(0.5) && self.flip;
        if mirrored {
            image.chunks_exact_mut(shape.width).for_each(<[u8]>::reverse);
        }
        if self.pad > 0 {
            image.chunks_exact_mut(shape.height * shape.width).for_each(|plane| {
                let source = plane.to_vec();
                for (index, pixel) in plane.iter_mut().enumerate() {
                    let row = self.source(index / shape.width + down, shape.height);
                    let column = self.source(index % shape.width + right, shape.width);
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
        if self.jitter > 0.0 {
            self.recolour(image, shape, random);
        }
    }

    fn recolour(self, image: &mut [u8], shape: Shape, random: &mut impl Rng) {
        let mut factor = || random.random_range(1.0 - self.jitter..=1.0 + self.jitter) as f32;
        let (brightness, contrast, saturation) = (factor(), factor(), factor());
        let area = shape.height * shape.width;
        let mean = image.iter().map(|&byte| f32::from(byte)).sum::<f32>() / image.len() as f32;
        for pixel in 0..area {
            let planes = (0..shape.channels).map(|channel| f32::from(image[channel * area + pixel]));
            let grey = planes.sum::<f32>() / shape.channels as f32;
            for channel in 0..shape.channels {
                let byte = &mut image[channel * area + pixel];
                let coloured = grey + saturation * (f32::from(*byte) - grey);
                // The conversion saturates at 0 and 255.
                *byte = (brightness * (mean + contrast * (coloured - mean))).round() as u8;
            }
        }
    }

    /// The source pixel, of `length`, at `index` of the padded image; `None` for the black border.
    fn source(self, index: usize, length: usize) -> Option<usize> {
        match (index.checked_sub(self.pad), self.border) {
            (Some(inside), _) if inside < length => Some(inside),
            (_, Border::Black) => None,
            (None, Border::Reflect) => Some(self.pad - index),
            (Some(beyond), Border::Reflect) => Some(2 * (length - 1) - beyond),
        }
    }
}
