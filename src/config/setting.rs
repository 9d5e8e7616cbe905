//! The description of one setting: its names and allowed values.

use std::ffi::{OsStr, OsString};
use std::fmt;

use clap::{Arg, ArgAction, value_parser};
use thiserror::Error;

use super::SETTINGS;
use super::value::{SettingValue, TomlType};

/// The prefix of the environment variables.
pub(super) const PREFIX: &str = "ANYWIDTH_";

/// A setting as declared in the table.
#[derive(Debug)]
pub struct Setting {
    /// Its key in a file, from which the names of its flag and its variable derive: `max_batch`.
    pub key: &'static str,
    /// The heading of its section in the help; empty for the first section.
    pub(super) section: &'static str,
    /// The unit of the value, or what it names: `ms`, `images`, `folder`.
    pub unit: &'static str,
    /// The default.
    pub default: DefaultValue,
    /// The range of a number.
    pub(super) bounds: Bounds,
    /// What the setting does.
    pub meaning: &'static str,
    /// When to change the setting.
    pub advice: &'static str,
    /// The type of the value.
    pub(super) kind: Kind,
}

/// The default of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultValue {
    /// No value.
    Absent,
    /// A fixed value.
    Fixed(&'static str),
    /// A value that depends on something, described in words.
    Depends(&'static str),
}

/// The range of a numeric setting.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bounds {
    /// Unrestricted, apart from the type.
    Any,
    Range(u64, u64),
    /// Above 0, up to and including the maximum.
    AboveZero(u64),
}

/// A value that a setting does not accept.
#[derive(Debug, Error)]
#[error("{name} is {value}: {reason}")]
pub struct ValueError {
    /// The setting's flag, preceded by the variable or the file's line if one of these sets it.
    pub(super) name: String,
    value: String,
    reason: String,
}

/// The Rust type of a setting's value, erased.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) toml: TomlType,
    is: Option<&'static str>,
    pub(super) check: fn(&Setting, &OsStr) -> Result<toml::Value, ValueError>,
}

impl Setting {
    /// A setting of this type with empty fields, which the table fills in.
    pub(super) const fn of(kind: Kind) -> Setting {
        let (default, bounds) = (DefaultValue::Absent, Bounds::Any);
        Setting { key: "", section: "", unit: "", default, bounds, meaning: "", advice: "", kind }
    }

    /// The setting with this key.
    ///
    /// # Panics
    /// If the table has no such key.
    pub(super) fn named(key: &str) -> &'static Setting {
        SETTINGS.iter().find(|setting| setting.key == key).expect("the table declares it")
    }

    /// The flag: `--max-batch`.
    pub fn flag(&self) -> String {
        format!("--{}", self.long())
    }

    /// The environment variable: `ANYWIDTH_MAX_BATCH`.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.key.to_uppercase())
    }

    /// The allowed values in words: "a whole number from 1 to 1024". `None` if any text is allowed, or the parser's error says it.
    pub fn allowed(&self) -> Option<String> {
        Some(format!("{} {}", self.kind.is?, self.bounds).trim_end().to_owned())
    }

    /// The flag's definition. It accepts any text: values of all sources are checked in one place.
    pub(super) fn arg(&self) -> Arg {
        let mut help = format!("{} {}", self.meaning, self.advice);
        let default = match self.default {
            DefaultValue::Absent => None,
            DefaultValue::Fixed(text) | DefaultValue::Depends(text) => Some(format!("default: {text}")),
        };
        for note in [self.allowed(), default, Some(format!("env: {}", self.variable()))].into_iter().flatten() {
            help += &format!(" [{note}]");
        }
        let action = if self.kind.toml == TomlType::List { ArgAction::Append } else { ArgAction::Set };
        let section = Some(self.section).filter(|section| !section.is_empty());
        let arg = Arg::new(self.key).long(self.long()).value_name(self.unit.to_uppercase()).help(help).action(action);
        arg.value_parser(value_parser!(OsString)).help_heading(section)
    }

    /// Parses and range-checks a value; `None` stands for an unset setting.
    pub(super) fn parse<T: SettingValue>(&self, text: Option<&OsStr>) -> Result<T, ValueError> {
        let must_be = |allowed: String| format!("it must be {allowed}");
        let value = T::parse(text).map_err(|error| self.invalid(text, self.allowed().map_or(error, must_be)))?;
        match text.is_none_or(|text| self.bounds.allow(text)) {
            true => Ok(value),
            false => Err(self.invalid(text, must_be(self.bounds.to_string()))),
        }
    }

    /// The error for a value. Numbers are shown bare, everything else in quotes.
    pub(super) fn invalid(&self, text: Option<&OsStr>, reason: String) -> ValueError {
        const LONGEST: usize = 40;
        let text: String = text.unwrap_or_default().to_string_lossy().chars().take(LONGEST).collect();
        let value = if text.parse::<f64>().is_ok() { text } else { format!("{text:?}") };
        ValueError { name: self.flag(), value, reason }
    }

    fn long(&self) -> String {
        self.key.replace('_', "-")
    }
}

impl DefaultValue {
    /// The value of a fixed default.
    pub fn fixed(self) -> Option<&'static str> {
        if let DefaultValue::Fixed(text) = self { Some(text) } else { None }
    }
}

impl Bounds {
    fn allow(self, text: &OsStr) -> bool {
        let number = text.to_str().and_then(|text| text.parse::<f64>().ok()).unwrap_or(f64::NAN);
        match self {
            Bounds::Any => true,
            Bounds::Range(min, max) => (min as f64..=max as f64).contains(&number),
            Bounds::AboveZero(max) => number > 0.0 && number <= max as f64,
        }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Bounds::Any => Ok(()),
            Bounds::Range(min, max) => write!(formatter, "from {min} to {max}"),
            Bounds::AboveZero(max) => write!(formatter, "above 0 and up to {max}"),
        }
    }
}

impl Kind {
    pub(super) const fn of<T: SettingValue>() -> Kind {
        Kind { toml: T::TOML, is: T::IS, check: check::<T> }
    }
}

/// Checks a text and converts it to the value in a TOML file.
fn check<T: SettingValue>(setting: &Setting, text: &OsStr) -> Result<toml::Value, ValueError> {
    let value: T = setting.parse(Some(text))?;
    toml::Value::try_from(value).map_err(|error| setting.invalid(Some(text), error.to_string()))
}
