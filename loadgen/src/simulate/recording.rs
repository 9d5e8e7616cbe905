//! What a network answered to labelled images at each width: a file that `anywidth evaluate --record` writes.

use anywidth::engine::{GainTable, Outcome, Width};
use anywidth::policy::ExitRule;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde::Deserialize;

use super::MeasuredError;

/// The answers to labelled images at some widths.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Ascending to full width.
    widths: Vec<Width>,
    /// For each image, one outcome per width.
    images: Vec<Vec<Outcome>>,
    /// The model's gain table.
    gain: Option<GainTable>,
}

/// The file.
#[derive(Debug, Deserialize)]
struct Raw {
    widths: Vec<f64>,
    images: Vec<Vec<(f32, u8)>>,
    gain: Option<GainTable>,
}

impl Recording {
    /// Reads a recording.
    ///
    /// # Errors
    /// [`MeasuredError`] when the text is none, or contradicts itself.
    pub fn read(json: &str) -> Result<Recording, MeasuredError> {
        let Raw { widths, images, gain } = serde_json::from_str(json).map_err(MeasuredError::RecordingJson)?;
        let wrong = |what: &'static str| Err(MeasuredError::Recording(what));
        let Ok(widths) = widths.into_iter().map(Width::try_from).collect::<Result<Vec<_>, _>>() else {
            return wrong("a width is not above 0 and up to 1");
        };
        if !widths.is_sorted_by(|a, b| a < b) || widths.last() != Some(&Width::FULL) {
            return wrong("the widths do not ascend to 1");
        }
        if images.is_empty() || images.iter().any(|image| image.len() != widths.len()) {
            return wrong("there is not one answer for each image and width");
        }
        let outcome = |(probability, correct)| Outcome { probability, correct: correct == 1 };
        let images = images.into_iter().map(|image| image.into_iter().map(outcome).collect()).collect();
        Ok(Recording { widths, images, gain })
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.images.len()
    }

    /// The gain table of the model, if the file has one.
    pub fn gain(&self) -> Option<&GainTable> {
        self.gain.as_ref()
    }

    /// The image of a request, whatever the policy.
    pub fn image_of(&self, seed: u64, request: usize) -> usize {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(request as u64 + 2);
        random.random_range(..self.images.len())
    }

    /// Where an image stops that starts at `from` and may become as wide as `to`, and whether its answer is right there; `None` if
    /// that width is not recorded.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn stop(&self, image: usize, rule: Option<&ExitRule>, (from, to): (Width, Width)) -> (Width, Option<bool>) {
        let image = &self.images[image];
        let outcome = |width: Width| self.widths.binary_search(&width).ok().map(|at| image[at]);
        let probability = |width| outcome(width).map(|outcome| outcome.probability);
        let width = rule.map_or(to, |rule| rule.stop(from, to, probability));
        (width, outcome(width).map(|outcome| outcome.correct))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_read_or_refused() {
        let recording = Recording::read(r#"{"model":"m","widths":[0.5,1],"images":[[[0.5,0],[0.9,1]]]}"#).unwrap();
        let [half, full] = recording.widths[..] else { panic!("two widths") };
        assert_eq!(recording.stop(0, None, (half, full)), (full, Some(true)));
        assert_eq!(recording.stop(0, None, (half, half)), (half, Some(false)));
        let between = "0.7".parse().unwrap();
        assert_eq!(recording.stop(0, None, (half, between)), (between, None));
        for bad in [
            r#"{"widths":[0.5,1]}"#,
            r#"{"widths":[0.5],"images":[[[0.5,0]]]}"#,
            r#"{"widths":[1,0.5],"images":[[[0.5,0],[0.9,1]]]}"#,
            r#"{"widths":[2,1],"images":[[[0.5,0],[0.9,1]]]}"#,
            r#"{"widths":[0.5,1],"images":[[[0.5,0]]]}"#,
            r#"{"widths":[1],"images":[]}"#,
            r#"{"widths":[0.5,1],"images":[[[0.5,0],[0.9,1]]],"gain":[]}"#,
        ] {
            assert!(Recording::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_request_has_the_same_image_under_every_policy() {
        let one = r#"[[0.9,1]]"#;
        let recording =
            Recording::read(&format!(r#"{{"widths":[1],"images":[{}]}}"#, vec![one; 50].join(","))).unwrap();
        let images = || (0..1000).map(|request| recording.image_of(7, request)).collect::<Vec<_>>();
        assert_eq!(images(), images());
        let images = images();
        assert!((0..50).all(|image| images.contains(&image)));
    }
}
