//! The worker that decodes images and runs the engine.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::audit::{Sample, Samples};
use super::early_exit::EarlyExit;
use super::job::answer_all;
use super::{Answer, Audit, Executor, JobError, RunningJob, Stopped, Timing};
use crate::engine::{Model, Pass, Scores, Width};
use crate::image::{Image, ImageError, ImageLimits};
use crate::policy::{BatchReport, ExitRule, Payload, WidthReason};
use crate::repository::ServedModel;
use crate::telemetry::{Metrics, Miss, observe};

/// One batch at a time, whichever model it is of: all models share its memory.
pub struct EngineWorker {
    /// None before the first batch.
    pass: Option<Pass>,
    max_batch: usize,
    limits: ImageLimits,
    metrics: Arc<Metrics>,
    callers: Handle,
    /// Images that stopped early, to be audited.
    samples: Option<Samples>,
}

impl EngineWorker {
    /// A worker for batches of up to `max_batch` images, each within `limits`, whose answers are awaited in the runtime of
    /// `callers`.
    pub fn new(max_batch: usize, limits: ImageLimits, metrics: Arc<Metrics>, callers: Handle) -> EngineWorker {
        EngineWorker { pass: None, max_batch, limits, metrics, callers, samples: None }
    }

    /// The same worker; it keeps images that stopped early if they may be audited.
    #[must_use]
    pub fn with_audits(mut self, audits: bool) -> EngineWorker {
        self.samples = audits.then(Samples::default);
        self
    }
}

impl Executor for EngineWorker {
    fn warm_up(&mut self, models: &[Arc<ServedModel>]) {
        for served in models {
            let blank = vec![0.0; served.input.len()];
            let pass = restart(&mut self.pass, &served.model, self.max_batch);
            for _ in 0..self.max_batch {
                pass.push(&blank);
            }
            pass.finish(&vec![Width::FULL; self.max_batch]);
        }
    }

    fn decode(&mut self, model: &ServedModel, image: &[u8]) -> Result<Vec<u8>, ImageError> {
        Ok(Image::decode_for(image, &self.limits, &model.input)?.pixels(&model.input))
    }

    fn run(&mut self, served: &Arc<ServedModel>, jobs: Vec<RunningJob>, rule: Option<&ExitRule>) -> BatchReport {
        let (start, mut report) = (Instant::now(), BatchReport::default());
        let pass = restart(&mut self.pass, &served.model, self.max_batch);
        let mut exits: Vec<Option<EarlyExit>> = Vec::with_capacity(jobs.len());
        for running in jobs {
            if running.job.payload.is_abandoned() {
                self.metrics.jobs_abandoned.inc();
                continue;
            }
            pass.push(&running.job.payload.input.values(&served.input));
            exits.push(Some(EarlyExit::new(running, served.model.grid(), rule)));
        }
        if exits.is_empty() {
            return report;
        }
        self.metrics.batch_size.with_label_values(&[&served.name]).observe(exits.len() as f64);
        let all_widths = exits.iter().flatten().any(|exit| exit.running.job.payload.all_widths);
        while exits.iter().any(Option::is_some) {
            // An item that has its answer keeps its width.
            let wanted = |(item, exit): (usize, &Option<EarlyExit>)| match exit {
                Some(exit) => exit.width(),
                None => pass.width(item).unwrap_or(Width::FULL),
            };
            let widths: Vec<Width> = exits.iter().enumerate().map(wanted).collect();
            if exits.iter().flatten().all(EarlyExit::is_last) {
                pass.finish(&widths);
            } else {
                pass.widen(&widths);
            }
            let mut next = next_widths(&mut exits, pass, served, rule);
            if let Some(rule) = rule {
                stop_in_time(&mut exits, &mut next, rule, Instant::now());
            }
            let mut answered = Vec::with_capacity(exits.len());
            for (item, (slot, next)) in exits.iter_mut().zip(next).enumerate() {
                match (slot.as_mut(), next) {
                    (Some(exit), Some(next)) => {
                        exit.widen(next);
                        self.metrics.widenings.with_label_values(&[&served.name]).inc();
                    }
                    (Some(_), None) => {
                        let Some(exit) = slot.take() else { continue };
                        let (answer, late) = conclude(&self.metrics, served, pass, item, &exit, start);
                        *(if late { &mut report.late } else { &mut report.on_time }) += 1;
                        let (width, reason, job) = (exit.width(), exit.reason(), exit.running.job);
                        if let (Some(samples), WidthReason::Gain, Ok(answer)) = (&mut self.samples, reason, &answer)
                            && let Some(best) = answer.scores.best()
                        {
                            let stopped = Stopped { width, probability: best.probability, class: best.index };
                            // A copy, which does not hold the memory of the request.
                            let input = job.payload.input.clone().with_bytes(|bytes| Bytes::copy_from_slice(&bytes));
                            samples.push(Sample { model: Arc::downgrade(served), input, stopped });
                        }
                        answered.push((job, answer));
                    }
                    (None, _) => {}
                }
            }
            answer_all(answered, &self.callers);
        }
        // Answers for all widths are work that no plan knows: such a batch says nothing about the profile.
        if !all_widths {
            report.widths = (0..pass.len()).filter_map(|item| pass.width(item)).collect();
        }
        report
    }

