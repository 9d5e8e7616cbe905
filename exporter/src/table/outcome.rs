//! What came of a run, as a file: so that a table can be completed on several machines, and drawn without training.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::evaluate::mean_over;
use crate::file::write_whole;
use crate::train::Recipe;

/// A run that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// What it followed.
    pub recipe: Recipe,
    /// What computed it.
    pub machine: String,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// All epochs were done.
    Finished {
        /// The median epoch, in seconds.
        epoch_seconds: f64,
        /// Weights and biases at each of some widths.
        parameters: Vec<(f64, u64)>,
        /// Multiply-adds of one image at the same widths.
        multiply_adds: Vec<(f64, u64)>,
        /// One for each line of the row.
        curves: Vec<Curve>,
    },
    /// The loss or a weight became infinite or no number.
    Diverged {
        /// The trainer's message.
        reason: String,
    },
}

/// Accuracy by width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// How many widths have normalization statistics of their own, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<usize>,
    /// The widths, ascending.
    pub widths: Vec<f64>,
    /// Share of the test images that are classified correctly, at each width.
    pub test: Vec<f64>,
    /// The same of the validation images.
    pub validation: Vec<f64>,
}

impl Trained {
    /// The file `path`, if there is one.
    ///
    /// # Errors
    /// A message that names what is wrong with it.
    pub fn read(path: &Path) -> Result<Option<Trained>, String> {
        match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| format!("{}: {error}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// Writes the file `path`.
    ///
    /// # Errors
    /// What the system said.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let text = serde_json::to_string(self).expect("numbers and texts have a JSON form");
        write_whole(path, (text + "\n").as_bytes())
    }
}

impl Curve {
    /// Takes in the widths of `other`.
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

    /// The accuracy on the test set at exactly this `width`, if it was measured there.
    pub fn test_exactly_at(&self, width: f64) -> Option<f64> {
        let place = self.widths.iter().position(|other| (other - width).abs() < ROUNDING)?;
        Some(self.test[place])
    }

    /// The accuracy on the test set at `width`: that of the narrowest measured width that is not below it.
    pub fn test_at(&self, width: f64) -> Option<f64> {
        let place = self.widths.iter().position(|&other| other >= width - ROUNDING)?;
        Some(self.test[place])
    }

    /// The mean accuracy on the test set over the widths from `narrowest` to 1 (trapezoids), if there are two or more.
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
