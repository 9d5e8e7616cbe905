//! Executes a plan: sends each request when it is due, independent of earlier ones, and records the outcomes.
//!
//! One asynchronous thread sends and receives; a second thread ([`pace`](crate::pace)) keeps time.

mod sampler;
mod stage;

use std::io;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use hyper::header::HeaderMap;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval_at};

use sampler::Sampler;
use stage::Stage;

use crate::client::Client;
use crate::images::Image;
use crate::pace::pace;
use crate::record::{Attempt, Record, Recorder};
use crate::results::{Counts, Sample};
use crate::target::Target;
use crate::workload::{Planned, RequestKind};

/// The inputs of a run other than its plan.
#[derive(Debug)]
pub struct RunSettings {
    /// The server.
    pub target: Target,
    /// Kinds of requests; a plan refers to them by index.
    pub kinds: Vec<RequestKind>,
    /// Headers of every request.
    pub headers: HeaderMap,
    /// Request bodies; a plan refers to them by index.
    pub images: Vec<Image>,
    /// Maximum number of outstanding requests; requests due beyond it are not sent.
    pub max_outstanding: usize,
    /// Maximum time to wait for an answer.
    pub timeout: Duration,
    /// Sampling interval.
    pub sample_every: Duration,
    /// Whether samples include the server's queue length.
    pub ask_queue: bool,
}

/// Progress of a run.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Counts by outcome so far.
    pub counts: Counts,
    /// Number of outstanding requests.
    pub outstanding: usize,
}

/// A finished run.
#[derive(Debug)]
pub struct FinishedRun {
    /// The recorded requests.
    pub recorder: Recorder,
    /// The samples.
    pub samples: Vec<Sample>,
    /// Whether the run was stopped early.
    pub interrupted: bool,
    /// From the start to the last answer.
    pub duration: Duration,
}

/// Delay before the start of the plan, for starting the thread.
const LEAD: Duration = Duration::from_millis(10);
/// Maximum number of due requests waiting to be sent before their thread blocks, which then shows as lateness.
const MAX_DUE: usize = 1 << 16;

/// Executes a plan and waits for the last answer; must be called in a `LocalRuntime`.
///
/// A message in `stops` ends sending; a second one ends waiting for answers.
///
/// # Errors
/// If a thread cannot be started.
pub async fn execute(
    settings: RunSettings,
    plan: impl Iterator<Item = Planned> + Send + 'static,
    recorder: Recorder,
    stops: mpsc::Receiver<()>,
    progress: impl FnMut(Progress),
) -> io::Result<FinishedRun> {
    let start = Instant::now() + LEAD;
    let (due, planned) = mpsc::channel(MAX_DUE);
    let pacer = thread::Builder::new().name("pacer".to_owned()).spawn(move || pace(start, plan, &due))?;
    let (cut, is_cut) = watch::channel(false);
    let stage = Rc::new(Stage {
        start,
        client: Client::with_headers(&settings.target, settings.headers.clone()),
        settings,
        is_cut,
    });
    let sampler = Sampler::new(stage.clone());
    let finished_run = Running { stage, sampler, recorder, cut, progress }.until_over(planned, stops).await;
    // The pacer has ended: its receiver is closed or its plan is complete.
    pacer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    Ok(finished_run)
}

struct Running<P> {
    stage: Rc<Stage>,
    sampler: Sampler,
    recorder: Recorder,
    cut: watch::Sender<bool>,
    progress: P,
}

impl<P: FnMut(Progress)> Running<P> {
    async fn until_over(mut self, mut planned: mpsc::Receiver<Planned>, mut stops: mpsc::Receiver<()>) -> FinishedRun {
        let (mut requests, mut sampling) = (JoinSet::new(), JoinSet::new());
        let (mut samples, mut interrupted, mut more) = (Vec::new(), false, true);
        let mut tick = interval_at(self.stage.start.into(), self.stage.settings.sample_every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while more || !requests.is_empty() {
            tokio::select! {
                next = planned.recv(), if more => match next {
                    Some(planned) => self.send(planned, &mut requests),
                    None => more = false,
                },
                Some(ended) = requests.join_next() => self.recorder.add(finished(ended)),
                Some(seen) = sampling.join_next() => samples.push(finished(seen)),
                _ = tick.tick() => {
                    self.tell(requests.len());
                    self.sampler.begin(requests.len(), &mut sampling);
                }
                Some(()) = stops.recv() => {
                    let was_interrupted = std::mem::replace(&mut interrupted, true);
                    planned.close();
                    self.cut.send_replace(was_interrupted);
                }
            }
        }
        self.tell(0);
        let duration = self.stage.start.elapsed();
        FinishedRun { recorder: self.recorder, samples, interrupted, duration }
    }

    fn send(&mut self, planned: Planned, requests: &mut JoinSet<Record>) {
        // Finished requests are not outstanding.
        while let Some(ended) = requests.try_join_next() {
            self.recorder.add(finished(ended));
        }
        match requests.len() < self.stage.settings.max_outstanding {
            true => drop(requests.spawn_local(self.stage.clone().request(planned))),
            false => self.recorder.add(Record { at: planned.at, attempt: Attempt::NotSent }),
        }
    }

    fn tell(&mut self, outstanding: usize) {
        (self.progress)(Progress { counts: self.recorder.counts(), outstanding });
    }
}

/// A task's result; propagates its panic.
fn finished<T>(ended: Result<T, JoinError>) -> T {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
