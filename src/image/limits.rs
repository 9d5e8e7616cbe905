//! What an image may be at most.

use super::ImageError;

/// What an image may be at most; both are checked before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLimits {
    /// The encoded file's size.
    pub max_bytes: usize,
    /// Width times height.
    pub max_pixels: u64,
}

impl Default for ImageLimits {
    /// 16 MiB and 50 megapixels.
    fn default() -> ImageLimits {
        ImageLimits { max_bytes: 16 << 20, max_pixels: 50_000_000 }
    }
}

impl ImageLimits {
    /// Refuses a file of no bytes, or of more than the limit.
    pub(super) fn check_bytes(&self, bytes: usize) -> Result<(), ImageError> {
        match bytes {
            0 => Err(ImageError::Empty),
            bytes if bytes > self.max_bytes => Err(ImageError::TooManyBytes { bytes, max_bytes: self.max_bytes }),
            _ => Ok(()),
        }
    }

    /// Refuses an image whose header claims nothing, or more than the limit.
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
