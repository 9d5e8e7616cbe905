//! One request, from the moment when it is due to what becomes of it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use hyper::{Method, StatusCode};
use tokio::sync::watch;
use tokio::time::timeout;

use super::RunSettings;
use crate::client::{Answer, Broken, Client};
use crate::record::{Fate, Outcome, Record};
use crate::workload::{Kind, Planned};

/// What every request needs.
pub(super) struct Stage {
    pub(super) start: Instant,
    pub(super) client: Client,
    pub(super) settings: RunSettings,
    /// True once nobody waits for answers any more.
    pub(super) is_cut: watch::Receiver<bool>,
}

/// An answer is never larger.
const MOST_ANSWER_BYTES: usize = 1 << 20;

impl Stage {
    /// Sends a request and waits for what becomes of it.
    pub(super) async fn request(self: Rc<Stage>, planned: Planned) -> Record {
        let RunSettings { kinds, images, timeout: longest, .. } = &self.settings;
        let (kind, image) = (&kinds[planned.kind], &images[planned.image]);
        let due = self.start + planned.at;
        let sent_at = Cell::new(Instant::now());
        let ask = self.client.ask(Method::POST, kind.uri.clone(), image.clone(), MOST_ANSWER_BYTES, &sent_at);
        let mut is_cut = self.is_cut.clone();
        let outcome = tokio::select! {
            answer = timeout(*longest, ask) => match answer {
                Ok(answer) => outcome(answer, kind),
                Err(_) => Outcome::Failed(format!("no answer within {longest:?}")),
            },
            _ = is_cut.wait_for(|&is_cut| is_cut) => Outcome::Failed("not waited for".to_owned()),
        };
        let (latency, lateness) = (due.elapsed(), sent_at.get().saturating_duration_since(due));
        Record { at: planned.at, fate: Fate::Sent { lateness, latency, deadline: kind.deadline, outcome } }
    }
}

fn outcome(answer: Result<Answer, Broken>, kind: &Kind) -> Outcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(broken) => return Outcome::Failed(broken.to_string()),
    };
    let status = answer.status;
    if status.is_success() {
        return Outcome::Answered { width: answer.width.or(kind.width), reason: answer.why() };
    }
    let why = answer.why().map_or_else(|| status.as_u16().to_string(), |why| format!("{} {why}", status.as_u16()));
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Outcome::Refused(why)
        }
        _ => Outcome::Failed(why),
    }
}
