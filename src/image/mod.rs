//! Converts image files to model inputs: type, limits, decoding, orientation, scaling and cropping.
//!
//! The module is pure, so a trainer evaluates a model on exactly the input that the server computes. For any bytes the
//! result is an image or an [`ImageError`], and the limits are checked before decoding. The module must not know
//! requests, files or models.
//!
//! ```
//! use anywidth::image::{Image, ImageLimits, InputSpec};
//!
//! let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/src/image/fixtures/ship-420.jpg"))?;
//! let spec = InputSpec::new(3, 32, 32)?; // an RGB input, [C, H, W]
//! let image = Image::decode_for(&file, &ImageLimits::default(), &spec)?;
//! let input = image.input(&spec);
//! assert_eq!(input.len(), 3 * 32 * 32);
//! assert!(input.iter().all(|value| (0.0..=1.0).contains(value)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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

/// A region of an image in pixels, from the upper left corner. Its edges may lie within pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Left edge.
    pub left: f64,
    /// Top edge.
    pub top: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pixels {
    Grey(GrayImage),
    Rgb(RgbImage),
}

impl Image {
    /// Decodes a JPEG, PNG or WebP file. The first bytes determine the type.
    ///
    /// EXIF orientation is applied, an animation yields its first frame, transparency is composited on white, 16-bit
    /// channels are reduced to 8 bits, and CMYK is converted to RGB. Colour profiles are ignored: pixels are
    /// interpreted as sRGB.
    ///
    /// # Errors
    /// [`ImageError`] if the bytes are empty, exceed a limit, have another type, or are broken.
    pub fn decode(bytes: &[u8], limits: &ImageLimits) -> Result<Image, ImageError> {
        decode::decode(bytes, limits, None).map(Image)
    }

    /// Decodes an image for [`Image::pixels`] or [`Image::input`] with this `spec`.
    ///
    /// A JPEG file with many more pixels than the input may be decoded at 1/4 or 1/8 of its size, which saves time and
    /// memory. Each side then keeps more than twice as many pixels as the input uses, each the mean of the pixels it
    /// replaces, so the input hardly changes. Otherwise the result equals that of [`Image::decode`]. The limits apply
    /// to the file's own size.
    ///
    /// # Errors
    /// The same [`ImageError`]s as [`Image::decode`].
    pub fn decode_for(bytes: &[u8], limits: &ImageLimits, spec: &InputSpec) -> Result<Image, ImageError> {
        decode::decode(bytes, limits, Some(spec)).map(Image)
    }

    /// Creates an image from grey values, row by row from the top; `None` unless `pixels` has length `width * height`.
    pub fn from_grey(width: u32, height: u32, pixels: Vec<u8>) -> Option<Image> {
        GrayImage::from_raw(width, height, pixels).map(Pixels::Grey).map(Image)
    }

    /// Creates an image from RGB triples, row by row from the top; `None` unless `pixels` has length
    /// `3 * width * height`.
    pub fn from_rgb(width: u32, height: u32, pixels: Vec<u8>) -> Option<Image> {
        RgbImage::from_raw(width, height, pixels).map(Pixels::Rgb).map(Image)
    }

    /// Width and height in pixels as decoded. [`Image::decode_for`] may return fewer pixels than the file has.
    pub fn size(&self) -> (u32, u32) {
        self.0.size()
    }

    /// Bytes of memory that the pixels take.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Pixels::Grey(image) => image.len(),
            Pixels::Rgb(image) => image.len(),
        }
    }

    /// The model input: `[C, H, W]`, `spec.len()` values, from 0 to 1 or in the range of the input's [`Preprocessing`].
    /// Each is the [`Preprocessing::value`] of a byte of [`Image::pixels`].
    pub fn input(&self, spec: &InputSpec) -> Vec<f32> {
        spec.values(&self.pixels(spec))
    }

    /// The image at the input's size: `[C, H, W]`, `spec.len()` bytes.
    ///
    /// The image is scaled to cover the input and cropped at the centre, without distortion or padding.
    /// [`Preprocessing::crop`] keeps only a share of the image and scales it up accordingly. If the kept region already
    /// has the input's size, its pixels are unchanged. Scaling is a convolution with the preprocessing's [`Filter`].
    /// Colour is converted to grey by luma (Rec. 709).
    pub fn pixels(&self, spec: &InputSpec) -> Vec<u8> {
        resize::pixels(&self.0, spec)
    }

    /// A region of the image at the input's size, `[C, H, W]` bytes: [`Image::pixels`] for a trainer that crops
    /// elsewhere than at the centre. The part of the region inside the image is stretched to the input's proportions.
    pub fn cut(&self, region: Region, spec: &InputSpec) -> Vec<u8> {
        resize::cut(&self.0, region, spec)
    }

    /// Scales the image down to `side` pixels on its shorter side. A smaller image is unchanged.
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
