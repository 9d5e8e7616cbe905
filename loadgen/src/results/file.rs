//! The file of a run: JSON, with the version of its layout.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::{FORMAT, Results};

/// Why a file is not a run.
#[derive(Debug, Error)]
pub enum ResultsError {
    /// It cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// It is larger than any run.
    #[error("{} has more than {MOST_BYTES} bytes: this is no run", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// It is something else.
    #[error("{} is not a run that --json has written: {reason}", path.display())]
    NotARun {
        /// Which.
        path: PathBuf,
        /// Where it stops being one.
        reason: serde_json::Error,
    },
    /// It is of another version.
    #[error("{} has format {found}: this program reads format {FORMAT}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// What it has.
        found: u32,
    },
}

/// A file of a run is never larger.
const MOST_BYTES: u64 = 64 << 20;

/// What every format has.
#[derive(Deserialize)]
struct AnyFormat {
    format: u32,
}

impl Results {
    /// Reads a file that [`Results::to_json`] made.
    ///
    /// # Errors
    /// [`ResultsError`], naming the file.
    pub fn read(path: &Path) -> Result<Results, ResultsError> {
        let unreadable = |reason| ResultsError::Unreadable { path: path.to_owned(), reason };
        let not_a_run = |reason| ResultsError::NotARun { path: path.to_owned(), reason };
        let mut text = String::new();
        let file = fs::File::open(path).map_err(unreadable)?;
        file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > MOST_BYTES {
            return Err(ResultsError::TooLarge { path: path.to_owned() });
        }
        let AnyFormat { format } = serde_json::from_str(&text).map_err(not_a_run)?;
        if format != FORMAT {
            return Err(ResultsError::Format { path: path.to_owned(), found: format });
        }
        serde_json::from_str(&text).map_err(not_a_run)
    }

    /// The file's text.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("its keys are texts, and it is all in memory");
        text.push('\n');
        text
    }
}
