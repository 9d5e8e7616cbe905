//! What can be wrong with a stranger's image.

use thiserror::Error;

/// Why some bytes are not an image that can be classified.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// There are no bytes.
    #[error("the image is empty")]
    Empty,
    /// The file is larger than the limit.
    #[error("the image has {bytes} bytes, at most {max_bytes} are allowed")]
    TooManyBytes {
        /// The file's size.
        bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// The first bytes are not those of a supported type.
    #[error("the image is not a JPEG, PNG or WebP file: {looks_like}")]
    Unsupported {
        /// What the bytes look like instead.
        looks_like: String,
    },
    /// The image claims more pixels than the limit.
    #[error("the image has {width} x {height} pixels, at most {max_pixels} pixels are allowed")]
    TooManyPixels {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
        /// The limit of their product.
        max_pixels: u64,
    },
    /// The type is right, but the file uses a feature of it that is not supported.
    #[error("the {format} image uses an unsupported feature: {feature}; {advice}")]
    UnsupportedFeature {
        /// `JPEG` or `PNG`.
        format: &'static str,
        /// The feature's name.
        feature: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// The type is right, the contents are not: truncated or damaged.
    #[error("the {format} image is broken: {reason}")]
    Broken {
        /// `JPEG`, `PNG` or `WebP`.
        format: &'static str,
        /// What the decoder says.
        reason: String,
    },
}

/// The reason where data are missing at the end.
pub(super) const ENDS_EARLY: &str = "the file ends before the image does";

impl ImageError {
    /// A broken file of the type `format`, with the decoder's reason cut to a readable length.
    pub(super) fn broken(format: &'static str, reason: impl ToString) -> ImageError {
        const LONGEST: usize = 200;
        let reason = reason.to_string();
        let reason = reason.lines().next().unwrap_or_default().trim_end_matches('.');
        ImageError::Broken { format, reason: reason.chars().take(LONGEST).collect() }
    }
}
