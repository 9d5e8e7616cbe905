//! Looks at the server's queue from time to time.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use hyper::{Method, Uri};
use tokio::task::JoinSet;

use super::stage::Stage;
use crate::client::Client;
use crate::metrics::{QUEUE_LENGTH, value};
use crate::results::Sample;

/// Looks at the server, on a connection of its own.
pub(super) struct Looks {
    client: Rc<Client>,
    stage: Rc<Stage>,
}

/// A page of metrics is never larger.
const MOST_METRICS_BYTES: usize = 16 << 20;

impl Looks {
    pub(super) fn new(stage: Rc<Stage>) -> Looks {
        Looks { client: Rc::new(Client::new(&stage.settings.target)), stage }
    }

    /// Begins one, unless the last is still under way.
    pub(super) fn begin(&self, outstanding: usize, looks: &mut JoinSet<Sample>) {
        if looks.is_empty() {
            let (client, stage) = (self.client.clone(), self.stage.clone());
            looks.spawn_local(async move {
                let at_s = (stage.start.elapsed().as_secs_f64() * 1e3).round() / 1e3;
                let queue_length = if stage.settings.ask_queue { queue_length(&client).await } else { None };
                Sample { at_s, queue_length, outstanding }
            });
        }
    }
}

async fn queue_length(client: &Client) -> Option<f64> {
    let (page, at) = (Uri::from_static("/metrics"), Cell::new(Instant::now()));
    let answer = client.ask(Method::GET, page, Bytes::new(), MOST_METRICS_BYTES, &at).await.ok()?;
    value(std::str::from_utf8(&answer.body).ok()?, QUEUE_LENGTH)
}
