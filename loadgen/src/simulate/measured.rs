//! Measured latency and accuracy of one model, as data: from a file of its own, or as a running server tells it.

use std::time::Duration;

use anywidth::engine::{GainTable, Width};
use anywidth::policy::{ExitRule, Measurement, Profile, ProfileError};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Recording;
use crate::profile::{self, Profile as Served, ProfileStep};

/// What was measured of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// What it is, for titles.
    pub name: String,
    /// Microseconds that a worker needs to decode an image.
    pub decode_us: f64,
    /// The widths, ascending, the last of them 1.
    pub steps: Vec<MeasuredStep>,
    /// Which images a wider width helps, if the model says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain: Option<GainTable>,
    /// What it answers to labelled images, if that is recorded. Without, answers have the accuracies of their widths, and no image
    /// stops early.
    #[serde(skip)]
    pub recording: Option<Recording>,
}

/// How images share the time of a worker under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Each image gets the width that is worth its time, by the gain table.
    ByGain,
    /// Images run at two widths, in the share that the load allows.
    Mixture,
    /// All images run at one width.
    OneWidth,
}

/// What was measured at one width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredStep {
    /// The width.
    pub width: f64,
    /// Share of held-out images that are named right.
    pub accuracy: f64,
    /// Batch sizes, ascending from 1, and how long the network takes for one batch.
    pub latency_us: Vec<(usize, f64)>,
}

