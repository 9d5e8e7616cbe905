//! What a picture may be at most.

use super::PictureError;

/// What a picture may be at most; both are checked before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The encoded file's size.
    pub max_bytes: usize,
    /// Width times height.
    pub max_pixels: u64,
}

impl Default for Limits {
    /// 16 MiB and 50 megapixels.
    fn default() -> Limits {
        Limits { max_bytes: 16 << 20, max_pixels: 50_000_000 }
    }
}

impl Limits {
    /// Refuses a file of no bytes, or of more than the limit.
    pub(super) fn check_bytes(&self, bytes: usize) -> Result<(), PictureError> {
        match bytes {
            0 => Err(PictureError::Empty),
            bytes if bytes > self.max_bytes => Err(PictureError::TooManyBytes { bytes, max_bytes: self.max_bytes }),
            _ => Ok(()),
        }
    }

    /// Refuses a picture whose header claims nothing, or more than the limit.
    pub(super) fn check_size(&self, format: &'static str, (width, height): (u32, u32)) -> Result<(), PictureError> {
        match u64::from(width) * u64::from(height) {
            0 => Err(PictureError::broken(format, "it has no pixels")),
            pixels if pixels > self.max_pixels => {
                Err(PictureError::TooManyPixels { width, height, max_pixels: self.max_pixels })
            }
            _ => Ok(()),
        }
    }
}
