//! The image that a model reads: its size, its colours and its preprocessing.

use thiserror::Error;

use super::Preprocessing;

/// The colours that a model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    /// One channel.
    Grey,
    /// Three channels: red, green, blue.
    Rgb,
}

/// What a model reads: an image of this size and these colours, after this preprocessing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InputSpec {
    pub(super) colour: Colour,
    pub(super) height: u32,
    pub(super) width: u32,
    pub(super) preprocessing: Preprocessing,
}

/// Why a model's input is not an image.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InputSpecError {
    /// Neither grey nor colour.
    #[error("the model's input has {0} channels; an image has 1 (grey) or 3 (colour)")]
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

impl InputSpec {
    /// An input `[channels, height, width]`, with the default [`Preprocessing`].
    ///
    /// # Errors
    /// [`InputSpecError`] unless there are 1 or 3 channels and sides of 1 to 4096 pixels.
    pub fn new(channels: usize, height: usize, width: usize) -> Result<InputSpec, InputSpecError> {
        let colour = match channels {
            1 => Colour::Grey,
            3 => Colour::Rgb,
            _ => return Err(InputSpecError::Channels(channels)),
        };
        let sides = 1..=MAX_SIDE;
        if !sides.contains(&height) || !sides.contains(&width) {
            return Err(InputSpecError::Size { height, width });
        }
        Ok(InputSpec { colour, height: height as u32, width: width as u32, preprocessing: Preprocessing::default() })
    }

    /// The same input, with this preprocessing.
    pub fn with_preprocessing(self, preprocessing: Preprocessing) -> InputSpec {
        InputSpec { preprocessing, ..self }
    }

    /// What is done to an image before the model reads it.
    pub fn preprocessing(&self) -> Preprocessing {
        self.preprocessing
    }

    /// Number of values: channels times height times width.
    #[expect(clippy::len_without_is_empty, reason = "an input is never empty")]
    pub fn len(&self) -> usize {
        self.channels() * self.area()
    }

    /// An image's pixels ([`Image::pixels`](super::Image::pixels)) as the numbers that the model reads: `[C, H, W]`.
    pub fn values(&self, pixels: &[u8]) -> Vec<f32> {
        pixels.iter().map(|&byte| self.preprocessing.value(byte)).collect()
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
