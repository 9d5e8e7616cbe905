//! Widths, and the active channels at a width. Exporter and engine share this definition.
//!
//! The arithmetic is exact (integers), so the served network is exactly the trained one. The module must not know
//! layers, weights or files.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A share of every hidden layer's channels, in `(0, 1]`, stored as a whole number of millionths.
///
/// Its text form is a plain decimal without trailing zeros: `1`, `0.5`, `0.333333`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Width(u32);

/// Why a text or number is not a [`Width`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WidthError {
    /// The text is not a plain decimal number.
    #[error("not a decimal number")]
    NotDecimal,
    /// The number is zero, below a millionth, or above one.
    #[error("out of range")]
    OutOfRange,
}

impl Width {
    /// Full width: every channel.
    pub const FULL: Width = Width(MILLION);
    /// The narrowest width: one channel of any layer of up to a million channels.
    pub const NARROWEST: Width = Width(1);

    /// The width of `millionths` millionths.
    ///
    /// # Errors
    /// [`WidthError::OutOfRange`] for 0 and for more than 1,000,000.
    pub const fn from_millionths(millionths: u32) -> Result<Width, WidthError> {
        match millionths {
            1..=MILLION => Ok(Width(millionths)),
            _ => Err(WidthError::OutOfRange),
        }
    }

    /// The widest width with exactly `active` of `channels` active channels.
    ///
    /// # Panics
    /// If `active` is 0 or exceeds `channels`, or if `channels` exceeds 1,000,000.
    pub fn of_channels(active: usize, channels: usize) -> Width {
        assert!((1..=channels).contains(&active) && channels <= MILLION as usize, "{active} of {channels} channels");
        // `channels <= MILLION` bounds the quotient by MILLION, and `active >= 1` keeps it above zero.
        Width((active as u64 * u64::from(MILLION) / channels as u64) as u32)
    }

    /// This width in millionths, from 1 to 1,000,000.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// Number of active channels of `channels` at this width: `ceil(w * channels)`, at least 1.
    pub const fn active(self, channels: usize) -> usize {
        (self.0 as u64 * channels as u64).div_ceil(MILLION as u64) as usize
    }

    /// Index of this width's range when the widths up to 1 are cut into `count` equal ranges. A range includes its upper end.
    ///
    /// # Panics
    /// If `count` is 0.
    pub const fn range(self, count: usize) -> usize {
        assert!(count > 0, "ranges");
        (self.0 as usize * count).div_ceil(MILLION as usize) - 1
    }

    /// This width as a floating-point number, for display and statistics. It must not decide which channels are active.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / f64::from(MILLION)
    }
}

const MILLION: u32 = 1_000_000;
/// Decimal places of a width.
const PLACES: usize = 6;

impl FromStr for Width {
    type Err = WidthError;

    /// Parses a plain decimal such as `0.5`, `.5` or `1.0`. Digits beyond the sixth decimal place are truncated.
    fn from_str(text: &str) -> Result<Width, WidthError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
            return Err(WidthError::NotDecimal);
        }
        let kept = &fraction[..fraction.len().min(PLACES)];
        let places = kept.bytes().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        let millionths = places * 10u32.pow((PLACES - kept.len()) as u32);
        match whole.trim_start_matches('0') {
            "" => Width::from_millionths(millionths),
            "1" if fraction.bytes().all(|digit| digit == b'0') => Ok(Width::FULL),
            _ => Err(WidthError::OutOfRange),
        }
    }
}

impl TryFrom<f64> for Width {
    type Error = WidthError;

    /// The width given by the number's shortest decimal representation.
    fn try_from(number: f64) -> Result<Width, WidthError> {
        if !number.is_finite() {
            return Err(WidthError::NotDecimal);
        }
        if number <= 0.0 {
            return Err(WidthError::OutOfRange);
        }
        // `Display` never uses an exponent, so this is exact where `number * 1e6` is not (for example 0.29).
        number.to_string().parse()
    }
}

impl fmt::Display for Width {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Width::FULL {
            return out.pad("1");
        }
        let places = format!("0.{:06}", self.0);
        out.pad(places.trim_end_matches('0'))
    }
}

impl serde::Serialize for Width {
    /// Serializes it as a number without trailing zeros: full width is `1`, not `1.0`. JSON uses an exponent below
    /// 0.00001.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if *self == Width::FULL { serializer.serialize_u64(1) } else { serializer.serialize_f64(self.as_f64()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_width() -> impl Strategy<Value = Width> {
        (1..=MILLION).prop_map(Width)
    }

    #[test]
    fn widths_are_read_and_written_as_plain_decimals() {
        for (text, written) in
            [("1", "1"), ("1.000", "1"), ("0.5", "0.5"), (".25", "0.25"), ("00.10", "0.1"), ("0.3333339", "0.333333")]
        {
            assert_eq!(text.parse::<Width>().map(|width| width.to_string()), Ok(written.into()), "{text}");
        }
    }

    #[test]
    fn invalid_widths_are_refused_with_the_reason() {
        for text in ["", ".", "wide", "NaN", "inf", "-0.5", "+0.5", "1e-1", "0,5", " 0.5", "0.5.5", "٠.٥"] {
            assert_eq!(text.parse::<Width>(), Err(WidthError::NotDecimal), "{text}");
        }
        for text in ["0", "0.0", "1.01", "1.0000001", "2", "0.0000009", "10", "99999999999999999999"] {
            assert_eq!(text.parse::<Width>(), Err(WidthError::OutOfRange), "{text}");
        }
    }

    #[test]
    fn numbers_equal_their_shortest_decimals() {
        assert_eq!(Width::try_from(0.29).map(Width::millionths), Ok(290_000));
        assert_eq!(Width::try_from(1.0), Ok(Width::FULL));
        assert_eq!(Width::try_from(1e-7), Err(WidthError::OutOfRange));
        assert_eq!(Width::try_from(-0.0), Err(WidthError::OutOfRange));
        assert_eq!(Width::try_from(f64::NAN), Err(WidthError::NotDecimal));
    }

    proptest! {
        #[test]
        fn formatting_and_parsing_a_width_round_trips(width in any_width()) {
            prop_assert_eq!(width.to_string().parse::<Width>(), Ok(width));
            prop_assert_eq!(Width::try_from(width.as_f64()), Ok(width));
        }

        #[test]
        fn a_channel_exists_when_its_index_over_the_count_is_below_the_width(
            width in any_width(), channels in 1usize..300,
        ) {
            let naive = (0..channels).filter(|&c| (c as u64) * 1_000_000 < width.millionths() as u64 * channels as u64);
            prop_assert_eq!(width.active(channels), naive.count());
            prop_assert!(width.active(channels) >= 1);
        }

        #[test]
        fn the_width_of_n_channels_has_n_channels(channels in 1usize..2000, pick in any::<proptest::sample::Index>()) {
            let active = pick.index(channels) + 1;
            prop_assert_eq!(Width::of_channels(active, channels).active(channels), active);
        }
    }
}
