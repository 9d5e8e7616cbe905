//! Errors of image decoding.

use thiserror::Error;

/// Why bytes cannot be decoded as an image.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// There are no bytes.
    #[error("the image is empty")]
    Empty,
    /// The file exceeds the size limit.
    #[error("the image has {bytes} bytes, at most {max_bytes} are allowed")]
    TooManyBytes {
        /// Size of the file in bytes.
        bytes: usize,
        /// The limit in bytes.
        max_bytes: usize,
    },
    /// The first bytes match no supported format.
    #[error("the image is not a JPEG, PNG or WebP file: {looks_like}")]
    Unsupported {
        /// What the bytes look like, as a sentence.
        looks_like: String,
    },
    /// The header declares more pixels than the limit.
    #[error("the image has {width} x {height} pixels, at most {max_pixels} pixels are allowed")]
    TooManyPixels {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// The limit on their product.
        max_pixels: u64,
    },
    /// The format is supported, but not one of its features that the file uses.
    #[error("the {format} image uses an unsupported feature: {feature}; {advice}")]
    UnsupportedFeature {
        /// Name of the format: `JPEG` or `PNG`.
        format: &'static str,
        /// Name of the feature.
        feature: String,
        /// What to do instead.
        advice: &'static str,
    },
    /// The format is supported, but the contents are truncated or damaged.
    #[error("the {format} image is broken: {reason}")]
    Broken {
        /// Name of the format: `JPEG`, `PNG` or `WebP`.
        format: &'static str,
        /// The reason from the decoder.
        reason: String,
    },
}

/// The reason for missing data at the end.
pub(super) const ENDS_EARLY: &str = "the file ends before the image does";

impl ImageError {
    /// A broken file of type `format`. The decoder's reason is truncated to a readable length.
    pub(super) fn broken(format: &'static str, reason: impl ToString) -> ImageError {
        const LONGEST: usize = 200;
        let reason = reason.to_string();
        let reason = reason.lines().next().unwrap_or_default().trim_end_matches('.');
        ImageError::Broken { format, reason: reason.chars().take(LONGEST).collect() }
    }
}
