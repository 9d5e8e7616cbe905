//! The parts of an answer that are kept: status, width, and the reason or error code.

use std::error::Error;

use anywidth::engine::Width;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::{Response, StatusCode};
use serde::Deserialize;

use super::ClientError;

/// A complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// The header `X-Width`.
    pub width: Option<Width>,
    /// The body.
    pub body: Bytes,
}

/// The reason in a body: `reason` of an answer, `code` of an error.
#[derive(Deserialize)]
struct Reason {
    #[serde(alias = "code")]
    reason: String,
}

/// The classes in the body of an answer, the most probable first.
#[derive(Deserialize)]
struct Predictions {
    predictions: Vec<Prediction>,
}

#[derive(Deserialize)]
struct Prediction {
    label: String,
}

/// Maximum length of a reason that is kept.
const MAX_REASON_CHARS: usize = 40;

impl Answer {
    pub(super) async fn read(response: Response<Incoming>, most_bytes: usize) -> Result<Answer, ClientError> {
        let (parts, body) = response.into_parts();
        let body =
            Limited::new(body, most_bytes).collect().await.map_err(|error| client_error(error.as_ref(), most_bytes))?;
        let width = parts.headers.get("x-width").and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Answer { status: parts.status, width, body: body.to_bytes() })
    }

    /// The label of the most probable class, if the body is JSON and has one.
    pub fn label(&self) -> Option<String> {
        let Predictions { predictions } = serde_json::from_slice(&self.body).ok()?;
        predictions.into_iter().next().map(|first| first.label)
    }

    /// The reason or error code, if the body is JSON and has one.
    pub fn reason(&self) -> Option<String> {
        let Reason { reason } = serde_json::from_slice(&self.body).ok()?;
        Some(reason.chars().filter(|character| !character.is_control()).take(MAX_REASON_CHARS).collect())
    }
}

fn client_error(error: &(dyn Error + 'static), most_bytes: usize) -> ClientError {
    match error.is::<LengthLimitError>() {
        true => ClientError::TooLarge(most_bytes),
        false => ClientError::Ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &'static str) -> Answer {
        Answer { status: StatusCode::OK, width: None, body: Bytes::from_static(body.as_bytes()) }
    }

    fn reason(body: &'static str) -> Option<String> {
        answer(body).reason()
    }

    #[test]
    fn answers_and_errors_say_why() {
        assert_eq!(reason(r#"{"model":"m","width":0.5,"reason":"load","predictions":[{}]}"#).as_deref(), Some("load"));
        assert_eq!(reason(r#"{"error":"too much","code":"queue_full"}"#).as_deref(), Some("queue_full"));
    }

    #[test]
    fn the_label_is_that_of_the_first_class() {
        let label = |body: &'static str| answer(body).label();
        let body = r#"{"predictions":[{"label":"frog","probability":0.5},{"label":"cat","probability":0.1}]}"#;
        assert_eq!(label(body).as_deref(), Some("frog"));
        assert_eq!(label(r#"{"predictions":[]}"#), None);
    }

    #[test]
    fn what_is_something_else_says_nothing() {
        for body in ["", "busy", "{}", r#"{"reason":3}"#, "[1]"] {
            assert_eq!((reason(body), answer(body).label()), (None, None), "{body}");
        }
    }
}
