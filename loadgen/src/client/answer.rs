//! What is read of an answer: its status, its width, and the word that says why.

use std::error::Error;

use anywidth::engine::Width;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::{Response, StatusCode};
use serde::Deserialize;

use super::Broken;

/// An answer, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status code.
    pub status: StatusCode,
    /// What the header `X-Width` says.
    pub width: Option<Width>,
    /// Its body.
    pub body: Bytes,
}

/// Of a body, the word that says why: `reason` of an answer, `code` of an error.
#[derive(Deserialize)]
struct Why {
    #[serde(alias = "code")]
    reason: String,
}

/// The longest word that is kept.
const LONGEST_WHY: usize = 40;

impl Answer {
    pub(super) async fn read(response: Response<Incoming>, most_bytes: usize) -> Result<Answer, Broken> {
        let (parts, body) = response.into_parts();
        let body =
            Limited::new(body, most_bytes).collect().await.map_err(|error| broken(error.as_ref(), most_bytes))?;
        let width = parts.headers.get("x-width").and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Answer { status: parts.status, width, body: body.to_bytes() })
    }

    /// The word that says why, if the body is JSON and has one.
    pub fn why(&self) -> Option<String> {
        let Why { reason } = serde_json::from_slice(&self.body).ok()?;
        Some(reason.chars().filter(|character| !character.is_control()).take(LONGEST_WHY).collect())
    }
}

fn broken(error: &(dyn Error + 'static), most_bytes: usize) -> Broken {
    match error.is::<LengthLimitError>() {
        true => Broken::TooLarge(most_bytes),
        false => Broken::Ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(body: &'static str) -> Option<String> {
        Answer { status: StatusCode::OK, width: None, body: Bytes::from_static(body.as_bytes()) }.why()
    }

    #[test]
    fn answers_and_errors_say_why() {
        assert_eq!(why(r#"{"model":"m","width":0.5,"reason":"load","predictions":[{}]}"#).as_deref(), Some("load"));
        assert_eq!(why(r#"{"error":"too much","code":"queue_full"}"#).as_deref(), Some("queue_full"));
    }

    #[test]
    fn what_is_something_else_says_nothing() {
        for body in ["", "busy", "{}", r#"{"reason":3}"#, "[1]"] {
            assert_eq!(why(body), None, "{body}");
        }
    }
}
