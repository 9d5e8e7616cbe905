//! Workers that a test holds still, or makes fail.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use anywidth::image::ImageError;
use anywidth::policy::{BatchReport, ExitRule};
use anywidth::repository::ServedModel;
use anywidth::scheduler::{EngineWorker, Executor, Input, RunningJob};
use bytes::Bytes;

/// A body that makes a [`Fragile`] worker panic while it runs the batch.
pub const FAIL: &[u8] = b"please fail";
/// A body that makes a [`Fragile`] worker panic while it decodes.
pub const FAIL_AT_ONCE: &[u8] = b"please fail at once";

/// Panics at the bodies [`FAIL`] and [`FAIL_AT_ONCE`].
pub struct Fragile(pub EngineWorker);

impl Executor for Fragile {
    fn warm_up(&mut self, models: &[Arc<ServedModel>]) {
        self.0.warm_up(models);
    }

    fn decode(&mut self, model: &ServedModel, image: &[u8]) -> Result<Vec<u8>, ImageError> {
        assert!(image != FAIL_AT_ONCE, "asked to fail at once");
        if image == FAIL { Ok(vec![]) } else { self.0.decode(model, image) }
    }

    fn run(&mut self, model: &Arc<ServedModel>, jobs: Vec<RunningJob>, rule: Option<&ExitRule>) -> BatchReport {
        assert!(jobs.iter().all(|running| running.job.payload.input != Input::Pixels(Bytes::new())), "asked to fail");
        self.0.run(model, jobs, rule)
    }
}

/// The test's side of [`Gated`] workers: each word sent lets one step pass.
pub struct Gate {
    pub open: Sender<()>,
    /// Tells when a worker stands before the gate.
    pub arrived: Receiver<GateStep>,
}

/// What a worker is about to do.
#[derive(Debug, PartialEq, Eq)]
pub enum GateStep {
    WarmUp,
    /// So many images together.
    Batch(usize),
}

/// Waits for a word before warming up and before every batch; decodes at any time.
pub struct Gated {
    inner: EngineWorker,
    gate: Arc<Mutex<Receiver<()>>>,
    arrived: Sender<GateStep>,
}

impl Gated {
    /// A gate, and what puts it before a worker.
    pub fn behind_gate() -> (Gate, impl Fn(EngineWorker) -> Box<dyn Executor> + Send + Sync + 'static) {
        let ((open, gate), (here, arrived)) = (mpsc::channel(), mpsc::channel());
        let gate = Arc::new(Mutex::new(gate));
        let wrap =
            move |inner| Box::new(Gated { inner, gate: gate.clone(), arrived: here.clone() }) as Box<dyn Executor>;
        (Gate { open, arrived }, wrap)
    }

    fn pass(&self, step: GateStep) {
        // Once the test is over, both ends are gone and nothing is held back.
        let _ = self.arrived.send(step);
        let _ = self.gate.lock().unwrap_or_else(PoisonError::into_inner).recv();
    }
}

impl Executor for Gated {
    fn warm_up(&mut self, models: &[Arc<ServedModel>]) {
        self.pass(GateStep::WarmUp);
        self.inner.warm_up(models);
    }

    fn decode(&mut self, model: &ServedModel, image: &[u8]) -> Result<Vec<u8>, ImageError> {
        self.inner.decode(model, image)
    }

    fn run(&mut self, model: &Arc<ServedModel>, jobs: Vec<RunningJob>, rule: Option<&ExitRule>) -> BatchReport {
        self.pass(GateStep::Batch(jobs.len()));
        self.inner.run(model, jobs, rule)
    }
}
