//! A stranger's bytes become the numbers that a model reads: type, limits, decoding, orientation, scale and cut.
//!
//! Pure, so that a trainer can evaluate a model on exactly what it will be served.
//! Promises that whatever the bytes are, the outcome is an image or an [`ImageError`], and that the limits are
//! checked before anything is decoded. Knows nothing of requests, files or models.

mod decode;
mod error;
mod format;
mod input_spec;
mod jpeg;
mod limits;
mod png;
mod preprocessing;
mod resize;
mod webp;

pub use error::ImageError;
pub use input_spec::{InputSpec, InputSpecError};
pub use limits::ImageLimits;
pub use preprocessing::{Filter, Preprocessing, PreprocessingError};

use ::image::{GrayImage, RgbImage};

/// A decoded image: upright, opaque, 8 bits per channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image(Pixels);

/// A part of an image, in its pixels, from the upper left corner; edges may lie within pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Columns left of it.
    pub left: f64,
    /// Rows above it.
    pub top: f64,
    /// Columns.
    pub width: f64,
    /// Rows.
    pub height: f64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pixels {
    Grey(GrayImage),
    Rgb(RgbImage),
}

impl Image {
    /// Decodes a JPEG, PNG or WebP file, whose type its first bytes tell.
    ///
    /// EXIF orientation is honoured, an animation gives its first frame, transparency is laid on white, 16-bit
    /// channels are reduced to 8 and CMYK is converted to RGB. Colour profiles are ignored: pixels are taken as sRGB.
    ///
    /// # Errors
    /// [`ImageError`] says what is wrong with the bytes: none, too many, of another type, broken.
    pub fn decode(bytes: &[u8], limits: &ImageLimits) -> Result<Image, ImageError> {
        decode::decode(bytes, limits, None).map(Image)
    }

    /// Decodes an image of which only [`Image::pixels`] or [`Image::input`] for this `spec` is wanted.
    ///
    /// As [`Image::decode`], but a JPEG file of many more pixels than the model reads may come at 1/4 or 1/8 of its size,
    /// which takes less time and memory. Every side then still has more than twice as many pixels as the model reads of
    /// it, each of them the mean of those that it stands for, so that what the model reads is much the same. A smaller
    /// image is exactly as [`Image::decode`] has it. The limits are checked on the file's own size.
    ///
    /// # Errors
    /// [`ImageError`], as of [`Image::decode`].
    pub fn decode_for(bytes: &[u8], limits: &ImageLimits, spec: &InputSpec) -> Result<Image, ImageError> {
        decode::decode(bytes, limits, Some(spec)).map(Image)
    }

    /// An image from grey values in rows from the top; `None` when `pixels` is not `width * height` long.
    pub fn from_grey(width: u32, height: u32, pixels: Vec<u8>) -> Option<Image> {
        GrayImage::from_raw(width, height, pixels).map(Pixels::Grey).map(Image)
    }

    /// An image from RGB triples in rows from the top; `None` when `pixels` is not `3 * width * height` long.
    pub fn from_rgb(width: u32, height: u32, pixels: Vec<u8>) -> Option<Image> {
        RgbImage::from_raw(width, height, pixels).map(Pixels::Rgb).map(Image)
    }

    /// Width and height in pixels, as decoded: [`Image::decode_for`] may give an image less than its file's size.
    pub fn size(&self) -> (u32, u32) {
        self.0.size()
    }

    /// Bytes of memory that its pixels take.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Pixels::Grey(image) => image.len(),
            Pixels::Rgb(image) => image.len(),
        }
    }

    /// The image as a model reads it: `[C, H, W]` values, `spec.len()` of them, from 0 to 1 or in the range that the
    /// input's [`Preprocessing`] names: [`Preprocessing::value`] of each byte of [`Image::pixels`].
    pub fn input(&self, spec: &InputSpec) -> Vec<f32> {
        spec.values(&self.pixels(spec))
    }

    /// The image at the input's size: `[C, H, W]` bytes, `spec.len()` of them.
    ///
    /// It is scaled until it just covers the input, and cut at the centre: nothing is distorted, nothing is padded.
    /// Where the preprocessing keeps only a share of it ([`Preprocessing::crop`]), it is scaled up by as much. What is kept
    /// keeps every pixel exactly where it has the input's size already. Scaling is a convolution with the preprocessing's
    /// [`Filter`]. Colour becomes grey by its luma (Rec. 709).
    pub fn pixels(&self, spec: &InputSpec) -> Vec<u8> {
        resize::pixels(&self.0, spec)
    }

    /// A part of the image at the input's size, `[C, H, W]` bytes: as [`Image::pixels`], for a trainer that cuts
    /// elsewhere than a server. The part is stretched to the input's proportions, without what lies outside of the image.
    pub fn cut(&self, region: Region, spec: &InputSpec) -> Vec<u8> {
        resize::cut(&self.0, region, spec)
    }

    /// The image scaled down to `side` pixels on its shorter side; a smaller one as it is.
    pub fn reduced(&self, side: u32, filter: Filter) -> Image {
        Image(resize::reduced(&self.0, side, filter).unwrap_or_else(|| self.0.clone()))
    }
}

impl Pixels {
    fn size(&self) -> (u32, u32) {
        match self {
            Pixels::Grey(image) => image.dimensions(),
            Pixels::Rgb(image) => image.dimensions(),
        }
    }
}

#[cfg(test)]
mod tests;
