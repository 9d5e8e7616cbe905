//! The image input of a model: size, colour and preprocessing.

use thiserror::Error;

use super::Preprocessing;

/// The colour channels of a model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    /// One channel.
    Grey,
    /// Three channels: red, green, blue.
    Rgb,
}

/// The image input of a model, `[C, H, W]`: size, colour channels and preprocessing.
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
    /// The number of channels is neither 1 (grey) nor 3 (RGB).
    #[error("the model's input has {0} channels; an image has 1 (grey) or 3 (colour)")]
    Channels(usize),
    /// A side is 0 or exceeds 4096 pixels.
    #[error("the model's input is {height} x {width} pixels; each side must be from 1 to {MAX_SIDE}")]
    Size {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
}

/// Maximum side of a model's input, in pixels.
const MAX_SIDE: usize = 4096;

impl InputSpec {
    /// Creates an input `[channels, height, width]` with the default [`Preprocessing`].
    ///
    /// # Errors
    /// [`InputSpecError`] unless there are 1 or 3 channels and both sides are from 1 to 4096 pixels.
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

    /// Replaces the preprocessing.
    pub fn with_preprocessing(self, preprocessing: Preprocessing) -> InputSpec {
        InputSpec { preprocessing, ..self }
    }

    /// The preprocessing.
    pub fn preprocessing(&self) -> Preprocessing {
        self.preprocessing
    }

    /// Number of values: channels times height times width.
    #[expect(clippy::len_without_is_empty, reason = "an input is never empty")]
    pub fn len(&self) -> usize {
        self.channels() * self.area()
    }

    /// Converts pixels from [`Image::pixels`](super::Image::pixels) to the model's input values, `[C, H, W]`.
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
