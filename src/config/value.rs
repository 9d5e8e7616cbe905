//! The types of the settings' values.

use std::ffi::OsStr;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;

use crate::engine::Width;
use crate::policy::PolicyKind;
use crate::repository::Precisions;
use crate::server::{CorsOrigin, ModelControlMode};
use crate::telemetry::{LogFilter, LogFormat};

/// The type of a setting's value.
pub(super) trait SettingValue: Serialize + Sized {
    /// Its type in a file.
    const TOML: TomlType;
    /// The allowed values in words; `None` if the error of [`SettingValue::parse`] states them.
    const IS: Option<&'static str>;

    /// Parses the text of a value; `None` stands for an unset setting.
    fn parse(text: Option<&OsStr>) -> Result<Self, String>;
}

/// The TOML types in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TomlType {
    Number,
    Text,
    /// A list of strings.
    List,
}

/// The allowed widths in words.
const WIDTHS: &str = "a number above 0 and up to 1";

/// Parses a width; the error states what is allowed.
pub(crate) fn width(text: &str) -> Result<Width, String> {
    text.parse::<Width>().map_err(|error| format!("{error}: it must be {WIDTHS}"))
}

macro_rules! values_that_are_text {
    ($($type:ty: $toml:ident, $is:expr;)*) => {$(
        impl SettingValue for $type {
            const TOML: TomlType = TomlType::$toml;
            const IS: Option<&'static str> = $is;

            fn parse(text: Option<&OsStr>) -> Result<$type, String> {
                from_str(text)
            }
        }
    )*};
}

values_that_are_text! {
    u16: Number, Some("a whole number");
    u64: Number, Some("a whole number");
    usize: Number, Some("a whole number");
    f64: Number, Some("a number");
    Width: Number, Some(WIDTHS);
    PolicyKind: Text, None;
    Precisions: Text, None;
    String: Text, None;
    LogFormat: Text, Some("text or json");
    ModelControlMode: Text, Some("none or explicit");
    LogFilter: Text, None;
}

impl SettingValue for PathBuf {
    const TOML: TomlType = TomlType::Text;
    const IS: Option<&'static str> = None;

    fn parse(text: Option<&OsStr>) -> Result<PathBuf, String> {
        text.filter(|text| !text.is_empty()).map(PathBuf::from).ok_or("it must be a path".to_owned())
    }
}

impl<T: SettingValue> SettingValue for Option<T> {
    const TOML: TomlType = T::TOML;
    const IS: Option<&'static str> = T::IS;

    fn parse(text: Option<&OsStr>) -> Result<Option<T>, String> {
        text.map(|text| T::parse(Some(text))).transpose()
    }
}

impl SettingValue for Vec<CorsOrigin> {
    const TOML: TomlType = TomlType::List;
    const IS: Option<&'static str> = None;

    fn parse(text: Option<&OsStr>) -> Result<Vec<CorsOrigin>, String> {
        let Some(text) = Option::<String>::parse(text)? else { return Ok(Vec::new()) };
        text.split(',').map(|origin| from_str(Some(OsStr::new(origin)))).collect()
    }
}

fn from_str<T: FromStr<Err: Display>>(text: Option<&OsStr>) -> Result<T, String> {
    let text = text.and_then(OsStr::to_str).ok_or("it must be valid UTF-8")?;
    text.parse().map_err(|error: T::Err| error.to_string())
}
