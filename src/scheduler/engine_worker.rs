//! The worker that decodes images and runs the engine.

use std::sync::Arc;
use std::time::Instant;

use super::{Answer, Batch, Execute, QueuedJob, Timing, predict};
use crate::engine::{Model, Pass, Width};
use crate::picture::{Limits, Picture};
use crate::repository::ServedModel;
use crate::telemetry::{Metrics, observe};

/// Buffers for every model that it has run, reused from batch to batch.
pub struct EngineWorker {
    passes: Vec<Pass>,
    max_batch: usize,
    limits: Limits,
    metrics: Arc<Metrics>,
}

impl EngineWorker {
    /// A worker for batches of up to `max_batch` images, each within `limits`.
    pub fn new(max_batch: usize, limits: Limits, metrics: Arc<Metrics>) -> EngineWorker {
        EngineWorker { passes: Vec::new(), max_batch, limits, metrics }
    }
}

impl Execute for EngineWorker {
    fn warm_up(&mut self, models: &[Arc<ServedModel>]) {
        for served in models {
            let blank = vec![0.0; served.frame.len()];
            let pass = pass_of(&mut self.passes, &served.model, self.max_batch);
            for _ in 0..self.max_batch {
                pass.push(&blank);
            }
            pass.widen(&vec![Width::FULL; self.max_batch]);
        }
    }

    fn execute(&mut self, batch: Batch) {
        let taken_at = Instant::now();
        let served = batch.model;
        let pass = pass_of(&mut self.passes, &served.model, self.max_batch);
        let mut jobs: Vec<QueuedJob> = Vec::with_capacity(batch.jobs.len());
        for queued in batch.jobs {
            if queued.is_abandoned() {
                drop(queued);
                self.metrics.jobs_abandoned.inc();
                continue;
            }
            match Picture::decode(&queued.job.image, &self.limits) {
                Ok(picture) => {
                    pass.push(&picture.input(&served.frame));
                    jobs.push(queued);
                }
                Err(error) => queued.reply(Err(error.into())),
            }
        }
        if jobs.is_empty() {
            return;
        }
        let decoded_at = Instant::now();
        let widths: Vec<Width> = jobs.iter().map(|queued| queued.job.width).collect();
        pass.widen(&widths);
        let done_at = Instant::now();

        self.metrics.batch_size.with_label_values(&[&served.name]).observe(jobs.len() as f64);
        for (item, queued) in jobs.into_iter().enumerate() {
            let timing = Timing {
                queue: taken_at - queued.queued_at,
                decode: decoded_at - taken_at,
                inference: done_at - decoded_at,
            };
            measure(&self.metrics, &served, queued.job.width, &timing);
            let answer = answer(pass, item, &queued, timing);
            queued.reply(Ok(answer));
        }
    }
}

fn measure(metrics: &Metrics, served: &ServedModel, width: Width, timing: &Timing) {
    let name = served.name.as_str();
    let step = served.model.step(width).to_string();
    observe(&metrics.queue_duration.with_label_values(&[name]), timing.queue);
    observe(&metrics.decode_duration.with_label_values(&[name]), timing.decode);
    observe(&metrics.inference_duration.with_label_values(&[name, step.as_str()]), timing.inference);
}

/// The empty pass of a model, made where there is none yet.
fn pass_of<'a>(passes: &'a mut Vec<Pass>, model: &Arc<Model>, capacity: usize) -> &'a mut Pass {
    let index = passes.iter().position(|pass| Arc::ptr_eq(pass.model(), model)).unwrap_or_else(|| {
        passes.push(Pass::new(model.clone(), capacity));
        passes.len() - 1
    });
    let pass = &mut passes[index];
    pass.clear();
    pass
}

fn answer(pass: &Pass, item: usize, queued: &QueuedJob, timing: Timing) -> Answer {
    let (metadata, top_k) = (pass.model().metadata(), queued.job.top_k);
    let width = pass.width(item).unwrap_or(queued.job.width);
    let at = |(width, logits): (Width, Vec<f32>)| (width, predict(&logits, width, metadata, top_k));
    Answer {
        width,
        predictions: predict(pass.logits(item), width, metadata, top_k),
        profile: queued.job.profile.then(|| pass.profile(item, pass.model().grid()).into_iter().map(at).collect()),
        timing,
    }
}
