//! A width as it stands on the wire. Which channels exist at one is the server's matter, and not known here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A share of a network's channels, in `(0, 1]`, held as a whole number of millionths, as the server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Width(u32);

/// A text or number that is not a [`Width`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a width is a decimal number above 0 and up to 1")]
pub struct NotAWidth;

const MILLION: f64 = 1e6;

impl Width {
    /// This width as a number.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / MILLION
    }
}

impl TryFrom<f64> for Width {
    type Error = NotAWidth;

    fn try_from(number: f64) -> Result<Width, NotAWidth> {
        match (number * MILLION).round() {
            millionths if (1.0..=MILLION).contains(&millionths) => Ok(Width(millionths as u32)),
            _ => Err(NotAWidth),
        }
    }
}

impl FromStr for Width {
    type Err = NotAWidth;

    fn from_str(text: &str) -> Result<Width, NotAWidth> {
        text.parse::<f64>().map_err(|_| NotAWidth)?.try_into()
    }
}

impl fmt::Display for Width {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.as_f64().to_string())
    }
}

impl Serialize for Width {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_f64())
    }
}

impl<'de> Deserialize<'de> for Width {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Width, D::Error> {
        f64::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_share_of_the_channels_is_no_width() {
        for text in ["0", "-0.5", "1.00001", "NaN", "inf", "", "wide", "0.0000001"] {
            assert_eq!(text.parse::<Width>(), Err(NotAWidth), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_width_survives_being_written(millionths in 1u32..=1_000_000) {
            let width = Width(millionths);
            prop_assert_eq!(width.to_string().parse(), Ok(width));
            prop_assert_eq!(serde_json::from_str::<Width>(&serde_json::to_string(&width).unwrap()).unwrap(), width);
        }
    }
}
