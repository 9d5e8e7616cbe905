//! The worker that decodes images and runs the engine.

use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;

use super::climb::Climb;
use super::job::answer_all;
use super::{Answer, Batch, Encoded, Execute, JobError, Ran, Timing, predict};
use crate::engine::{Model, Pass, Width};
use crate::image::{Image, ImageError, ImageLimits};
use crate::repository::ServedModel;
use crate::telemetry::{Metrics, observe};

/// Buffers for every model that it has run, reused from batch to batch.
pub struct EngineWorker {
    passes: Vec<Pass>,
    max_batch: usize,
    limits: ImageLimits,
    metrics: Arc<Metrics>,
    callers: Handle,
}

impl EngineWorker {
    /// A worker for batches of up to `max_batch` images, each within `limits`, whose answers are awaited in the runtime of
    /// `callers`.
    pub fn new(max_batch: usize, limits: ImageLimits, metrics: Arc<Metrics>, callers: Handle) -> EngineWorker {
        EngineWorker { passes: Vec::new(), max_batch, limits, metrics, callers }
    }
}

impl Execute for EngineWorker {
    fn warm_up(&mut self, models: &[Arc<ServedModel>]) {
        for served in models {
            let blank = vec![0.0; served.input.len()];
            let pass = pass_of(&mut self.passes, &served.model, self.max_batch);
            for _ in 0..self.max_batch {
                pass.push(&blank);
            }
            pass.widen(&vec![Width::FULL; self.max_batch]);
        }
    }

    fn decode(&mut self, picture: &Encoded) -> Result<Vec<u8>, ImageError> {
        let input = &picture.model.input;
        Ok(Image::decode_for(&picture.image, &self.limits, input)?.pixels(input))
    }

    fn run(&mut self, batch: Batch) -> Ran {
        let (began, mut ran) = (Instant::now(), Ran::default());
        let Batch { model: served, jobs } = batch;
        let pass = pass_of(&mut self.passes, &served.model, self.max_batch);
        let mut climbs: Vec<Option<Climb>> = Vec::with_capacity(jobs.len());
        for job in jobs {
            if job.queued.is_abandoned() {
                self.metrics.jobs_abandoned.inc();
                continue;
            }
            pass.push(&served.input.values(&job.queued.pixels));
            climbs.push(Some(Climb::new(job, served.model.grid())));
        }
        if climbs.is_empty() {
            return ran;
        }
        self.metrics.batch_size.with_label_values(&[&served.name]).observe(climbs.len() as f64);
        let all_widths = climbs.iter().flatten().any(|climb| climb.job.queued.job.all_widths);
        while climbs.iter().any(Option::is_some) {
            // Who has the answer already is as wide as it will be.
            let wanted = |(item, climb): (usize, &mut Option<Climb>)| match climb {
                Some(climb) => climb.step(),
                None => pass.width(item).unwrap_or(Width::FULL),
            };
            let widths: Vec<Width> = climbs.iter_mut().enumerate().map(wanted).collect();
            pass.widen(&widths);
            let mut answered = Vec::with_capacity(climbs.len());
            for (item, slot) in climbs.iter_mut().enumerate() {
                if let Some(climb) = slot.take_if(|climb| climb.is_over(pass.logits(item), served.model.metadata())) {
                    let (answer, late) = conclude(&self.metrics, &served, pass, item, &climb, began);
                    *(if late { &mut ran.late } else { &mut ran.in_time }) += 1;
                    answered.push((climb.job.queued, answer));
                }
            }
            answer_all(answered, &self.callers);
        }
        // The answers at all widths are work that no plan knows: such a batch says nothing of what the widths take.
        if !all_widths {
            ran.widths = (0..pass.len()).filter_map(|item| pass.width(item)).collect();
        }
        ran
    }
}

/// An item's answer, which is counted, and whether it is late.
fn conclude(
    metrics: &Metrics,
    served: &ServedModel,
    pass: &Pass,
    item: usize,
    climb: &Climb,
    began: Instant,
) -> (Result<Answer, JobError>, bool) {
    let (queued, inference) = (&climb.job.queued, began.elapsed());
    let queue = (began - queued.queued_at).saturating_sub(queued.decoding);
    let timing = Timing { queue, decode: queued.decoding, inference };
    measure(metrics, served, climb.width(), &timing);
    let late = began + inference > queued.demand.deadline;
    if late {
        metrics.deadline_misses.with_label_values(&[served.name.as_str(), "late"]).inc();
    }
    (answer(pass, item, climb, timing, late), late)
}

fn measure(metrics: &Metrics, served: &ServedModel, width: Width, timing: &Timing) {
    let name = served.name.as_str();
    let step = served.model.step(width).to_string();
    observe(&metrics.queue_duration.with_label_values(&[name]), timing.queue);
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

fn answer(pass: &Pass, item: usize, climb: &Climb, timing: Timing, late: bool) -> Result<Answer, JobError> {
    let (metadata, job) = (pass.model().metadata(), &climb.job.queued.job);
    let at = |width: Width, logits: &[f32]| match logits.iter().all(|score| score.is_finite()) {
        true => Ok(predict(logits, width, metadata, job.top_k)),
        false => Err(JobError::NonFinite),
    };
    let predictions = at(climb.width(), pass.logits(item))?;
    let steps = || {
        let steps = pass.logits_by_width(item, pass.model().grid()).into_iter();
        steps.map(|(width, logits)| Ok((width, at(width, &logits)?))).collect::<Result<Vec<_>, JobError>>()
    };
    let all_widths = job.all_widths.then(steps).transpose()?;
    Ok(Answer { width: climb.width(), reason: climb.reason(), late, predictions, all_widths, timing })
}
