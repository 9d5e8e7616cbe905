//! The results file: JSON with a format version.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::{FORMAT, Results};

/// Why a file is not a results file.
#[derive(Debug, Error)]
pub enum ResultsError {
    /// The file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// The file is too large.
    #[error("{} has more than {MAX_BYTES} bytes: it is not a run", path.display())]
    TooLarge {
        /// The path.
        path: PathBuf,
    },
    /// The file is not a results file.
    #[error("{} is not a run written by --json: {reason}", path.display())]
    NotARun {
        /// The path.
        path: PathBuf,
        /// The parser's error.
        reason: serde_json::Error,
    },
    /// The file has another format version.
    #[error("{} has format {found}: this program reads format {FORMAT}", path.display())]
    Format {
        /// The path.
        path: PathBuf,
        /// The file's version.
        found: u32,
    },
}

/// Maximum size of a results file in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// The common part of all format versions.
#[derive(Deserialize)]
struct AnyFormat {
    format: u32,
}

impl Results {
    /// Reads a file written by [`Results::to_json`].
    ///
    /// # Errors
    /// [`ResultsError`], naming the file.
    pub fn read(path: &Path) -> Result<Results, ResultsError> {
        let unreadable = |reason| ResultsError::Unreadable { path: path.to_owned(), reason };
        let not_a_run = |reason| ResultsError::NotARun { path: path.to_owned(), reason };
        let mut text = String::new();
        let file = fs::File::open(path).map_err(unreadable)?;
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(ResultsError::TooLarge { path: path.to_owned() });
        }
        let AnyFormat { format } = serde_json::from_str(&text).map_err(not_a_run)?;
        if format != FORMAT {
            return Err(ResultsError::Format { path: path.to_owned(), found: format });
        }
        serde_json::from_str(&text).map_err(not_a_run)
    }

    /// The results as JSON text.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("its keys are texts, and it is all in memory");
        text.push('\n');
        text
    }
}
