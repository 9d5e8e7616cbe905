//! Values with shares: `50`, or `10:0.5,50:0.5`.

use thiserror::Error;

/// Values with their shares of the requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix<T> {
    values: Vec<T>,
    /// Cumulative shares; the last is 1.
    ends: Vec<f64>,
}

/// Why a text is not a [`Mix`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MixError {
    /// A value that does not parse.
    #[error("bad value {value:?}: {reason}")]
    Value {
        /// The text.
        value: String,
        /// What is allowed.
        reason: String,
    },
    /// A share that is not a number above 0.
    #[error("bad share {share:?} of {value:?}: a share is a number above 0, such as 0.5")]
    Share {
        /// The text.
        share: String,
        /// The value it belongs to.
        value: String,
    },
    /// One of several values without a share.
    #[error("{value:?} has no share: several values are written as 10:0.5,50:0.5")]
    NoShare {
        /// The text.
        value: String,
    },
    /// Too many values.
    #[error("{values} values: at most {MAX_VALUES} are allowed")]
    TooMany {
        /// The number of values.
        values: usize,
    },
}

/// Maximum number of values.
pub const MAX_VALUES: usize = 64;

impl<T> Mix<T> {
    /// A single value for all requests.
    pub fn one(value: T) -> Mix<T> {
        Mix { values: vec![value], ends: vec![1.0] }
    }

    /// Parses a single value, or several with shares, which need not add up to 1.
    ///
    /// # Errors
    /// [`MixError`], naming the invalid part. `read` gives the reason for a bad value.
    pub fn read(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Mix<T>, MixError> {
        let bad = |value: &str, reason| MixError::Value { value: value.to_owned(), reason };
        let read = |value: &str| read(value).map_err(|reason| bad(value, reason));
        if !text.contains([',', ':']) {
            return read(text).map(Mix::one);
        }
        let parts: Vec<_> = text.split(',').map(str::trim).collect();
        if parts.len() > MAX_VALUES {
            return Err(MixError::TooMany { values: parts.len() });
        }
        let (mut values, mut ends, mut sum) = (Vec::new(), Vec::new(), 0.0);
        for part in parts {
            let (value, share) = part.split_once(':').ok_or_else(|| MixError::NoShare { value: part.to_owned() })?;
            values.push(read(value)?);
            sum += read_share(share, value)?;
            ends.push(sum);
        }
        ends.iter_mut().for_each(|end| *end /= sum);
        Ok(Mix { values, ends })
    }

    /// Maps the values and keeps the shares.
    ///
    /// # Errors
    /// The first error of `other`.
    pub fn try_map<U, E>(&self, other: impl Fn(&T) -> Result<U, E>) -> Result<Mix<U>, E> {
        let values = self.values.iter().map(other).collect::<Result<_, E>>()?;
        Ok(Mix { values, ends: self.ends.clone() })
    }

    /// The values, in the order given.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// The index of the value whose share contains `at`, with `0 <= at < 1`.
    pub fn index_at(&self, at: f64) -> usize {
        self.ends.partition_point(|&end| end <= at).min(self.values.len() - 1)
    }
}

fn read_share(text: &str, value: &str) -> Result<f64, MixError> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1e9 => Ok(share),
        _ => Err(MixError::Share { share: text.to_owned(), value: value.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Mix<u32>, MixError> {
        Mix::read(text, |value| value.parse().map_err(|_| "a whole number".to_owned()))
    }

    #[test]
    fn a_bad_part_is_named() {
        for (text, message) in [
            ("x", "bad value \"x\": a whole number"),
            ("", "bad value \"\": a whole number"),
            ("1:0.5,x:0.5", "bad value \"x\": a whole number"),
            ("1:0.5,2", "\"2\" has no share: several values are written as 10:0.5,50:0.5"),
            ("1:0.5,", "\"\" has no share: several values are written as 10:0.5,50:0.5"),
            ("1:0", "bad share \"0\" of \"1\": a share is a number above 0, such as 0.5"),
            ("1:NaN", "bad share \"NaN\" of \"1\": a share is a number above 0, such as 0.5"),
            ("1:inf", "bad share \"inf\" of \"1\": a share is a number above 0, such as 0.5"),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), message);
        }
        let many = vec!["1:1"; MAX_VALUES + 1].join(",");
        assert_eq!(read(&many), Err(MixError::TooMany { values: MAX_VALUES + 1 }));
    }

    proptest! {
        #[test]
        fn every_value_gets_its_share(shares in prop::collection::vec(1u32..100, 1..8)) {
            let text = shares.iter().enumerate().map(|(value, share)| format!("{value}:{share}"));
            let mix = read(&text.collect::<Vec<_>>().join(",")).unwrap();
            let sum: u32 = shares.iter().sum();
            let mut drawn = vec![0; shares.len()];
            // The midpoints of `sum` equal parts of 0..1.
            (0..sum).for_each(|part| drawn[mix.index_at((f64::from(part) + 0.5) / f64::from(sum))] += 1);
            prop_assert_eq!(drawn, shares);
        }
    }
}
