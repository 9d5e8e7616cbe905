//! Preprocessing: the share of an image that a model sees, the scaling filter, and the value range.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The preprocessing that a model was trained with, so that a server applies the same.
///
/// In JSON `{"crop": 0.875, "range": [-1, 1], "filter": "lanczos"}`. Missing keys take their
/// [`Preprocessing::default`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Preprocessing {
    crop: f32,
    range: [f32; 2],
    #[serde(skip_serializing_if = "Filter::is_default")]
    filter: Filter,
}

/// The scaling filter, named as in Pillow and PyTorch. When an image shrinks, the filter is widened to weigh all pixels
/// (PyTorch's `antialias=True`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Filter {
    /// The mean of the source pixels; nearest neighbour when enlarging.
    Box,
    /// A triangle filter. It is the default for files that name no filter: earlier trainers used it, and it is
    /// PyTorch's default.
    #[default]
    Bilinear,
    /// The Catmull-Rom cubic.
    Bicubic,
    /// A windowed sinc with a support of three pixels. The trainer uses it: it keeps the most accuracy
    /// (docs/benchmarks.md).
    Lanczos,
}

/// Why a preprocessing is invalid.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum PreprocessingError {
    /// It is not a JSON object.
    #[error("it must be an object, such as {{\"crop\": 0.875, \"filter\": \"lanczos\"}}")]
    NoObject,
    /// A key is unknown, or its value has the wrong type.
    #[error(
        "{key:?} is {value}; allowed are crop (a number), range (two numbers) and filter (box, bilinear, bicubic or lanczos)"
    )]
    Part {
        /// The key.
        key: String,
        /// The value as JSON.
        value: String,
    },
    /// The crop is out of range.
    #[error("crop is {0}; it must be from {MIN_CROP} to 1")]
    Crop(f32),
    /// The ends of the range are equal or not finite.
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

/// Minimum crop: the scaler fails on regions much smaller than a pixel.
const MIN_CROP: f32 = 0.01;

impl Preprocessing {
    /// Keeps the share `crop` of an image's shorter side, at the centre, and maps black and white to the values
    /// `range`.
    ///
    /// # Errors
    /// [`PreprocessingError`] unless `crop` is from 0.01 to 1, and `range` has two different finite ends.
    pub fn new(crop: f32, range: [f32; 2]) -> Result<Preprocessing, PreprocessingError> {
        if !(MIN_CROP..=1.0).contains(&crop) {
            return Err(PreprocessingError::Crop(crop));
        }
        if !(range[1] - range[0]).is_normal() {
            return Err(PreprocessingError::Range(range));
        }
        Ok(Preprocessing { crop, range, filter: Filter::default() })
    }

    /// Reads the preprocessing of a model file.
    ///
    /// # Errors
    /// [`PreprocessingError`] names the invalid key.
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

    /// The preprocessing that the trainer uses for new networks and writes to their files.
    pub fn for_training() -> Preprocessing {
        Preprocessing::default().filtered(Filter::Lanczos)
    }

    /// Replaces the scaling filter.
    pub fn filtered(self, filter: Filter) -> Preprocessing {
        Preprocessing { filter, ..self }
    }

    /// The scaling filter.
    pub fn filter(&self) -> Filter {
        self.filter
    }

    /// The share of the image's shorter side that is kept, at the centre.
    pub fn crop(&self) -> f32 {
        self.crop
    }

    /// The values of black and white.
    pub fn range(&self) -> [f32; 2] {
        self.range
    }

    /// The value of a pixel's byte: `low + (high - low) * (byte / 255)`.
    pub fn value(&self, byte: u8) -> f32 {
        let [low, high] = self.range;
        low + (high - low) * (f32::from(byte) / 255.0)
    }
}

impl Default for Preprocessing {
    /// No cropping beyond the input's proportions, values from 0 to 1, and the filter of files that name none.
    fn default() -> Preprocessing {
        Preprocessing { crop: 1.0, range: [0.0, 1.0], filter: Filter::default() }
    }
}

impl Filter {
    /// All filters.
    pub const ALL: [Filter; 4] = [Filter::Box, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos];

    /// Its name in a model file.
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
