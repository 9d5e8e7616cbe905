//! Workers that a test holds still, or makes fail.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use anywidth::repository::ServedModel;
use anywidth::scheduler::{Batch, EngineWorker, Execute};

/// A body that makes a [`Fragile`] worker panic.
pub const FAIL: &[u8] = b"please fail";

/// Panics at the body [`FAIL`].
pub struct Fragile(pub EngineWorker);

impl Execute for Fragile {
    fn warm_up(&mut self, models: &[Arc<ServedModel>]) {
        self.0.warm_up(models);
    }

    fn execute(&mut self, batch: Batch) {
        assert!(batch.jobs.iter().all(|queued| queued.job.image != FAIL), "asked to fail");
        self.0.execute(batch);
    }
}

/// The test's side of [`Gated`] workers: each word sent lets one step pass.
pub struct Gate {
    pub open: Sender<()>,
    /// Tells when a worker stands before the gate.
    pub arrived: Receiver<Step>,
}

/// What a worker is about to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    WarmUp,
    /// So many images together.
    Batch(usize),
}

/// Waits for a word before warming up and before every batch.
pub struct Gated {
    inner: EngineWorker,
    gate: Arc<Mutex<Receiver<()>>>,
    arrived: Sender<Step>,
}

impl Gated {
    /// A gate, and what puts it before a worker.
    pub fn behind_gate() -> (Gate, impl Fn(EngineWorker) -> Box<dyn Execute> + Send + Sync + 'static) {
        let ((open, gate), (here, arrived)) = (mpsc::channel(), mpsc::channel());
        let gate = Arc::new(Mutex::new(gate));
        let wrap =
            move |inner| Box::new(Gated { inner, gate: gate.clone(), arrived: here.clone() }) as Box<dyn Execute>;
        (Gate { open, arrived }, wrap)
    }

    fn pass(&self, step: Step) {
        // Once the test is over, both ends are gone and nothing is held back.
        let _ = self.arrived.send(step);
        let _ = self.gate.lock().unwrap_or_else(PoisonError::into_inner).recv();
    }
}

impl Execute for Gated {
    fn warm_up(&mut self, models: &[Arc<ServedModel>]) {
        self.pass(Step::WarmUp);
        self.inner.warm_up(models);
    }

    fn execute(&mut self, batch: Batch) {
        self.pass(Step::Batch(batch.jobs.len()));
        self.inner.execute(batch);
    }
}
