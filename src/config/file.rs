//! A file of settings, in TOML: `max_batch = 8`.
//!
//! Every value is checked by what reads the flag of its name, so that both allow the same. Errors name file and line.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::{ArgAction, Command};
use thiserror::Error;
use toml::de::{DeTable, DeValue};

use super::setting::Kind;
use super::{Flags, Setting};
use crate::nearest::{did_you_mean, nearest};

/// What a file of settings says.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    key: String,
    /// The value, as it would be typed.
    text: String,
    line: usize,
}

/// Why a file's settings cannot be had.
#[derive(Debug, Error)]
pub enum FileError {
    /// It is not there, or may not be read.
    #[error("cannot read the settings in {path:?}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Nobody writes so many settings.
    #[error("cannot read the settings in {path:?}: it has more than {MOST_BYTES} bytes, the most that is allowed")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A line says something that it cannot.
    #[error("{}:{line}: {problem}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What it says.
        problem: Problem,
    },
}

/// What is wrong with a line of a file.
#[derive(Debug, Error)]
pub enum Problem {
    /// It is not text.
    #[error("not UTF-8")]
    Encoding,
    /// It is not TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// There is no such setting.
    #[error("unknown key {key:?}{}; `anywidth config` shows all", did_you_mean(.nearest))]
    UnknownKey {
        /// What stands there.
        key: String,
        /// The known key that is most like it.
        nearest: Option<String>,
    },
    /// A value of the wrong type.
    #[error("{key} is of type {is}: it must be a {must}")]
    Type {
        /// The setting.
        key: String,
        /// What stands there.
        is: &'static str,
        /// What would be right.
        must: &'static str,
    },
    /// A value that its flag would not take either.
    #[error("{0}")]
    Value(String),
}

const MOST_BYTES: u64 = 64 << 10;
/// Of an unknown key, as many characters come back in the error.
const LONGEST_KEY: usize = 40;

impl File {
    /// Reads a file, and checks what it says value by value; what values must be together is not its matter.
    ///
    /// # Errors
    /// [`FileError`] names the file, and the line where there is one.
    pub fn read(path: &Path) -> Result<File, FileError> {
        let unreadable = |error| FileError::Unreadable { path: path.to_owned(), error };
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(unreadable)?;
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(FileError::TooLarge { path: path.to_owned() });
        }
        let entries = entries(&bytes).map_err(|(at, problem)| {
            let line = line(&bytes, at);
            FileError::Line { path: path.to_owned(), line, problem }
        })?;
        Ok(File { path: path.to_owned(), entries })
    }

    /// The command, with what the file says as the defaults of the flags that it has. Those of its subcommands that can be
    /// told a file have them as well.
    #[must_use]
    pub fn as_defaults(&self, command: Command) -> Command {
        let command = command.mut_subcommands(|subcommand| self.as_defaults(subcommand));
        if !command.get_arguments().any(|flag| flag.get_id() == "config") {
            return command;
        }
        command.mut_args(|flag| match self.entry(flag.get_id().as_str()) {
            // An empty text in a list's place is an empty list.
            Some(entry) if !(entry.text.is_empty() && matches!(flag.get_action(), ArgAction::Append)) => {
                flag.default_value(entry.text.clone())
            }
            _ => flag,
        })
    }

    /// The line that sets this, counted from 1.
    pub fn line(&self, key: &str) -> Option<usize> {
        Some(self.entry(key)?.line)
    }

    /// The file, as it was named, and the line that set this.
    pub(super) fn place(&self, key: &str) -> Option<String> {
        Some(format!("{}:{}", self.path.display(), self.line(key)?))
    }

    /// The same with the file's whole path, which says from anywhere which file it is.
    pub(super) fn whole_place(&self, key: &str) -> Option<String> {
        let whole = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        Some(format!("{}:{}", whole.display(), self.line(key)?))
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// A problem, and the byte at which it begins.
type At = (usize, Problem);

fn entries(bytes: &[u8]) -> Result<Vec<Entry>, At> {
    let text = std::str::from_utf8(bytes).map_err(|error| (error.valid_up_to(), Problem::Encoding))?;
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span: Range<usize>| span.start);
        (at, Problem::Syntax(error.message().to_owned()))
    })?;
    let settings = Flags::list();
    let mut entries = Vec::new();
    // The table is in the order of its keys: errors are told in the order of lines.
    let mut pairs: Vec<_> = table.into_inner().into_iter().collect();
    pairs.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in pairs {
        let at = key.span().start;
        let text = value_of(key.get_ref(), value.get_ref(), &settings).map_err(|problem| (at, problem))?;
        entries.push(Entry { key: key.into_inner().into_owned(), text, line: line(bytes, at) });
    }
    Ok(entries)
}

/// The value of a setting as it would be typed, if it is one.
fn value_of(key: &str, value: &DeValue<'_>, settings: &[Setting]) -> Result<String, Problem> {
    let Some(setting) = settings.iter().find(|setting| setting.key == key) else {
        let nearest = nearest(key, settings.iter().map(|setting| setting.key.as_str())).map(str::to_owned);
        return Err(Problem::UnknownKey { key: key.chars().take(LONGEST_KEY).collect(), nearest });
    };
    let text = match (setting.kind, value) {
        (Kind::Text, DeValue::String(text)) => text.to_string(),
        (Kind::Number, DeValue::Integer(number)) => {
            let decimal = i128::from_str_radix(number.as_str(), number.radix());
            decimal.map_or_else(|_| number.to_string(), |number| number.to_string())
        }
        (Kind::Number, DeValue::Float(number)) => number.as_str().to_owned(),
        (Kind::List, DeValue::Array(texts)) => {
            match texts.iter().map(|text| text.get_ref().as_str()).collect::<Option<Vec<_>>>() {
                Some(texts) => texts.join(","),
                None => return Err(Problem::Type { key: key.to_owned(), is: "array", must: "list of strings" }),
            }
        }
        (kind, value) => {
            let must = match kind {
                Kind::Number => "number",
                Kind::Text => "string",
                Kind::List => "list of strings",
            };
            return Err(Problem::Type { key: key.to_owned(), is: value.type_str(), must });
        }
    };
    // An empty list is as good as none.
    if setting.kind != Kind::List || !text.is_empty() {
        setting.check(OsStr::new(&text)).map_err(Problem::Value)?;
    }
    Ok(text)
}

/// The line, counted from 1, of the byte at this place.
fn line(bytes: &[u8], at: usize) -> usize {
    1 + bytes.iter().take(at).filter(|byte| **byte == b'\n').count()
}
