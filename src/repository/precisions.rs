//! The precision of each model: one for all, and others by name.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::engine::{ModelFile, Precision, PrecisionChoice, UnknownPrecision};

/// Precisions as in `auto,mnist=f32`: at most one without a name, for all models that are not named.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Precisions {
    others: PrecisionChoice,
    by_name: BTreeMap<String, PrecisionChoice>,
}

/// Why a text states no precisions.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PrecisionsError {
    /// The text is none.
    #[error(transparent)]
    Unknown(#[from] UnknownPrecision),
    /// A word of the text is none.
    #[error("{0:?} is {1}")]
    UnknownWord(String, UnknownPrecision),
    /// Two for the same models.
    #[error("there are two precisions for {0}; it must be one, and others as NAME=PRECISION, separated by commas")]
    Twice(String),
}

impl Precisions {
    /// The same precision for every model.
    pub fn all(precision: PrecisionChoice) -> Precisions {
        Precisions { others: precision, by_name: BTreeMap::new() }
    }

    /// The precision for a model.
    pub(super) fn of(&self, name: &str, file: &ModelFile) -> Precision {
        self.by_name.get(name).unwrap_or(&self.others).of(file)
    }

    /// The models that have one of their own.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

impl FromStr for Precisions {
    type Err = PrecisionsError;

    fn from_str(text: &str) -> Result<Precisions, PrecisionsError> {
        let (mut others, mut by_name) = (None, BTreeMap::new());
        for entry in text.split(',').map(str::trim) {
            let (name, word) = entry.split_once('=').map_or((None, entry), |(name, word)| (Some(name), word));
            let choice = word.parse().map_err(|error| match word == text {
                true => PrecisionsError::Unknown(error),
                false => PrecisionsError::UnknownWord(word.chars().take(40).collect(), error),
            })?;
            let before = match name {
                Some(name) => by_name.insert(name.to_owned(), choice),
                None => others.replace(choice),
            };
            if before.is_some() {
                return Err(PrecisionsError::Twice(name.unwrap_or("all models").chars().take(40).collect()));
            }
        }
        Ok(Precisions { others: others.unwrap_or_default(), by_name })
    }
}

impl fmt::Display for Precisions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.others)?;
        self.by_name.iter().try_for_each(|(name, choice)| write!(out, ",{name}={choice}"))
    }
}

impl Serialize for Precisions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_precision_is_for_all_and_others_are_by_name() {
        let read = |text: &str| text.parse::<Precisions>().map(|precisions| precisions.to_string());
        assert_eq!(read("bf16"), Ok("bf16".into()));
        assert_eq!(read("mnist=f32"), Ok("auto,mnist=f32".into()));
        assert_eq!(read("b=auto, f32,a=bf16"), Ok("f32,a=bf16,b=auto".into()));
        for (text, expected) in [
            ("fp16", "not a precision: auto, f32 and bf16 are known"),
            ("f32,fp16", r#""fp16" is not a precision: auto, f32 and bf16 are known"#),
            ("", "not a precision: auto, f32 and bf16 are known"),
            ("mnist=", r#""" is not a precision: auto, f32 and bf16 are known"#),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), expected);
        }
        assert!(read("f32,bf16").unwrap_err().to_string().starts_with("there are two precisions for all models;"));
        assert!(read("a=f32,a=f32").unwrap_err().to_string().starts_with("there are two precisions for a;"));
    }
}
