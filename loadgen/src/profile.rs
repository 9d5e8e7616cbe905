//! What the server's `/profile` says of a model: how long it takes at each width, and how much the server can do.

use anywidth::engine::Width;
use serde::Deserialize;
use thiserror::Error;

/// A model as a running server has measured it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Microseconds that an image takes to decode, of late; `None` before the first.
    pub decode_us: Option<f64>,
    /// Images per second that all workers together answer at full width, decoding included.
    pub capacity_at_full_width: f64,
    /// Its widths, ascending.
    pub steps: Vec<ProfileStep>,
}

/// A model at one width.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ProfileStep {
    /// The width.
    #[serde(deserialize_with = "crate::models::width")]
    pub width: Width,
    /// The share of right answers, where it is known.
    pub accuracy: Option<f64>,
    /// Batch sizes, and how many microseconds the network takes for such a batch.
    pub latency_us: Vec<(usize, f64)>,
}

/// Why an answer does not tell of a model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProfileError {
    /// It is not what an anywidth server answers.
    #[error("it is not what /profile answers: {0}")]
    NotAProfile(String),
    /// It has no model of this name.
    #[error("/profile has no model {name:?}; it has: {known}")]
    NoSuchModel {
        /// As it was asked for.
        name: String,
        /// Those that there are.
        known: String,
    },
}

#[derive(Deserialize)]
struct Answer {
    models: Vec<Profile>,
}

impl Profile {
    /// Finds a model in the body of `/profile`: the first where none is named.
    ///
    /// # Errors
    /// [`ProfileError`]
    pub fn find(body: &[u8], name: Option<&str>) -> Result<Profile, ProfileError> {
        let Answer { models } =
            serde_json::from_slice(body).map_err(|error| ProfileError::NotAProfile(error.to_string()))?;
        let names: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
        let known = names.join(", ");
        let mut wanted = models.into_iter().filter(|model| name.is_none_or(|name| model.name == name));
        wanted.next().ok_or_else(|| ProfileError::NoSuchModel { name: name.unwrap_or_default().to_owned(), known })
    }

    /// Microseconds that a batch takes at a width, if that was measured; without decoding.
    pub fn latency_us(&self, width: Width, batch: usize) -> Option<f64> {
        let step = self.steps.iter().find(|step| step.width == width)?;
        step.latency_us.iter().find(|point| point.0 == batch).map(|point| point.1)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two models, of which the second has no accuracies and has decoded nothing.
    pub(crate) const ANSWER: &[u8] = br#"{"workers":1,"models":[
        {"name":"a","version":"2","correction":1.02,"decode_us":60.0,"capacity_at_full_width":1500.5,"steps":[
            {"width":0.25,"accuracy":0.8,"latency_us":[[1,60.0],[16,900.0]]},
            {"width":1,"accuracy":0.9,"latency_us":[[1,640.0],[16,9900.0]]}]},
        {"name":"b","version":"1","correction":1,"decode_us":null,"capacity_at_full_width":20000,"steps":[
            {"width":0.5,"accuracy":null,"latency_us":[[1,20],[16,300]]},
            {"width":1,"accuracy":null,"latency_us":[[1,40],[16,600]]}]}]}"#;

    #[test]
    fn a_model_is_found_by_its_name_or_as_the_first() {
        let [first, named] = [None, Some("b")].map(|name| Profile::find(ANSWER, name).unwrap());
        assert_eq!((first.name.as_str(), first.version.as_str(), first.decode_us), ("a", "2", Some(60.0)));
        assert_eq!((named.name.as_str(), named.decode_us, named.steps[0].accuracy), ("b", None, None));
        assert_eq!(first.latency_us(Width::FULL, 16), Some(9900.0));
        assert_eq!(first.latency_us(Width::FULL, 2), None);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let message = |body: &[u8]| Profile::find(body, Some("c")).unwrap_err().to_string();
        assert_eq!(message(ANSWER), "/profile has no model \"c\"; it has: a, b");
        assert!(message(b"hello").starts_with("it is not what /profile answers: "));
    }
}
