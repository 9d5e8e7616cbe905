//! The result of a run as a file, so that a table can be trained on several machines and drawn without training.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::evaluate::mean_over;
use crate::file::write_whole;
use crate::train::Recipe;

/// A finished run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// Its recipe.
    pub recipe: Recipe,
    /// The device that computed it.
    pub machine: String,
    /// Its result.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// All epochs were done.
    Finished {
        /// Median duration of an epoch, in seconds.
        epoch_seconds: f64,
        /// Weights and biases by width.
        parameters: Vec<(f64, u64)>,
        /// Multiply-adds of one image by width.
        multiply_adds: Vec<(f64, u64)>,
        /// One per line of the row.
        curves: Vec<Curve>,
    },
    /// The loss or a weight became infinite or NaN.
    Diverged {
        /// The trainer's message.
        reason: String,
    },
}

/// Accuracy by width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Number of widths with separate normalization statistics, if requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<usize>,
    /// The widths, ascending.
    pub widths: Vec<f64>,
    /// Accuracy on the test images at each width.
    pub test: Vec<f64>,
    /// Accuracy on the validation images at each width.
    pub validation: Vec<f64>,
}

/// Why a file is not the result of a run.
#[derive(Debug, Error)]
pub enum OutcomeError {
    /// The file cannot be read.
    #[error("{}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: std::io::Error,
    },
    /// The file has other contents.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        reason: serde_json::Error,
    },
}

impl Trained {
    /// The file `path`, if there is one.
    ///
    /// # Errors
    /// [`OutcomeError`] if it cannot be read, or is not a result.
    pub fn read(path: &Path) -> Result<Option<Trained>, OutcomeError> {
        match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|reason| OutcomeError::Content { path: path.into(), reason }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(reason) => Err(OutcomeError::Read { path: path.into(), reason }),
        }
    }

    /// Writes the file `path`.
    ///
    /// # Errors
    /// The system's error.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let text = serde_json::to_string(self).expect("numbers and texts have a JSON form");
        write_whole(path, (text + "\n").as_bytes())
    }
}

impl Curve {
    /// Merges the widths of `other`.
    pub fn join(&mut self, other: &Curve) {
        let points = |curve: &Curve| -> Vec<(f64, f64, f64)> {
            let both = curve.test.iter().zip(&curve.validation);
            curve.widths.iter().zip(both).map(|(&width, (&test, &validation))| (width, test, validation)).collect()
        };
        let mut all = [points(self), points(other)].concat();
        all.sort_by(|left, right| left.0.total_cmp(&right.0));
        self.widths = all.iter().map(|point| point.0).collect();
        self.test = all.iter().map(|point| point.1).collect();
        self.validation = all.iter().map(|point| point.2).collect();
    }

    /// The test accuracy at exactly this `width`, if measured.
    pub fn test_exactly_at(&self, width: f64) -> Option<f64> {
        let index = self.widths.iter().position(|other| (other - width).abs() < ROUNDING)?;
        Some(self.test[index])
    }

    /// The test accuracy at `width`: that of the narrowest measured width not below it.
    pub fn test_at(&self, width: f64) -> Option<f64> {
        let index = self.widths.iter().position(|&other| other >= width - ROUNDING)?;
        Some(self.test[index])
    }

    /// The mean test accuracy over the widths from `narrowest` to 1 (trapezoidal rule), for two or more widths.
    pub fn area(&self, narrowest: f64) -> Option<f64> {
        let points = self.widths.iter().copied().zip(self.test.iter().copied());
        mean_over(&points.filter(|&(width, _)| width >= narrowest - ROUNDING).collect::<Vec<(f64, f64)>>())
    }
}

/// Widths are rounded down to millionths.
const ROUNDING: f64 = 1e-6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_is_the_mean_accuracy_over_the_widths_from_the_narrowest_up() {
        let curve = Curve {
            statistics: None,
            widths: vec![0.125, 0.25, 0.5, 1.0],
            test: vec![0.1, 0.2, 0.6, 0.8],
            validation: Vec::new(),
        };
        assert!((curve.area(0.25).expect("an area") - (0.25 * 0.4 + 0.5 * 0.7) / 0.75).abs() < 1e-12);
        assert_eq!(curve.area(0.9), None);
        assert_eq!([0.25, 0.3, 1.0].map(|width| curve.test_at(width)), [Some(0.2), Some(0.6), Some(0.8)]);
    }
}
