//! A stranger's bytes become the numbers that a model reads: type, limits, decoding, orientation, scale and cut.
//!
//! Pure, so that a trainer can evaluate a model on exactly what it will be served.
//! Promises that whatever the bytes are, the outcome is a picture or a [`PictureError`], and that the limits are
//! checked before anything is decoded. Knows nothing of requests, files or models.

mod decode;
mod error;
mod fit;
mod jpeg;
mod kind;
mod limits;
mod png;
mod prepare;
mod webp;

pub use error::PictureError;
pub use fit::{Frame, FrameError};
pub use limits::Limits;
pub use prepare::{Filter, Preparation, PreparationError};

use image::{GrayImage, RgbImage};

/// A decoded picture: upright, opaque, 8 bits per channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture(Pixels);

/// A part of a picture, in its pixels, from the upper left corner; edges may lie within pixels.
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

impl Picture {
    /// Decodes a JPEG, PNG or WebP file, whose type its first bytes tell.
    ///
    /// EXIF orientation is honoured, an animation gives its first frame, transparency is laid on white, 16-bit
    /// channels are reduced to 8 and CMYK is converted to RGB. Colour profiles are ignored: pixels are taken as sRGB.
    ///
    /// # Errors
    /// [`PictureError`] says what is wrong with the bytes: none, too many, of another type, broken.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, PictureError> {
        decode::decode(bytes, limits, None).map(Picture)
    }

    /// Decodes a picture of which only [`Picture::pixels`] or [`Picture::input`] of this frame is wanted.
    ///
    /// As [`Picture::decode`], but a JPEG file of many more pixels than the frame reads may come at 1/4 or 1/8 of its size,
    /// which takes less time and memory. Every side then still has more than twice as many pixels as the frame reads of
    /// it, each of them the mean of those that it stands for, so that what the frame reads is much the same. A smaller
    /// picture is exactly as [`Picture::decode`] has it. The limits are checked on the file's own size.
    ///
    /// # Errors
    /// [`PictureError`], as of [`Picture::decode`].
    pub fn decode_for(bytes: &[u8], limits: &Limits, frame: &Frame) -> Result<Picture, PictureError> {
        decode::decode(bytes, limits, Some(frame)).map(Picture)
    }

    /// A picture from grey values in rows from the top; `None` when `pixels` is not `width * height` long.
    pub fn from_grey(width: u32, height: u32, pixels: Vec<u8>) -> Option<Picture> {
        GrayImage::from_raw(width, height, pixels).map(Pixels::Grey).map(Picture)
    }

    /// A picture from RGB triples in rows from the top; `None` when `pixels` is not `3 * width * height` long.
    pub fn from_rgb(width: u32, height: u32, pixels: Vec<u8>) -> Option<Picture> {
        RgbImage::from_raw(width, height, pixels).map(Pixels::Rgb).map(Picture)
    }

    /// Width and height in pixels, as decoded: [`Picture::decode_for`] may give a picture less than its file's size.
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

    /// The picture as a model reads it: `[C, H, W]` values, `frame.len()` of them, from 0 to 1 or in the range that the
    /// frame's [`Preparation`] names: [`Preparation::value`] of each byte of [`Picture::pixels`].
    pub fn input(&self, frame: &Frame) -> Vec<f32> {
        frame.values(&self.pixels(frame))
    }

    /// The picture at the frame's size: `[C, H, W]` bytes, `frame.len()` of them.
    ///
    /// It is scaled until it just covers the frame, and cut at the centre: nothing is distorted, nothing is padded.
    /// Where the frame keeps only a share of it ([`Preparation::crop`]), it is scaled up by as much. What is kept of a
    /// picture keeps every pixel exactly where it has the frame's size already. Scaling is a convolution with the preparation's
    /// [`Filter`]. Colour becomes grey by its luma (Rec. 709).
    pub fn pixels(&self, frame: &Frame) -> Vec<u8> {
        fit::pixels(&self.0, frame)
    }

    /// A part of the picture at the frame's size, `[C, H, W]` bytes: as [`Picture::pixels`], for a trainer that cuts
    /// elsewhere than a server. The part is stretched to the frame's proportions, without what lies outside of the picture.
    pub fn cut(&self, region: Region, frame: &Frame) -> Vec<u8> {
        fit::cut(&self.0, region, frame)
    }

    /// The picture scaled down to `side` pixels on its shorter side; a smaller one as it is.
    pub fn reduced(&self, side: u32, filter: Filter) -> Picture {
        Picture(fit::reduced(&self.0, side, filter).unwrap_or_else(|| self.0.clone()))
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
