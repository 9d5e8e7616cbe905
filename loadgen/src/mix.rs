//! Values by shares: `50`, or `10:0.5,50:0.5`.

use thiserror::Error;

/// Values, each with the share of the requests that get it.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix<T> {
    values: Vec<T>,
    /// Where each value's share ends; the last ends at 1.
    ends: Vec<f64>,
}

/// Why a text is not a [`Mix`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MixError {
    /// A value that cannot be read.
    #[error("bad value {value:?}: {reason}")]
    Value {
        /// As it was typed.
        value: String,
        /// What is allowed.
        reason: String,
    },
    /// A share that cannot be one.
    #[error("bad share {share:?} of {value:?}: a share is a number above 0, such as 0.5")]
    Share {
        /// As it was typed.
        share: String,
        /// Whose share.
        value: String,
    },
    /// One of several values has no share.
    #[error("{value:?} has no share: several values are written as 10:0.5,50:0.5")]
    NoShare {
        /// As it was typed.
        value: String,
    },
    /// More values than anybody needs.
    #[error("{values} values: there may be {MOST_VALUES}")]
    TooMany {
        /// As many.
        values: usize,
    },
}

/// As many values a mix may have.
pub const MOST_VALUES: usize = 64;

impl<T> Mix<T> {
    /// One value for all.
    pub fn one(value: T) -> Mix<T> {
        Mix { values: vec![value], ends: vec![1.0] }
    }

    /// Reads a value alone, or several with their shares, which need not add up to 1.
    ///
    /// # Errors
    /// [`MixError`], naming the part that is wrong. The reason of a bad value is `read`'s.
    pub fn read(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Mix<T>, MixError> {
        let bad = |value: &str, reason| MixError::Value { value: value.to_owned(), reason };
        let read = |value: &str| read(value).map_err(|reason| bad(value, reason));
        if !text.contains([',', ':']) {
            return read(text).map(Mix::one);
        }
        let parts: Vec<_> = text.split(',').map(str::trim).collect();
        if parts.len() > MOST_VALUES {
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

    /// The same shares of other values.
    ///
    /// # Errors
    /// The first that `other` gives.
    pub fn try_map<U, E>(&self, other: impl Fn(&T) -> Result<U, E>) -> Result<Mix<U>, E> {
        let values = self.values.iter().map(other).collect::<Result<_, E>>()?;
        Ok(Mix { values, ends: self.ends.clone() })
    }

    /// Every value, in the order in which it was named.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// The index of the value whose share holds `at`, a number from 0 up to 1 (without it).
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
        let many = vec!["1:1"; MOST_VALUES + 1].join(",");
        assert_eq!(read(&many), Err(MixError::TooMany { values: MOST_VALUES + 1 }));
    }

    proptest! {
        #[test]
        fn every_value_gets_its_share(shares in prop::collection::vec(1u32..100, 1..8)) {
            let text = shares.iter().enumerate().map(|(value, share)| format!("{value}:{share}"));
            let mix = read(&text.collect::<Vec<_>>().join(",")).unwrap();
            let sum: u32 = shares.iter().sum();
            let mut drawn = vec![0; shares.len()];
            // The middle of each part when 0..1 is cut into `sum` equal ones.
            (0..sum).for_each(|part| drawn[mix.index_at((f64::from(part) + 0.5) / f64::from(sum))] += 1);
            prop_assert_eq!(drawn, shares);
        }
    }
}
