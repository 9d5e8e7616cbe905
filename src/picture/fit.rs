//! Pixels of any size to the one size and colour that a model reads.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{CropBox, FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use thiserror::Error;

use super::{Pixels, Preparation};

/// The colours that a model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colour {
    /// One channel.
    Grey,
    /// Three channels: red, green, blue.
    Rgb,
}

/// What a model reads: a picture of this size and these colours, prepared in this way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    colour: Colour,
    height: u32,
    width: u32,
    preparation: Preparation,
}

/// Why a model's input is not a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Neither grey nor colour.
    #[error("the model's input has {0} channels; a picture has 1 (grey) or 3 (colour)")]
    Channels(usize),
    /// Sides of nothing, or far beyond any model.
    #[error("the model's input is {height} x {width} pixels; each side must be from 1 to {MAX_SIDE}")]
    Size {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
}

/// The longest side of a model's input.
const MAX_SIDE: usize = 4096;

impl Frame {
    /// The frame of an input `[channels, height, width]`, with the usual [`Preparation`].
    ///
    /// # Errors
    /// [`FrameError`] unless there are 1 or 3 channels and sides of 1 to 4096 pixels.
    pub fn new(channels: usize, height: usize, width: usize) -> Result<Frame, FrameError> {
        let colour = match channels {
            1 => Colour::Grey,
            3 => Colour::Rgb,
            _ => return Err(FrameError::Channels(channels)),
        };
        let sides = 1..=MAX_SIDE;
        if !sides.contains(&height) || !sides.contains(&width) {
            return Err(FrameError::Size { height, width });
        }
        Ok(Frame { colour, height: height as u32, width: width as u32, preparation: Preparation::default() })
    }

    /// The same frame, for pictures that are prepared so.
    pub fn prepared(self, preparation: Preparation) -> Frame {
        Frame { preparation, ..self }
    }

    /// How pictures are prepared.
    pub fn preparation(&self) -> Preparation {
        self.preparation
    }

    /// Number of values: channels times height times width.
    #[expect(clippy::len_without_is_empty, reason = "a frame is never empty")]
    pub fn len(&self) -> usize {
        self.channels() * self.area()
    }

    fn channels(&self) -> usize {
        match self.colour {
            Colour::Grey => 1,
            Colour::Rgb => 3,
        }
    }

    fn area(&self) -> usize {
        self.height as usize * self.width as usize
    }
}

pub(super) fn pixels(pixels: &Pixels, frame: &Frame) -> Vec<u8> {
    let scaled = scale(pixels, frame);
    match (&scaled, frame.colour) {
        (Pixels::Grey(image), Colour::Grey) => planes::<1>(image),
        (Pixels::Rgb(image), Colour::Rgb) => planes::<3>(image),
        (Pixels::Grey(image), Colour::Rgb) => planes::<1>(image).repeat(3),
        (Pixels::Rgb(image), Colour::Grey) => planes::<1>(&image::imageops::grayscale(image)),
    }
}

/// `[H, W, C]` to `[C, H, W]`.
fn planes<const CHANNELS: usize>(interleaved: &[u8]) -> Vec<u8> {
    (0..CHANNELS).flat_map(|channel| interleaved.iter().skip(channel).step_by(CHANNELS).copied()).collect()
}

/// Covers the frame and cuts at the centre, in the picture's own colours: few pixels are left to convert afterwards.
fn scale(pixels: &Pixels, frame: &Frame) -> Pixels {
    let (width, height) = (frame.width, frame.height);
    let message = "as many pixels as the size says";
    match pixels {
        Pixels::Grey(image) => {
            let scaled = resize::<U8>(image, image.dimensions(), frame);
            Pixels::Grey(image::GrayImage::from_raw(width, height, scaled).expect(message))
        }
        Pixels::Rgb(image) => {
            let scaled = resize::<U8x3>(image, image.dimensions(), frame);
            Pixels::Rgb(image::RgbImage::from_raw(width, height, scaled).expect(message))
        }
    }
}

/// Typed, because the form that takes any pixel would compile the code of all seventeen kinds: three megabytes.
fn resize<P: PixelTrait>(bytes: &[u8], (from_width, from_height): (u32, u32), frame: &Frame) -> Vec<u8> {
    let message = "a picture has as many bytes as its size says";
    let source = TypedImageRef::<P>::from_buffer(from_width, from_height, bytes).expect(message);
    let mut scaled = vec![0; frame.area() * P::size()];
    let mut target = TypedImage::<P>::from_buffer(frame.width, frame.height, &mut scaled).expect(message);
    let kept = kept((from_width, from_height), frame);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .crop(kept.left, kept.top, kept.width, kept.height)
        .use_alpha(false);
    Resizer::new()
        .resize_typed(&source, &mut target, &options)
        .expect("the cut lies inside the picture, and the types agree");
    scaled
}

/// The part of a picture that becomes the input: the largest of the frame's proportions, less what the crop takes off.
fn kept((width, height): (u32, u32), frame: &Frame) -> CropBox {
    let fit = CropBox::fit_src_into_dst_size(width, height, frame.width, frame.height, Some((0.5, 0.5)));
    let crop = f64::from(frame.preparation.crop());
    let shrunk = |start: f64, length: f64| (start + (length - length * crop) / 2.0, length * crop);
    let ((left, width), (top, height)) = (shrunk(fit.left, fit.width), shrunk(fit.top, fit.height));
    CropBox { left, top, width, height }
}
