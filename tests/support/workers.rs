//! Workers that a test holds still, or makes fail.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use anywidth::image::ImageError;
use anywidth::repository::ServedModel;
use anywidth::scheduler::{Batch, Encoded, EngineWorker, Execute, Ran};

/// A body that makes a [`Fragile`] worker panic while it runs the batch.
pub const FAIL: &[u8] = b"please fail";
/// A body that makes a [`Fragile`] worker panic while it decodes.
pub const FAIL_AT_ONCE: &[u8] = b"please fail at once";

/// Panics at the bodies [`FAIL`] and [`FAIL_AT_ONCE`].
pub struct Fragile(pub EngineWorker);

impl Execute for Fragile {
    fn warm_up(&mut self, models: &[Arc<ServedModel>]) {
        self.0.warm_up(models);
    }

    fn decode(&mut self, encoded: &Encoded) -> Result<Vec<u8>, ImageError> {
        assert!(encoded.image != FAIL_AT_ONCE, "asked to fail at once");
        if encoded.image == FAIL { Ok(vec![]) } else { self.0.decode(encoded) }
    }

    fn run(&mut self, batch: Batch) -> Ran {
        assert!(batch.jobs.iter().all(|job| !job.queued.pixels.is_empty()), "asked to fail");
        self.0.run(batch)
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
    pub fn behind_gate() -> (Gate, impl Fn(EngineWorker) -> Box<dyn Execute> + Send + Sync + 'static) {
        let ((open, gate), (here, arrived)) = (mpsc::channel(), mpsc::channel());
        let gate = Arc::new(Mutex::new(gate));
        let wrap =
            move |inner| Box::new(Gated { inner, gate: gate.clone(), arrived: here.clone() }) as Box<dyn Execute>;
        (Gate { open, arrived }, wrap)
    }

    fn pass(&self, step: GateStep) {
        // Once the test is over, both ends are gone and nothing is held back.
        let _ = self.arrived.send(step);
        let _ = self.gate.lock().unwrap_or_else(PoisonError::into_inner).recv();
    }
}

impl Execute for Gated {
    fn warm_up(&mut self, models: &[Arc<ServedModel>]) {
        self.pass(GateStep::WarmUp);
        self.inner.warm_up(models);
    }

    fn decode(&mut self, encoded: &Encoded) -> Result<Vec<u8>, ImageError> {
        self.inner.decode(encoded)
    }

    fn run(&mut self, batch: Batch) -> Ran {
        self.pass(GateStep::Batch(batch.jobs.len()));
        self.inner.run(batch)
    }
}
