//! Reads `/models`: a model's name and its accuracy by width.

use anywidth::engine::Width;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

/// The accuracy at one width, as stated in the model file.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WidthAccuracy {
    /// The width.
    #[serde(deserialize_with = "width")]
    pub width: Width,
    /// From 0 to 1.
    pub accuracy: f64,
}

/// The accuracy of one model by width, narrowest first; empty if unknown.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Accuracy(Vec<WidthAccuracy>);

/// A model of the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The name.
    pub name: String,
    /// The accuracy by width.
    pub accuracy: Accuracy,
}

/// Why a listing does not describe a model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ModelsError {
    /// Not an anywidth server's listing.
    #[error("not a listing of models: {0}")]
    NotAListing(String),
    /// No model of this name.
    #[error("there is no model {name:?}; there are: {known}")]
    NoSuchModel {
        /// The requested name.
        name: String,
        /// The available names.
        known: String,
    },
}

#[derive(Deserialize)]
struct ModelsAnswer {
    default: String,
    models: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    #[serde(default)]
    accuracy: Vec<WidthAccuracy>,
}

impl Accuracy {
    /// Accuracies from measurements in any order.
    pub fn new(mut measured: Vec<WidthAccuracy>) -> Accuracy {
        measured.sort_by_key(|measured| measured.width);
        Accuracy(measured)
    }

    /// Whether no accuracy is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The accuracy at `width`, by linear interpolation between measurements; below the narrowest towards 0 at width 0,
    /// above the widest constant.
    pub fn at(&self, width: Width) -> Option<f64> {
        let above = self.0.partition_point(|measured| measured.width < width);
        let Some(right) = self.0.get(above) else { return self.0.last().map(|widest| widest.accuracy) };
        let left =
            above.checked_sub(1).map_or((0.0, 0.0), |below| (self.0[below].width.as_f64(), self.0[below].accuracy));
        let way = (width.as_f64() - left.0) / (right.width.as_f64() - left.0);
        Some(left.1 + way * (right.accuracy - left.1))
    }
}

impl Model {
    /// Finds a model in the body of `/models`; the default if `name` is `None`.
    ///
    /// # Errors
    /// [`ModelsError`]
    pub fn find(listing: &[u8], name: Option<&str>) -> Result<Model, ModelsError> {
        let ModelsAnswer { default, models } =
            serde_json::from_slice(listing).map_err(|error| ModelsError::NotAListing(error.to_string()))?;
        let name = name.unwrap_or(&default);
        match models.iter().find(|model| model.name == name) {
            Some(model) => Ok(Model { name: name.to_owned(), accuracy: Accuracy::new(model.accuracy.clone()) }),
            None => {
                let known: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
                Err(ModelsError::NoSuchModel { name: name.to_owned(), known: known.join(", ") })
            }
        }
    }
}

/// Deserializes a width as the server and [`Results`](crate::results::Results) write it; the engine only serializes.
pub(crate) fn width<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Width, D::Error> {
    f64::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn width(number: f64) -> Width {
        number.try_into().unwrap()
    }

    const LISTING: &[u8] = br#"{"default":"b","models":[{"name":"a","classes":3},
        {"name":"b","accuracy":[{"width":1,"accuracy":0.75},{"width":0.5,"accuracy":0.5}]}],"rejected":[]}"#;

    #[test]
    fn a_model_is_found_by_its_name_or_as_the_default() {
        let model = Model::find(LISTING, None).unwrap();
        assert_eq!(model.name, "b");
        let at = |number| model.accuracy.at(width(number)).unwrap();
        assert_eq!([at(1.0), at(0.75), at(0.5), at(0.25)], [0.75, 0.625, 0.5, 0.25]);
        let unknown = Model::find(LISTING, Some("a")).unwrap().accuracy;
        assert_eq!(unknown.at(width(0.5)), None);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let message = Model::find(LISTING, Some("c")).unwrap_err().to_string();
        assert_eq!(message, "there is no model \"c\"; there are: a, b");
        assert!(matches!(Model::find(b"hello", None), Err(ModelsError::NotAListing(_))));
    }

    #[test]
    fn a_measurement_at_no_width_is_refused() {
        for number in ["0", "-0.5", "1.00001", "1e-7", "null", "\"wide\""] {
            let text = format!("{{\"width\":{number},\"accuracy\":0.5}}");
            assert!(serde_json::from_str::<WidthAccuracy>(&text).is_err(), "{number}");
        }
    }

    proptest! {
        #[test]
        fn a_width_survives_being_written(millionths in 1u32..=1_000_000) {
            let measured = WidthAccuracy { width: Width::from_millionths(millionths).unwrap(), accuracy: 0.5 };
            let text = serde_json::to_string(&measured).unwrap();
            prop_assert_eq!(serde_json::from_str::<WidthAccuracy>(&text).unwrap(), measured);
        }
    }
}
