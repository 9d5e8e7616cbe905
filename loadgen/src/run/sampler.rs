//! Samples the server's queue length periodically.

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

/// Samples the server on a separate connection.
pub(super) struct Sampler {
    client: Rc<Client>,
    stage: Rc<Stage>,
}

/// Maximum size of a `/metrics` response.
const MAX_METRICS_BYTES: usize = 16 << 20;

impl Sampler {
    pub(super) fn new(stage: Rc<Stage>) -> Sampler {
        Sampler { client: Rc::new(Client::new(&stage.settings.target)), stage }
    }

    /// Starts a sample, unless the previous one is still in progress.
    pub(super) fn begin(&self, outstanding: usize, sampling: &mut JoinSet<Sample>) {
        if sampling.is_empty() {
            let (client, stage) = (self.client.clone(), self.stage.clone());
            sampling.spawn_local(async move {
                let at_s = (stage.start.elapsed().as_secs_f64() * 1e3).round() / 1e3;
                let queue_length = if stage.settings.ask_queue { queue_length(&client).await } else { None };
                Sample { at_s, queue_length, outstanding }
            });
        }
    }
}

async fn queue_length(client: &Client) -> Option<f64> {
    let (page, at) = (Uri::from_static("/metrics"), Cell::new(Instant::now()));
    let answer = client.ask(Method::GET, page, Bytes::new(), MAX_METRICS_BYTES, &at).await.ok()?;
    value(std::str::from_utf8(&answer.body).ok()?, QUEUE_LENGTH)
}