    fn audit(&mut self) -> Option<Audit> {
        let Sample { model, input, stopped } = self.samples.as_mut()?.pop()?;
        let model = model.upgrade()?;
        let pass = restart(&mut self.pass, &model.model, self.max_batch);
        pass.push(&input.values(&model.input));
        pass.widen(&[Width::FULL]);
        let scores = Scores::new(pass.logits(0), Width::FULL, model.model.metadata());
        let agrees = scores.best().is_some_and(|best| best.index == stopped.class);
        Some(Audit { model, stopped, agrees })
    }
}

/// The width to run each open item at next; `None` if it stops.
fn next_widths(
    exits: &mut [Option<EarlyExit>],
    pass: &Pass,
    served: &ServedModel,
    rule: Option<&ExitRule>,
) -> Vec<Option<Width>> {
    let next = |(item, exit): (usize, &mut Option<EarlyExit>)| {
        exit.as_mut()?.next(pass.logits(item), served.model.metadata(), rule)
    };
    exits.iter_mut().enumerate().map(next).collect()
}

/// Stops the items that would be late if all others are widened first: they have an answer already. The earliest deadline is
/// first.
fn stop_in_time(exits: &mut [Option<EarlyExit>], next: &mut [Option<Width>], rule: &ExitRule, now: Instant) {
    let time = |exit: &EarlyExit, next: Width| rule.time(exit.width(), next);
    let mut end = now;
    for (exit, next) in exits.iter().zip(next.iter()) {
        if let (Some(exit), Some(next)) = (exit, next) {
            end += time(exit, *next);
        }
    }
    for (exit, next) in exits.iter_mut().zip(next.iter_mut()) {
        if let (Some(exit), Some(width)) = (exit, *next)
            && end > exit.running.job.constraints.deadline
        {
            end -= time(exit, width);
            exit.stop_in_time();
            *next = None;
        }
    }
}

/// An item's answer, and whether it is late; counts both.
fn conclude(
    metrics: &Metrics,
    served: &ServedModel,
    pass: &Pass,
    item: usize,
    exit: &EarlyExit,
    start: Instant,
) -> (Result<Answer, JobError>, bool) {
    let (job, inference) = (&exit.running.job, start.elapsed());
    let queue = start.saturating_duration_since(job.queued_at).saturating_sub(job.decoding);
    let timing = Timing { queue, decode: job.decoding, inference };
    measure(metrics, served, exit, &timing);
    let late = start + inference > job.constraints.deadline;
    if late {
        metrics.deadline_missed(&served.name, Miss::Late);
    }
    let answer = answer(pass, item, exit, timing, late);
    if let Ok(Answer { scores, .. }) = &answer
        && let Some(best) = scores.best()
        && let Some(accuracy) = served.model.metadata().expected_accuracy(exit.width(), best.probability)
    {
        metrics.expected_correct.with_label_values(&[&served.name]).inc_by(accuracy);
    }
    (answer, late)
}

fn measure(metrics: &Metrics, served: &ServedModel, exit: &EarlyExit, timing: &Timing) {
    let name = served.name.as_str();
    observe(&metrics.queue_duration.with_label_values(&[name]), timing.queue);
    metrics.image_ran(name, served.model.step(exit.width()), exit.reason().word(), timing.inference);
}

/// An empty batch of a model.
fn restart<'a>(pass: &'a mut Option<Pass>, model: &Arc<Model>, capacity: usize) -> &'a mut Pass {
    let pass = pass.get_or_insert_with(|| Pass::new(model.clone(), capacity));
    pass.restart(model);
    pass
}

fn answer(pass: &Pass, item: usize, exit: &EarlyExit, timing: Timing, late: bool) -> Result<Answer, JobError> {
    let (metadata, request) = (pass.model().metadata(), &exit.running.job.payload);
    let at = |width: Width, logits: &[f32]| match logits.iter().all(|score| score.is_finite()) {
        true => Ok(Scores::new(logits, width, metadata)),
        false => Err(JobError::NonFinite),
    };
    let scores = at(exit.width(), pass.logits(item))?;
    let steps = || {
        let steps = pass.logits_by_width(item, pass.model().grid()).into_iter();
        steps.map(|(width, logits)| Ok((width, at(width, &logits)?))).collect::<Result<Vec<_>, JobError>>()
    };
    let all_widths = request.all_widths.then(steps).transpose()?;
    Ok(Answer { width: exit.width(), reason: exit.reason(), late, scores, all_widths, timing })
}
