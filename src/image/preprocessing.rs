//! How much of an image a model sees, how it is scaled, and which values the model sees black and white as.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What the maker of a model did to images before the model saw them, so that a server can do the same.
///
/// In JSON `{"crop": 0.875, "range": [-1, 1], "filter": "lanczos"}`; what is left out is as in [`Preprocessing::default`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Preprocessing {
    crop: f32,
    range: [f32; 2],
    #[serde(skip_serializing_if = "Filter::is_default")]
    filter: Filter,
}

/// How the pixels of an image of another size are weighted, under the names that Pillow and PyTorch know. When an image
/// shrinks, each of them takes all pixels into account (PyTorch's `antialias=True`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Filter {
    /// The mean of the pixels that a new one stands for; enlarged, the nearest pixel.
    Box,
    /// A triangle. What a file means that names no filter: earlier versions of the trainer knew no other, and it is
    /// PyTorch's default.
    #[default]
    Bilinear,
    /// Catmull and Rom's cubic.
    Bicubic,
    /// A windowed sinc over three pixels to each side: the trainer's choice, which keeps the most accuracy (docs/benchmarks.md).
    Lanczos,
}

/// Why a preprocessing is refused.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum PreprocessingError {
    /// It is no JSON object.
    #[error("it must be an object, such as {{\"crop\": 0.875, \"filter\": \"lanczos\"}}")]
    NoObject,
    /// A part of the object is unknown, or of the wrong type.
    #[error(
        "{key:?} is {value}; there may be crop (a number), range (two numbers) and filter (box, bilinear, bicubic or lanczos)"
    )]
    Part {
        /// Its name.
        key: String,
        /// As JSON.
        value: String,
    },
    /// Next to nothing would be left of the image, or more than there is.
    #[error("crop is {0}; it must be from {LEAST_CROP} to 1")]
    Crop(f32),
    /// No image could be told from another, or not by finite numbers.
    #[error("range is from {} to {}; it must be from one finite number to another", .0[0], .0[1])]
    Range([f32; 2]),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    crop: Option<f32>,
    range: Option<[f32; 2]>,
    filter: Option<Filter>,
}

/// The scaler fails on parts that are many orders smaller than a pixel.
const LEAST_CROP: f32 = 0.01;

impl Preprocessing {
    /// Keeps the share `crop` of an image's shorter side, at the centre, and makes black and white the values `range`.
    ///
    /// # Errors
    /// [`PreprocessingError`] unless `crop` is from 0.01 to 1, and `range` from one finite number to another.
    pub fn new(crop: f32, range: [f32; 2]) -> Result<Preprocessing, PreprocessingError> {
        if !(LEAST_CROP..=1.0).contains(&crop) {
            return Err(PreprocessingError::Crop(crop));
        }
        if !(range[1] - range[0]).is_normal() {
            return Err(PreprocessingError::Range(range));
        }
        Ok(Preprocessing { crop, range, filter: Filter::default() })
    }

    /// Reads what a model file says.
    ///
    /// # Errors
    /// [`PreprocessingError`] names the part that is wrong.
    pub fn from_json(value: &serde_json::Value) -> Result<Preprocessing, PreprocessingError> {
        const LONGEST: usize = 40;
        for (key, part) in value.as_object().ok_or(PreprocessingError::NoObject)? {
            if Unchecked::deserialize(serde_json::json!({ key: part })).is_err() {
                let cut = |text: &str| text.chars().take(LONGEST).collect();
                return Err(PreprocessingError::Part { key: cut(key), value: cut(&part.to_string()) });
            }
        }
        Unchecked::deserialize(value).map_err(|_| PreprocessingError::NoObject)?.try_into()
    }

    /// The preprocessing of a network that is trained now, as its file will say.
    pub fn for_training() -> Preprocessing {
        Preprocessing::default().filtered(Filter::Lanczos)
    }

    /// The same preprocessing, with images scaled by this filter.
    pub fn filtered(self, filter: Filter) -> Preprocessing {
        Preprocessing { filter, ..self }
    }

    /// How images are scaled.
    pub fn filter(&self) -> Filter {
        self.filter
    }

    /// The share of the image's shorter side that is kept, at the centre.
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

impl Default for Preprocessing {
    /// All that fits the input is kept, values are from 0 to 1, and the filter is that of a file that names none.
    fn default() -> Preprocessing {
        Preprocessing { crop: 1.0, range: [0.0, 1.0], filter: Filter::default() }
    }
}

impl Filter {
    /// All of them.
    pub const ALL: [Filter; 4] = [Filter::Box, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos];

    /// Its name, as a model file has it.
    pub fn name(self) -> &'static str {
        match self {
            Filter::Box => "box",
            Filter::Bilinear => "bilinear",
            Filter::Bicubic => "bicubic",
            Filter::Lanczos => "lanczos",
        }
    }

    fn is_default(&self) -> bool {
        *self == Filter::default()
    }
}

impl TryFrom<Unchecked> for Preprocessing {
    type Error = PreprocessingError;

    fn try_from(unchecked: Unchecked) -> Result<Preprocessing, PreprocessingError> {
        let usual = Preprocessing::default();
        let checked = Preprocessing::new(unchecked.crop.unwrap_or(usual.crop), unchecked.range.unwrap_or(usual.range))?;
        Ok(checked.filtered(unchecked.filter.unwrap_or_default()))
    }
}
