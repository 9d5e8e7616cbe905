//! One request, from its due time to its outcome.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use hyper::{Method, StatusCode};
use tokio::sync::watch;
use tokio::time::timeout;

use super::RunSettings;
use crate::client::{Answer, Client, ClientError};
use crate::record::{Attempt, Outcome, Record};
use crate::workload::{Planned, RequestKind};

/// Shared state of all requests.
pub(super) struct Stage {
    pub(super) start: Instant,
    pub(super) client: Client,
    pub(super) settings: RunSettings,
    /// True once the run no longer waits for answers.
    pub(super) is_cut: watch::Receiver<bool>,
}

/// Maximum size of an answer.
const MAX_ANSWER_BYTES: usize = 1 << 20;

impl Stage {
    /// Sends a request and waits for its outcome.
    pub(super) async fn request(self: Rc<Stage>, planned: Planned) -> Record {
        let RunSettings { kinds, images, timeout: longest, .. } = &self.settings;
        let (kind, image) = (&kinds[planned.kind], &images[planned.image]);
        let due = self.start + planned.at;
        let sent_at = Cell::new(Instant::now());
        let ask = self.client.ask(Method::POST, kind.uri.clone(), image.bytes.clone(), MAX_ANSWER_BYTES, &sent_at);
        let mut is_cut = self.is_cut.clone();
        let outcome = tokio::select! {
            answer = timeout(*longest, ask) => match answer {
                Ok(answer) => outcome(answer, kind, image.label.as_deref()),
                Err(_) => Outcome::Failed(format!("no answer within {longest:?}")),
            },
            _ = is_cut.wait_for(|&is_cut| is_cut) => Outcome::Failed("not waited for".to_owned()),
        };
        let (latency, lateness) = (due.elapsed(), sent_at.get().saturating_duration_since(due));
        Record { at: planned.at, attempt: Attempt::Sent { lateness, latency, deadline: kind.deadline, outcome } }
    }
}

fn outcome(answer: Result<Answer, ClientError>, kind: &RequestKind, label: Option<&str>) -> Outcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(broken) => return Outcome::Failed(broken.to_string()),
    };
    let status = answer.status;
    if status.is_success() {
        // A folder cannot have a slash in its name.
        let correct = label.map(|label| answer.label().is_some_and(|first| first.replace('/', "_") == label));
        return Outcome::Answered { width: answer.width.or(kind.width), reason: answer.reason(), correct };
    }
    let reason =
        answer.reason().map_or_else(|| status.as_u16().to_string(), |reason| format!("{} {reason}", status.as_u16()));
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Outcome::Refused(reason)
        }
        _ => Outcome::Failed(reason),
    }
}
