//! Rates and times in units of the server: multiples of its capacity, and of one image's time at full width.
//!
//! Load in these units is comparable across machines. Must not know connections: callers pass the server's profile.

use std::str::FromStr;

use anywidth::engine::Width;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::profile::Profile;

/// The units of one model on one server.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Units {
    /// Single-image requests per second that the server can answer at full width.
    pub capacity_per_s: f64,
    /// Milliseconds per image at full width, including decoding if known.
    pub image_ms: f64,
}

/// A time as written: `50` milliseconds, or `20x` for 20 times [`Units::image_ms`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Time {
    /// Milliseconds.
    Milliseconds(f64),
    /// A multiple of [`Units::image_ms`].
    Images(f64),
}

/// Why a time cannot be converted to milliseconds or units.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum UnitsError {
    /// A text that is not a time.
    #[error(
        "milliseconds are a number above 0 and up to {MAX_MS}, or a multiple of one image's time at full width, such as 20x"
    )]
    NotATime,
    /// A multiple whose time is out of range.
    #[error("{times}x is {ms} ms: from 0.001 up to {MAX_MS} are allowed")]
    OutOfRange {
        /// The multiple.
        times: f64,
        /// The time in milliseconds.
        ms: f64,
    },
    /// The units are unknown.
    #[error("{times}x: the time per image is unknown")]
    NoUnits {
        /// The multiple.
        times: f64,
    },
    /// A missing figure in the profile.
    #[error("/profile does not report {what} of model {model:?}")]
    Unsaid {
        /// The model.
        model: String,
        /// The missing figure.
        what: &'static str,
    },
}

/// Maximum time: an hour.
const MAX_MS: f64 = 3.6e6;

impl Units {
    /// The units of a model as its server measured it.
    ///
    /// # Errors
    /// [`UnitsError::Unsaid`]
    pub fn of(profile: &Profile) -> Result<Units, UnitsError> {
        let sound = |number: Option<f64>, what| {
            let number = number.filter(|&number| number > 0.0 && number.is_finite());
            number.ok_or_else(|| UnitsError::Unsaid { model: profile.name.clone(), what })
        };
        let network_us = sound(profile.latency_us(Width::FULL, 1), "the time per image at full width")?;
        let image_us = network_us + profile.decode_us.unwrap_or(0.0).max(0.0);
        Ok(Units {
            capacity_per_s: sound(Some(profile.capacity_at_full_width), "the capacity at full width")?,
            image_ms: rounded(image_us / 1e3),
        })
    }
}

impl Time {
    /// The time in milliseconds.
    ///
    /// # Errors
    /// If the units are unknown, or the result is out of range.
    pub fn ms(self, units: Option<&Units>) -> Result<f64, UnitsError> {
        let times = match self {
            Time::Milliseconds(ms) => return Ok(ms),
            Time::Images(times) => times,
        };
        let ms = rounded(times * units.ok_or(UnitsError::NoUnits { times })?.image_ms);
        if ms > 0.0 && ms <= MAX_MS { Ok(ms) } else { Err(UnitsError::OutOfRange { times, ms }) }
    }
}

impl FromStr for Time {
    type Err = UnitsError;

    fn from_str(text: &str) -> Result<Time, UnitsError> {
        let (number, make): (&str, fn(f64) -> Time) = match text.strip_suffix('x') {
            Some(number) => (number, Time::Images),
            None => (text, Time::Milliseconds),
        };
        let number = number.parse().ok().filter(|number| (0.0..=MAX_MS).contains(number) && *number > 0.0);
        number.map(make).ok_or(UnitsError::NotATime)
    }
}

/// Rounds to a microsecond.
fn rounded(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tests::ANSWER;

    fn units(model: &str) -> Units {
        Units::of(&Profile::find(ANSWER, Some(model)).unwrap()).unwrap()
    }

    #[test]
    fn units_are_the_capacity_and_one_image_with_its_decoding() {
        assert_eq!(units("a"), Units { capacity_per_s: 1500.5, image_ms: 0.7 });
        assert_eq!(units("b"), Units { capacity_per_s: 20_000.0, image_ms: 0.04 });
    }

    #[test]
    fn times_are_read_in_milliseconds_or_units() {
        let ms = |text: &str| text.parse::<Time>().unwrap().ms(Some(&units("a"))).unwrap();
        assert_eq!([ms("50"), ms("20x"), ms("0.5x")], [50.0, 14.0, 0.35]);
        for text in ["", "x", "0x", "-1x", "NaNx", "infx", "20X", "x20", "20 x", "0", "1e18", "1e18x"] {
            assert_eq!(text.parse::<Time>(), Err(UnitsError::NotATime), "{text}");
        }
    }

    #[test]
    fn what_no_budget_can_be_is_refused() {
        let error = |times, units: Option<&Units>| Time::Images(times).ms(units).unwrap_err().to_string();
        assert_eq!(error(6e6, Some(&units("a"))), "6000000x is 4200000 ms: from 0.001 up to 3600000 are allowed");
        assert_eq!(error(1e-6, Some(&units("a"))), "0.000001x is 0 ms: from 0.001 up to 3600000 are allowed");
        assert_eq!(error(20.0, None), "20x: the time per image is unknown");
    }

    #[test]
    fn a_server_that_says_too_little_gives_no_units() {
        let profile = Profile::find(ANSWER, None).unwrap();
        let error = |profile: Profile| Units::of(&profile).unwrap_err().to_string();
        let message = "/profile does not report the capacity at full width of model \"a\"";
        assert_eq!(error(Profile { capacity_at_full_width: 0.0, ..profile.clone() }), message);
        let narrow = profile.steps[..1].to_vec();
        let message = "/profile does not report the time per image at full width of model \"a\"";
        assert_eq!(error(Profile { steps: narrow, ..profile }), message);
    }
}
