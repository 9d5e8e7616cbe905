//! Reads a settings file in TOML: `max_batch = 8`.
//!
//! Values pass the same checks as those of flags. Errors name file and line.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use thiserror::Error;
use toml::de::{DeTable, DeValue};

use super::value::TomlType;
use super::{SETTINGS, Setting, ValueError};
use crate::nearest::{did_you_mean, nearest};

/// The contents of a settings file.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    entries: BTreeMap<&'static str, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// The value as text, as on the command line.
    text: String,
    line: usize,
}

/// Why a settings file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file cannot be read.
    #[error("cannot read the settings in {0:?}: {1}")]
    Unreadable(PathBuf, io::Error),
    /// The file exceeds the size limit.
    #[error("cannot read the settings in {0:?}: it exceeds the limit of {MAX_BYTES} bytes")]
    TooLarge(PathBuf),
    /// A line, counted from 1, is invalid.
    #[error("{}:{}: {}", .0.display(), .1, .2)]
    Line(PathBuf, usize, Mistake),
}

/// What is wrong with a line of a file.
#[derive(Debug, Error)]
pub enum Mistake {
    /// Invalid UTF-8.
    #[error("not UTF-8")]
    Encoding,
    /// Invalid TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// No such setting, with the most similar name if there is one.
    #[error("unknown key {:?}{}; `anywidth config` shows all", .0, did_you_mean(.1))]
    UnknownKey(String, Option<&'static str>),
    /// A value of the wrong type: the key, its type, and the expected type.
    #[error("{0} is of type {1}: it must be a {2}")]
    Type(&'static str, &'static str, &'static str),
    /// A value that the setting does not accept.
    #[error(transparent)]
    Value(#[from] ValueError),
}

const MAX_BYTES: u64 = 64 << 10;
/// Maximum number of characters of an unknown key in its error.
const LONGEST_KEY: usize = 40;

impl File {
    /// Reads a file and checks every value.
    ///
    /// # Errors
    /// [`FileError`] names the file, and the line if the error has one.
    pub(super) fn read(path: &Path) -> Result<File, FileError> {
        let unreadable = |error| FileError::Unreadable(path.to_owned(), error);
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(unreadable)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(FileError::TooLarge(path.to_owned()));
        }
        let mistake = |(at, mistake)| FileError::Line(path.to_owned(), line(&bytes, at), mistake);
        let entries = entries(&bytes).map_err(mistake)?;
        Ok(File { path: fs::canonicalize(path).unwrap_or(path.to_owned()), entries })
    }

    /// The value of this key as text, as on the command line.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        Some(&self.entries.get(key)?.text)
    }

    /// The absolute path of the file and the line that sets this key.
    pub(super) fn location(&self, key: &str) -> Option<String> {
        Some(format!("{}:{}", self.path.display(), self.entries.get(key)?.line))
    }
}

/// A mistake and its byte offset.
type At = (usize, Mistake);

fn entries(bytes: &[u8]) -> Result<BTreeMap<&'static str, Entry>, At> {
    let text = std::str::from_utf8(bytes).map_err(|error| (error.valid_up_to(), Mistake::Encoding))?;
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span: Range<usize>| span.start);
        (at, Mistake::Syntax(error.message().to_owned()))
    })?;
    // The table is sorted by key; sorting by position reports the first error in the file.
    let mut pairs: Vec<_> = table.into_inner().into_iter().collect();
    pairs.sort_by_key(|(key, _)| key.span().start);
    let mut entries = BTreeMap::new();
    for (key, value) in pairs {
        let at = key.span().start;
        let (setting, text) = entry(key.get_ref(), value.get_ref()).map_err(|mistake| (at, mistake))?;
        // An empty list counts as unset.
        if let Some(text) = text {
            entries.insert(setting.key, Entry { text, line: line(bytes, at) });
        }
    }
    Ok(entries)
}

/// A setting and its value as text; `None` for an empty list.
fn entry(key: &str, value: &DeValue<'_>) -> Result<(&'static Setting, Option<String>), Mistake> {
    let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
        let nearest = nearest(key, SETTINGS.iter().map(|setting| setting.key));
        return Err(Mistake::UnknownKey(key.chars().take(LONGEST_KEY).collect(), nearest));
    };
    let text = text(setting.kind.toml, value).ok_or_else(|| {
        let must = match setting.kind.toml {
            TomlType::Number => "number",
            TomlType::Text => "string",
            TomlType::List => "list of strings",
        };
        Mistake::Type(setting.key, value.type_str(), must)
    })?;
    if text.is_empty() && setting.kind.toml == TomlType::List {
        return Ok((setting, None));
    }
    (setting.kind.check)(setting, OsStr::new(&text))?;
    Ok((setting, Some(text)))
}

/// A value as text; `None` if it has another type than `must`.
fn text(must: TomlType, value: &DeValue<'_>) -> Option<String> {
    match (must, value) {
        (TomlType::Text, DeValue::String(text)) => Some(text.to_string()),
        (TomlType::Number, DeValue::Integer(number)) => {
            let decimal = i128::from_str_radix(number.as_str(), number.radix());
            Some(decimal.map_or_else(|_| number.to_string(), |number| number.to_string()))
        }
        (TomlType::Number, DeValue::Float(number)) => Some(number.as_str().to_owned()),
        (TomlType::List, DeValue::Array(texts)) => {
            let texts: Option<Vec<_>> = texts.iter().map(|text| text.get_ref().as_str()).collect();
            texts.map(|texts| texts.join(","))
        }
        _ => None,
    }
}

/// The line, counted from 1, of the byte at index `at`.
fn line(bytes: &[u8], at: usize) -> usize {
    1 + bytes.iter().take(at).filter(|byte| **byte == b'\n').count()
}
