//! Reads `/profile`: a model's latency by width, and the server's capacity.

use anywidth::engine::Width;
use serde::Deserialize;
use thiserror::Error;

/// A model as measured by a running server.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Profile {
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
    /// Recent mean time to decode an image, in microseconds; `None` before the first.
    pub decode_us: Option<f64>,
    /// Images per second that all workers together answer at full width, including decoding.
    pub capacity_at_full_width: f64,
    /// The widths, ascending.
    pub steps: Vec<ProfileStep>,
}

/// A model at one width.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ProfileStep {
    /// The width.
    #[serde(deserialize_with = "crate::models::width")]
    pub width: Width,
    /// The accuracy, if known.
    pub accuracy: Option<f64>,
    /// Batch sizes, and the latency of such a batch in microseconds.
    pub latency_us: Vec<(usize, f64)>,
}

/// Why an answer does not describe a model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProfileError {
    /// Not an anywidth server's profile.
    #[error("not a /profile response: {0}")]
    NotAProfile(String),
    /// No model of this name.
    #[error("/profile has no model {name:?}; it has: {known}")]
    NoSuchModel {
        /// The requested name.
        name: String,
        /// The available names.
        known: String,
    },
}

#[derive(Deserialize)]
struct Answer {
    models: Vec<Profile>,
}

impl Profile {
    /// Finds a model in the body of `/profile`; the first if `name` is `None`.
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

    /// Latency of a batch at a width in microseconds, without decoding; `None` if not measured.
    pub fn latency_us(&self, width: Width, batch: usize) -> Option<f64> {
        let step = self.steps.iter().find(|step| step.width == width)?;
        step.latency_us.iter().find(|point| point.0 == batch).map(|point| point.1)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two models; the second has no accuracies and no decoding time.
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
        assert!(message(b"hello").starts_with("not a /profile response: "));
    }
}
