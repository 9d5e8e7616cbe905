//! Errors of a recipe's settings: which one is refused, and why.

use std::fmt::Display;
use std::ops::RangeInclusive;

use anywidth::engine::{Width, WidthError};
use thiserror::Error;

use crate::data::Shape;

/// Why a setting is refused.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum SettingError {
    /// A value is out of range.
    #[error("{setting}: {value} is not {expected}")]
    Range {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// The range, such as "above 0".
        expected: String,
    },
    /// A width is out of range.
    #[error("width {value}: {reason}, 0 < w <= 1")]
    Width {
        /// The value.
        value: f64,
        /// Why it is not a width.
        reason: WidthError,
    },
    /// A setting contradicts another one, the network or the images.
    #[error("{setting}: {reason}")]
    Conflict {
        /// The setting.
        setting: &'static str,
        /// The contradiction.
        reason: String,
    },
    /// The network cannot read images of this size.
    #[error(
        "images of {}x{} pixels: {network} reads {} to {} pixels a side",
        image.width, image.height, sides.start(), sides.end()
    )]
    Sides {
        /// The shape of the images.
        image: Shape,
        /// The network's name.
        network: &'static str,
        /// The sides that it can read.
        sides: RangeInclusive<usize>,
    },
    /// The images do not have the recipe's shape.
    #[error("images of {found}, expected {expected}")]
    Images {
        /// Their shape.
        found: Shape,
        /// The recipe's.
        expected: Shape,
    },
}

impl SettingError {
    pub(crate) fn range(setting: &'static str, value: impl Display, expected: impl Into<String>) -> SettingError {
        SettingError::Range { setting, value: value.to_string(), expected: expected.into() }
    }

    pub(crate) fn conflict(setting: &'static str, reason: impl Into<String>) -> SettingError {
        SettingError::Conflict { setting, reason: reason.into() }
    }
}

/// The width of a setting.
pub(crate) fn width(value: f64) -> Result<Width, SettingError> {
    Width::try_from(value).map_err(|reason| SettingError::Width { value, reason })
}
