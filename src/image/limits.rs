//! Limits on image files.

use super::ImageError;

/// Limits on an image file, checked before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLimits {
    /// Maximum size of the encoded file in bytes.
    pub max_bytes: usize,
    /// Maximum of width times height.
    pub max_pixels: u64,
}

impl Default for ImageLimits {
    /// 16 MiB and 50 megapixels.
    fn default() -> ImageLimits {
        ImageLimits { max_bytes: 16 << 20, max_pixels: 50_000_000 }
    }
}

impl ImageLimits {
    /// Rejects a file that is empty or exceeds the limit.
    pub(super) fn check_bytes(&self, bytes: usize) -> Result<(), ImageError> {
        match bytes {
            0 => Err(ImageError::Empty),
            bytes if bytes > self.max_bytes => Err(ImageError::TooManyBytes { bytes, max_bytes: self.max_bytes }),
            _ => Ok(()),
        }
    }

    /// Rejects an image whose header declares no pixels or more than the limit.
    pub(super) fn check_size(&self, format: &'static str, (width, height): (u32, u32)) -> Result<(), ImageError> {
        match u64::from(width) * u64::from(height) {
            0 => Err(ImageError::broken(format, "it has no pixels")),
            pixels if pixels > self.max_pixels => {
                Err(ImageError::TooManyPixels { width, height, max_pixels: self.max_pixels })
            }
            _ => Ok(()),
        }
    }
}
