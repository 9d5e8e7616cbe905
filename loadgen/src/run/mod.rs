//! A run: sends what is planned when it is due, whatever became of what was sent before, and sees what comes back.
//!
//! One asynchronous thread sends and receives; another ([`pace`](crate::pace)) says when.

mod looks;
mod stage;

use std::io;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval_at};

use looks::Looks;
use stage::Stage;

use crate::client::Client;
use crate::pace::pace;
use crate::record::{Fate, Record, Recorder};
use crate::results::{Counts, Sample};
use crate::target::Target;
use crate::workload::{Kind, Planned};

/// What a run needs, besides its plan.
#[derive(Debug)]
pub struct RunSettings {
    /// The server.
    pub target: Target,
    /// What requests may ask for; a plan names them by index.
    pub kinds: Vec<Kind>,
    /// What they may send; a plan names them by index.
    pub images: Vec<Bytes>,
    /// As many requests may be without an answer; those due beyond are not sent.
    pub max_outstanding: usize,
    /// So long an answer is waited for.
    pub timeout: Duration,
    /// From one look at the server to the next.
    pub look_every: Duration,
    /// Ask the server for its queue at each look?
    pub ask_queue: bool,
}

/// What a run tells while it goes on.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// What became of the requests so far.
    pub counts: Counts,
    /// How many are without an answer.
    pub outstanding: usize,
}

/// A run that is over.
#[derive(Debug)]
pub struct Played {
    /// Every request.
    pub recorder: Recorder,
    /// Every look at the server.
    pub samples: Vec<Sample>,
    /// Was it stopped?
    pub interrupted: bool,
    /// From the start to the last answer.
    pub duration: Duration,
}

/// From now to the first moment of the plan: time to start a thread.
const LEAD: Duration = Duration::from_millis(10);
/// As many requests may wait to be sent, once due, before their thread waits too; that shows as lateness.
const MOST_DUE: usize = 1 << 16;

/// Runs a plan to its end and waits for the last answer; must be called in a `LocalRuntime`.
///
/// A message in `stops` ends the plan; a second one ends the waiting, too.
///
/// # Errors
/// When the system gives no thread.
pub async fn play(
    settings: RunSettings,
    plan: impl Iterator<Item = Planned> + Send + 'static,
    recorder: Recorder,
    stops: mpsc::Receiver<()>,
    progress: impl FnMut(Progress),
) -> io::Result<Played> {
    let start = Instant::now() + LEAD;
    let (due, planned) = mpsc::channel(MOST_DUE);
    let pacer = thread::Builder::new().name("pacer".to_owned()).spawn(move || pace(start, plan, &due))?;
    let (cut, is_cut) = watch::channel(false);
    let stage = Rc::new(Stage { start, client: Client::new(&settings.target), settings, is_cut });
    let looks = Looks::new(stage.clone());
    let played = Running { stage, looks, recorder, cut, progress }.until_over(planned, stops).await;
    // Nobody receives any more, or it had no more to send.
    pacer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    Ok(played)
}

struct Running<P> {
    stage: Rc<Stage>,
    looks: Looks,
    recorder: Recorder,
    cut: watch::Sender<bool>,
    progress: P,
}

impl<P: FnMut(Progress)> Running<P> {
    async fn until_over(mut self, mut planned: mpsc::Receiver<Planned>, mut stops: mpsc::Receiver<()>) -> Played {
        let (mut requests, mut looks) = (JoinSet::new(), JoinSet::new());
        let (mut samples, mut interrupted, mut more) = (Vec::new(), false, true);
        let mut tick = interval_at(self.stage.start.into(), self.stage.settings.look_every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while more || !requests.is_empty() {
            tokio::select! {
                next = planned.recv(), if more => match next {
                    Some(planned) => self.send(planned, &mut requests),
                    None => more = false,
                },
                Some(ended) = requests.join_next() => self.recorder.add(finished(ended)),
                Some(seen) = looks.join_next() => samples.push(finished(seen)),
                _ = tick.tick() => {
                    self.tell(requests.len());
                    self.looks.begin(requests.len(), &mut looks);
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
        Played { recorder: self.recorder, samples, interrupted, duration }
    }

    fn send(&mut self, planned: Planned, requests: &mut JoinSet<Record>) {
        // Those that are over are not outstanding.
        while let Some(ended) = requests.try_join_next() {
            self.recorder.add(finished(ended));
        }
        match requests.len() < self.stage.settings.max_outstanding {
            true => drop(requests.spawn_local(self.stage.clone().request(planned))),
            false => self.recorder.add(Record { at: planned.at, fate: Fate::NotSent }),
        }
    }

    fn tell(&mut self, outstanding: usize) {
        (self.progress)(Progress { counts: self.recorder.counts(), outstanding });
    }
}

/// What a task gave; its panic is ours.
fn finished<T>(ended: Result<T, JoinError>) -> T {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
