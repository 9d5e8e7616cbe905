//! How much of a picture a model sees, and which values it sees black and white as.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What the maker of a model did to pictures before the model saw them, so that a server can do the same.
///
/// In JSON `{"crop": 0.875, "range": [-1, 1]}`; what is left out is as in [`Preparation::default`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Preparation {
    crop: f32,
    range: [f32; 2],
}

/// Why pictures cannot be prepared so.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum PreparationError {
    /// Next to nothing would be left of the picture, or more than there is.
    #[error("crop is {0}; it must be from {LEAST_CROP} to 1")]
    Crop(f32),
    /// No picture could be told from another, or not by finite numbers.
    #[error("range is from {} to {}; it must be from one finite number to another", .0[0], .0[1])]
    Range([f32; 2]),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    crop: Option<f32>,
    range: Option<[f32; 2]>,
}

/// The scaler fails on parts that are many orders smaller than a pixel.
const LEAST_CROP: f32 = 0.01;

impl Preparation {
    /// Keeps the share `crop` of a picture's shorter side, at the centre, and makes black and white the values `range`.
    ///
    /// # Errors
    /// [`PreparationError`] unless `crop` is from 0.01 to 1, and `range` from one finite number to another.
    pub fn new(crop: f32, range: [f32; 2]) -> Result<Preparation, PreparationError> {
        if !(LEAST_CROP..=1.0).contains(&crop) {
            return Err(PreparationError::Crop(crop));
        }
        if !(range[1] - range[0]).is_normal() {
            return Err(PreparationError::Range(range));
        }
        Ok(Preparation { crop, range })
    }

    /// The share of the picture's shorter side that is kept, at the centre.
    pub fn crop(&self) -> f32 {
        self.crop
    }

    /// The values that black and white become.
    pub fn range(&self) -> [f32; 2] {
        self.range
    }

    /// The value that a pixel's byte becomes: `low + (high - low) * (byte / 255)`.
    pub fn value(&self, byte: u8) -> f32 {
        let [low, high] = self.range;
        low + (high - low) * (f32::from(byte) / 255.0)
    }
}

impl Default for Preparation {
    /// All that fits the frame is kept, and values are from 0 to 1.
    fn default() -> Preparation {
        Preparation { crop: 1.0, range: [0.0, 1.0] }
    }
}

impl TryFrom<Unchecked> for Preparation {
    type Error = PreparationError;

    fn try_from(unchecked: Unchecked) -> Result<Preparation, PreparationError> {
        let usual = Preparation::default();
        Preparation::new(unchecked.crop.unwrap_or(usual.crop), unchecked.range.unwrap_or(usual.range))
    }
}