/// Why a file is no measurement.
#[derive(Debug, Error)]
pub enum MeasuredError {
    /// Not the JSON that is expected.
    #[error("not a measured profile: {0}")]
    Json(#[from] serde_json::Error),
    /// A number that cannot be.
    #[error("width {width}: {what}")]
    Step {
        /// Which.
        width: f64,
        /// What is wrong.
        what: &'static str,
    },
    /// A server's answer without the model.
    #[error(transparent)]
    Served(#[from] profile::ProfileError),
    /// Not the JSON of a recording.
    #[error("not a recording: {0}")]
    RecordingJson(#[source] serde_json::Error),
    /// A recording that contradicts itself.
    #[error("not a recording: {0}")]
    Recording(&'static str),
    /// A server does not know how often the model is right.
    #[error("the server does not know the accuracy of model {model:?} at width {width}: no policy can be judged by it")]
    NoAccuracy {
        /// Which model.
        model: String,
        /// Where.
        width: Width,
    },
    /// Nothing to choose.
    #[error("model {model:?} has a single width: there is nothing for a policy to choose")]
    OneWidth {
        /// Which model.
        model: String,
    },
    /// A name where there are none.
    #[error(
        "it is the profile of one model, without a name to look for: {model:?} can be looked for in what /profile answers"
    )]
    NoNames {
        /// As it was asked for.
        model: String,
    },
    /// Together they make no profile.
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

/// What tells a server's answer from a profile of its own: it has models.
#[derive(Deserialize)]
struct Either {
    models: Option<IgnoredAny>,
}

impl Measured {
    /// The shipped CIFAR-10 model as a server measured it, on one core of an AMD EPYC with AVX-512 (Zen 5), with its gain
    /// table, and with its answers to 2,000 test images.
    ///
    /// # Errors
    /// Never, as the tests show.
    pub fn cifar10() -> Result<Measured, MeasuredError> {
        let gain = serde_json::from_str(include_str!("cifar10_gain.json"))?;
        let recording = Recording::read(include_str!("cifar10_recording.json"))?;
        Ok(Measured {
            gain: Some(gain),
            recording: Some(recording),
            ..Measured::read(include_str!("cifar10.json"), None)?
        })
    }

    /// Reads and checks a measured profile, or what a server's `/profile` answers: of that the model of this name, or the
    /// first.
    ///
    /// # Errors
    /// When the text is neither, or the model cannot be played: see [`MeasuredError`].
    pub fn read(json: &str, model: Option<&str>) -> Result<Measured, MeasuredError> {
        let Either { models } = serde_json::from_str(json)?;
        let measured = match (models, model) {
            (Some(_), _) => Measured::served(Served::find(json.as_bytes(), model)?)?,
            (None, None) => serde_json::from_str(json)?,
            (None, Some(model)) => return Err(MeasuredError::NoNames { model: model.to_owned() }),
        };
        measured.check()?;
        Ok(measured)
    }

    /// The same model with what it answered to labelled images, and with the gain table of that recording.
    #[must_use]
    pub fn with_recording(self, recording: Recording) -> Measured {
        Measured { gain: recording.gain().cloned().or(self.gain), recording: Some(recording), ..self }
    }

    fn served(Served { name, version, decode_us, steps, .. }: Served) -> Result<Measured, MeasuredError> {
        if steps.len() == 1 {
            return Err(MeasuredError::OneWidth { model: name });
        }
        let step = |ProfileStep { width, accuracy, latency_us }: ProfileStep| {
            let accuracy = accuracy.ok_or_else(|| MeasuredError::NoAccuracy { model: name.clone(), width })?;
            Ok(MeasuredStep { width: width.as_f64(), accuracy, latency_us })
        };
        let steps = steps.into_iter().map(step).collect::<Result<_, MeasuredError>>()?;
        let name = format!("{name}, version {version}, as a server measured it");
        Ok(Measured { name, decode_us: decode_us.unwrap_or(0.0), steps, gain: None, recording: None })
    }

    fn check(&self) -> Result<(), MeasuredError> {
        for step in &self.steps {
            let error = |what| Err(MeasuredError::Step { width: step.width, what });
            if !(0.0..=1.0).contains(&step.accuracy) {
                return error("its accuracy is not from 0 to 1");
            }
            if !step.latency_us.iter().all(|&(_, us)| us > 0.0 && us <= 3.6e9) {
                return error("a latency is not above 0 and up to an hour");
            }
            if step.latency_us.first().is_none_or(|first| first.0 != 1)
                || !step.latency_us.is_sorted_by(|a, b| a.0 < b.0)
            {
                return error("its batch sizes do not ascend from 1");
            }
        }
        if !(0.0..=3.6e9).contains(&self.decode_us) {
            return Err(MeasuredError::Step { width: 1.0, what: "decode_us is not from 0 up to an hour" });
        }
        self.profile().map(drop)
    }

    /// The profile that a server would have that measured this: by gain where a table and a recording are known, else with
    /// mixtures of two widths.
    ///
    /// # Errors
    /// When the widths do not ascend up to 1.
    pub fn profile(&self) -> Result<Profile, MeasuredError> {
        self.profile_for(Strategy::ByGain)
    }

    /// The profile for a way to spend time. What is not known makes the next one of [`Strategy`].
    ///
    /// # Errors
    /// When the widths do not ascend up to 1.
    pub fn profile_for(&self, strategy: Strategy) -> Result<Profile, MeasuredError> {
        let measurement = |step: &MeasuredStep| {
            let latencies = step.latency_us.iter().map(|&(batch, us)| (batch, Duration::from_secs_f64(us * 1e-6)));
            let width = Width::try_from(step.width)
                .map_err(|_| MeasuredError::Step { width: step.width, what: "not above 0 and up to 1" })?;
            Ok(Measurement { width, latencies: latencies.collect(), accuracy: Some(step.accuracy) })
        };
        let measurements = self.steps.iter().map(measurement).collect::<Result<Vec<_>, MeasuredError>>()?;
        let profile = Profile::new(&measurements)?;
        Ok(match (strategy, &self.gain, &self.recording) {
            (Strategy::ByGain, Some(gain), Some(_)) => profile.with_gain(gain),
            (Strategy::ByGain | Strategy::Mixture, ..) => profile.with_mixtures(),
            (Strategy::OneWidth, ..) => profile,
        })
    }

    /// Where the image of a request stops, and how often its answer is right there: 0 or 1 if that is recorded, else the accuracy
    /// of the width in `profile`. `seed` and `request` choose the image.
    pub fn answer(
        &self,
        profile: &Profile,
        image: (u64, usize),
        rule: Option<&ExitRule>,
        (from, to): (Width, Width),
    ) -> (Width, f64) {
        let recorded = self.recording.as_ref().map(|recording| {
            let (seed, request) = image;
            recording.stop(recording.image_of(seed, request), rule, (from, to))
        });
        let (width, correct) = recorded.unwrap_or((to, None));
        (width, correct.map_or_else(|| profile.accuracy(width).unwrap_or_default(), f64::from))
    }

    /// The mean time to decode an image.
    pub fn decoding(&self) -> Duration {
        Duration::from_secs_f64(self.decode_us * 1e-6)
    }

    /// Seconds of a decoded batch at these widths: of each item its share of a batch of that many at its width.
    pub fn seconds(&self, widths: &[Width]) -> f64 {
        let batch = widths.len();
        let share = |width: &Width| {
            let at = self.steps.partition_point(|step| step.width < width.as_f64() - 1e-9).min(self.steps.len() - 1);
            self.steps[at].batch_us(batch) / batch as f64
        };
        widths.iter().map(share).sum::<f64>() * 1e-6
    }
}

impl MeasuredStep {
    /// Linear between the batch sizes that were measured, and in proportion beyond the largest.
    fn batch_us(&self, batch: usize) -> f64 {
        let above = self.latency_us.partition_point(|point| point.0 < batch);
        let (b1, t1) = *self.latency_us.get(above).unwrap_or(&self.latency_us[self.latency_us.len() - 1]);
        match above.checked_sub(1).map(|below| self.latency_us[below]) {
            Some((b0, t0)) if batch < b1 => t0 + (t1 - t0) * (batch - b0) as f64 / (b1 - b0) as f64,
            _ => t1 * batch as f64 / b1 as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tests::ANSWER;
    use anywidth::engine::Model;

    /// A profile of one's own, not a server's answer.
    const NAMELESS: &str =
        r#"{"name": "", "decode_us": 0, "steps": [{"width": 1, "accuracy": 0.9, "latency_us": [[1, 2.5]]}]}"#;

    #[test]
    fn the_shipped_profile_is_sound() {
        let measured = Measured::cifar10().unwrap();
        let profile = measured.profile().unwrap();
        assert!(profile.worst_fit() < 0.02, "{}", profile.worst_fit());
        for batch in [1, 2, 3, 16, 20] {
            let exact = measured.seconds(&vec![Width::FULL; batch]);
            let fitted = profile.latency(Width::FULL, batch).as_secs_f64();
            assert!((exact / fitted - 1.0).abs() < 0.05, "batch {batch}: {exact} {fitted}");
        }
    }

    #[test]
    fn the_shipped_measurement_is_of_the_shipped_model() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/cifar10/1/model.onnx");
        let model = Model::from_onnx(&std::fs::read(path).unwrap()).unwrap();
        let (measured, metadata) = (Measured::cifar10().unwrap(), model.metadata());
        assert!(measured.gain == metadata.gain, "copy anywidth.gain of the model to cifar10_gain.json");
        for step in &measured.steps {
            assert_eq!(
                metadata.accuracy_at(Width::try_from(step.width).unwrap()),
                Some(step.accuracy),
                "{}",
                step.width
            );
        }
    }

    #[test]
    fn an_unsound_profile_is_refused() {
        let text = |width: &str, accuracy: &str, latency: &str| {
            format!(
                r#"{{"name": "", "decode_us": 0,
                    "steps": [{{"width": {width}, "accuracy": {accuracy}, "latency_us": {latency}}}]}}"#
            )
        };
        assert!(Measured::read(&text("1", "0.9", "[[1, 2.5]]"), None).is_ok());
        for (width, accuracy, latency) in [
            ("0.5", "0.9", "[[1, 2.5]]"),
            ("2", "0.9", "[[1, 2.5]]"),
            ("1", "1.9", "[[1, 2.5]]"),
            ("1", "0.9", "[]"),
            ("1", "0.9", "[[2, 2.5]]"),
            ("1", "0.9", "[[1, 0]]"),
            ("1", "0.9", "[[1, 2.5], [1, 3]]"),
        ] {
            assert!(Measured::read(&text(width, accuracy, latency), None).is_err(), "{width} {accuracy} {latency}");
        }
    }

    #[test]
    fn what_a_server_measured_is_played_as_it_stands() {
        let measured = Measured::read(str::from_utf8(ANSWER).unwrap(), None).unwrap();
        let name = "a, version 2, as a server measured it".to_owned();
        let step =
            |width, accuracy, one, sixteen| MeasuredStep { width, accuracy, latency_us: vec![(1, one), (16, sixteen)] };
        let steps = vec![step(0.25, 0.8, 60.0, 900.0), step(1.0, 0.9, 640.0, 9900.0)];
        assert_eq!(measured, Measured { name, decode_us: 60.0, steps, gain: None, recording: None });
    }

    #[test]
    fn a_model_that_cannot_be_played_is_named() {
        let error = |json: &str, model| Measured::read(json, model).unwrap_err().to_string();
        let answer = str::from_utf8(ANSWER).unwrap();
        assert!(
            error(answer, Some("b")).starts_with("the server does not know the accuracy of model \"b\" at width 0.5")
        );
        assert_eq!(error(answer, Some("c")), "/profile has no model \"c\"; it has: a, b");
        assert!(error(NAMELESS, Some("a")).contains("\"a\" can be looked for in what /profile answers"));
        let narrow = answer.replace("\"width\":1,", "\"width\":0.5,");
        assert!(matches!(Measured::read(&narrow, None), Err(MeasuredError::Profile(_))));
        let rigid = r#"{"models":[{"name":"r","version":"1","capacity_at_full_width":9,"steps":[
            {"width":1,"accuracy":0.9,"latency_us":[[1,60.0]]}]}]}"#;
        assert_eq!(error(rigid, None), "model \"r\" has a single width: there is nothing for a policy to choose");
    }
}
