//! What the baselines share: slack, shedding, the decode stage, and batches of one width.

use std::time::Duration;

use super::super::{
    Assignment, CeilingReason, DeadlineKind, JobConstraints, Plan, Profile, QueueView, Stage, WidthReason, Widths,
};
use crate::engine::Width;

/// What a published policy lacks beside widest fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Hardening {
    /// As published.
    None,
    /// Leaves this share of each slack unused, and sheds jobs that cannot be met any more.
    Margin(f64),
}

/// What a baseline consists of beside its choice of width and batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Base {
    pub(super) max_batch: usize,
    pub(super) hardening: Hardening,
}

/// The most urgent jobs as a baseline sees them: at most a batch of one model's decoded jobs, without those that are shed.
pub(super) struct Candidates<'a> {
    view: QueueView<'a>,
    hardening: Hardening,
    /// Indices of the jobs that can still be met, earliest deadline first.
    ready: Vec<usize>,
    shed: Vec<usize>,
}

impl Base {
    /// Decodes the images of the next batch, or runs the batch and width that `choose` names. `narrowest` is the narrowest width
    /// of a profile at which the policy would run a job.
    pub(super) fn plan(
        self,
        view: QueueView<'_>,
        narrowest: impl Fn(&Profile) -> Width,
        choose: impl FnOnce(&Candidates<'_>) -> (usize, Width),
    ) -> Plan {
        match Candidates::find(view, self, narrowest) {
            Ok(candidates) => {
                let (batch, width) = choose(&candidates);
                candidates.run(batch, width)
            }
            Err(plan) => plan,
        }
    }
}

impl Hardening {
    /// The slack of a job that a policy plans with.
    fn slack(self, job: &JobConstraints, view: QueueView<'_>) -> Duration {
        let slack = job.deadline.saturating_duration_since(view.now);
        match self {
            Hardening::None => slack,
            Hardening::Margin(share) => slack.mul_f64(1.0 - share),
        }
    }

    /// Whether a job is to be shed that cannot be answered in time at `width`.
    fn sheds(self, job: &JobConstraints, width: Width, view: QueueView<'_>) -> bool {
        let (slack, profile) = (job.deadline.saturating_duration_since(view.now), &view.profiles[job.model]);
        let may = self != Hardening::None && job.deadline_kind == DeadlineKind::Firm;
        may && slack < profile.latency(job.widths.at(width, profile), 1)
    }
}

impl<'a> Candidates<'a> {
    /// The jobs to choose from, or the plan that follows if none can run now.
    fn find(view: QueueView<'a>, base: Base, width: impl Fn(&Profile) -> Width) -> Result<Candidates<'a>, Plan> {
        let Base { max_batch, hardening } = base;
        let width = |job: &JobConstraints| width(&view.profiles[job.model]);
        let sheds = |job: &JobConstraints| job.stage != Stage::Decoding && hardening.sheds(job, width(job), view);
        let shed: Vec<usize> = (0..view.jobs.len()).filter(|&index| sheds(&view.jobs[index])).collect();
        let waits = |index: &usize| view.jobs[*index].stage != Stage::Decoding && shed.binary_search(index).is_err();
        let next: Vec<usize> = (0..view.jobs.len()).filter(waits).take(max_batch).collect();
        let decoding = |&index: &usize| match view.jobs[index].stage {
            Stage::Encoded { takes } => Some((index, takes)),
            Stage::Decoding | Stage::Decoded => None,
        };
        let (decode, times): (Vec<usize>, Vec<Duration>) = next.iter().filter_map(decoding).unzip();
        if !decode.is_empty() {
            return Err(Plan { decode, predicted: times.into_iter().sum(), ..nothing(shed) });
        }
        let Some(&first) = next.first() else { return Err(nothing(shed)) };
        let same = |index: &usize| view.jobs[*index].model == view.jobs[first].model;
        let ready = next.into_iter().filter(same).collect();
        Ok(Candidates { view, hardening, ready, shed })
    }

    /// The job with the earliest deadline.
    pub(super) fn first(&self) -> &'a JobConstraints {
        &self.view.jobs[self.ready[0]]
    }

    pub(super) fn profile(&self) -> &'a Profile {
        &self.view.profiles[self.first().model]
    }

    /// The slack of that job that the policy plans with.
    pub(super) fn slack(&self) -> Duration {
        self.hardening.slack(self.first(), self.view)
    }

    /// The largest batch of the jobs there are that ends within the slack at `width`; at least one.
    pub(super) fn largest(&self, width: Width) -> usize {
        let slack = self.slack();
        (1..=self.ready.len()).rev().find(|&batch| self.profile().latency(width, batch) <= slack).unwrap_or(1)
    }

    /// The widest width at which a batch ends within the slack, or the narrowest of all.
    pub(super) fn widest(&self, batch: usize) -> Width {
        let slack = self.slack();
        let fits = |width: &Width| self.profile().latency(*width, batch) <= slack;
        self.profile().widths().take_while(fits).last().unwrap_or_else(|| self.profile().narrowest())
    }

    /// Runs the first `batch` of the jobs at `width`, or at the nearest width that each allows.
    fn run(self, batch: usize, width: Width) -> Plan {
        let profile = self.profile();
        let assign = |&index: &usize| {
            let widths = self.view.jobs[index].widths;
            let width = widths.at(width, profile);
            let reason = match widths {
                Widths::Pinned { .. } => WidthReason::Requested,
                Widths::From { .. } if width == Width::FULL => WidthReason::Full,
                Widths::From { .. } => WidthReason::Load,
            };
            Assignment { index, width, reason }
        };
        let batch: Vec<Assignment> = self.ready.iter().take(batch).map(assign).collect();
        let widest = batch.iter().map(|job| job.width).max().unwrap_or(width);
        let predicted = profile.latency(widest, batch.len());
        let reason = if width == Width::FULL { CeilingReason::Full } else { CeilingReason::Load };
        Plan { batch, predicted, ceiling: width, reason, ..nothing(self.shed) }
    }
}

/// A plan that only sheds.
fn nothing(shed: Vec<usize>) -> Plan {
    Plan {
        batch: Vec::new(),
        decode: Vec::new(),
        long_decoding: false,
        shed,
        predicted: Duration::ZERO,
        exits: None,
        ceiling: Width::FULL,
        reason: CeilingReason::Full,
    }
}
