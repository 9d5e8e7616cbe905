//! What a request asks for, and the constraints that follow for its job.
//!
//! [`JobConstraints::new`] refuses what no load could make possible. It knows no queue: whether a job is accepted *now* is
//! a [`Policy`](super::Policy)'s decision.

use std::time::{Duration, Instant};

use thiserror::Error;

use super::Profile;
use crate::engine::Width;

/// A caller's options, each valid by itself.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RequestOptions {
    /// Run at exactly this width.
    pub width: Option<Width>,
    /// Expected accuracy of at least this, from 0 to 1.
    pub min_accuracy: Option<f64>,
    /// Which jobs are shed first under overload.
    pub priority: Priority,
}

/// Shedding order under overload. It does not affect the order of execution, which follows the deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// Shed first.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Shed last.
    High,
}

/// The widths at which a job may run, as steps of its model's [`Profile`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Widths {
    /// One width, on the grid or between two steps.
    Pinned {
        /// The width.
        width: Width,
        /// The narrowest step at or above it, whose cost it has.
        step: usize,
    },
    /// A step and every wider one.
    From {
        /// The narrowest step.
        step: usize,
    },
}

/// What happens when a job's deadline passes before its answer is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadlineKind {
    /// The caller set a budget: the job is shed.
    Firm,
    /// The server's own target for a request without a budget. It determines the width and the place in the queue; the job is
    /// answered even if it is late.
    Target,
}

/// Everything a [`Policy`](super::Policy) knows about a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobConstraints {
    /// Index of the job's model, and of that model's profile.
    pub model: usize,
    /// The widths at which it may run.
    pub widths: Widths,
    /// Arrival of its request.
    pub arrived: Instant,
    /// When the answer must be ready.
    pub deadline: Instant,
    /// What happens when the deadline passes.
    pub deadline_kind: DeadlineKind,
    /// Shedding order under overload.
    pub priority: Priority,
    /// Progress of its image.
    pub stage: Stage,
}

/// Progress of a job's image towards the network. A job that is not decoded counts in every plan and runs in no batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Not decoded yet.
    Encoded {
        /// Estimated decoding time.
        takes: Duration,
    },
    /// A worker is decoding it.
    Decoding,
    /// Ready to run.
    Decoded,
}

/// Why no load, however light, lets the server satisfy a request.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum Unsatisfiable {
    /// The budget is shorter than the work takes.
    #[error("a budget of {} cannot be met: width {width} takes {} on an idle server", ms(*.budget), ms(*.least))]
    Budget {
        /// The requested budget.
        budget: Duration,
        /// The narrowest width that the request allows.
        width: Width,
        /// Time at that width.
        least: Duration,
    },
    /// The budget is shorter than all images of a request take together.
    #[error("a budget of {} cannot be met: {images} images take {} on an idle server", ms(*.budget), ms(*.least))]
    Together {
        /// The requested budget.
        budget: Duration,
        /// The images of the request.
        images: usize,
        /// Time for all of them at the narrowest widths that they allow.
        least: Duration,
    },
    /// The model is less accurate at every width.
    #[error("an accuracy of {asked} cannot be met: the model's best is {best}, at full width")]
    Accuracy {
        /// The requested accuracy.
        asked: f64,
        /// The accuracy at full width.
        best: f64,
    },
    /// The model file has no accuracies.
    #[error("a least accuracy cannot be promised: the model file does not say how accurate it is")]
    AccuracyUnknown,
    /// The requested width is less accurate than the requested accuracy.
    #[error("width {width} and an accuracy of {asked} contradict: that width has {accuracy}")]
    Contradiction {
        /// The requested width.
        width: Width,
        /// The requested accuracy.
        asked: f64,
        /// The accuracy of that width.
        accuracy: f64,
    },
}

/// The longest budget; longer ones are shortened to it.
pub const MAX_BUDGET: Duration = Duration::from_secs(3600);

impl JobConstraints {
    /// The constraints of a job for the model with this index and profile. The deadline is firm, at `arrived + budget`.
    ///
    /// The decoding time is an estimate, so it refuses nothing.
    ///
    /// # Errors
    /// [`Unsatisfiable`] when even an idle server could not satisfy the request.
    pub fn new(
        options: &RequestOptions,
        (model, profile): (usize, &Profile),
        arrived: Instant,
        budget: Duration,
        stage: Stage,
    ) -> Result<JobConstraints, Unsatisfiable> {
        let widths = widths(options, profile)?;
        let (Widths::Pinned { step, .. } | Widths::From { step }) = widths;
        let least = profile.at_best(step);
        if budget < least {
            let width = widths.narrowest(profile);
            return Err(Unsatisfiable::Budget { budget, width, least });
        }
        let deadline = arrived + budget.min(MAX_BUDGET);
        let (deadline_kind, priority) = (DeadlineKind::Firm, options.priority);
        Ok(JobConstraints { model, widths, arrived, deadline, deadline_kind, priority, stage })
    }

    /// The same constraints with a target instead of a firm deadline.
    #[must_use]
    pub fn with_target(self) -> JobConstraints {
        JobConstraints { deadline_kind: DeadlineKind::Target, ..self }
    }

    /// The time from its arrival to its deadline.
    pub fn budget(&self) -> Duration {
        self.deadline.saturating_duration_since(self.arrived)
    }

    /// Whether a server at its best speed could answer it in time, were it decoded and alone.
    pub fn fits_at_best(&self, profile: &Profile, now: Instant) -> bool {
        now + self.at_best(profile) <= self.deadline
    }

    /// The time that its narrowest allowed width takes at the server's best speed.
    pub fn at_best(&self, profile: &Profile) -> Duration {
        let (least, _) = self.span(profile.widths().len());
        profile.at_best(least)
    }

    /// The time that it adds to a batch at that speed, without decoding.
    pub fn item_at_best(&self, profile: &Profile) -> Duration {
        let (least, _) = self.span(profile.widths().len());
        profile.item_at_best(least)
    }

    /// Its narrowest and its widest step in a profile of `steps`.
    pub(super) fn span(&self, steps: usize) -> (usize, usize) {
        match self.widths {
            Widths::Pinned { step, .. } => (step, step),
            Widths::From { step } => (step, steps - 1),
        }
    }
}

impl Widths {
    /// The narrowest width.
    pub fn narrowest(self, profile: &Profile) -> Width {
        match self {
            Widths::Pinned { width, .. } => width,
            Widths::From { step } => profile.width(step),
        }
    }

    /// The allowed width nearest to `width`.
    pub(super) fn at(self, width: Width, profile: &Profile) -> Width {
        match self {
            Widths::Pinned { width, .. } => width,
            Widths::From { step } => width.max(profile.width(step)),
        }
    }
}

impl Stage {
    /// The remaining decoding time.
    pub(super) fn remaining(self) -> Duration {
        match self {
            Stage::Encoded { takes } => takes,
            Stage::Decoding | Stage::Decoded => Duration::ZERO,
        }
    }
}

fn widths(options: &RequestOptions, profile: &Profile) -> Result<Widths, Unsatisfiable> {
    let RequestOptions { width, min_accuracy, .. } = *options;
    let least = match min_accuracy {
        None => 0,
        Some(asked) => {
            let best = profile.accuracy(Width::FULL).ok_or(Unsatisfiable::AccuracyUnknown)?;
            profile.accurate(asked).ok_or(Unsatisfiable::Accuracy { asked, best })?
        }
    };
    match (width, min_accuracy) {
        (None, _) => Ok(Widths::From { step: least }),
        // Between two steps the narrower one tells what is certain.
        (Some(width), Some(asked)) if width < profile.width(least) => {
            let accuracy = profile.accuracy(profile.width(profile.within(width))).unwrap_or_default();
            Err(Unsatisfiable::Contradiction { width, asked, accuracy })
        }
        (Some(width), _) => Ok(Widths::Pinned { width, step: profile.covering(width) }),
    }
}

/// A duration as messages show it.
fn ms(time: Duration) -> String {
    format!("{} ms", (time.as_secs_f64() * 1e6).round() / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testing::{profile, without_accuracy};

    fn new(options: RequestOptions, budget_us: u64, profile: &Profile) -> Result<JobConstraints, Unsatisfiable> {
        let (budget, takes) = (Duration::from_micros(budget_us), Duration::from_micros(50));
        JobConstraints::new(&options, (0, profile), Instant::now(), budget, Stage::Encoded { takes })
    }

    fn width(text: &str) -> Option<Width> {
        text.parse().ok()
    }

    /// Steps 0.25, 0.5, 0.75 and 1 take 100, 200, 300 and 400 us, accurate to 0.6, 0.7, 0.8 and 0.9.
    fn error(options: RequestOptions, budget_us: u64) -> String {
        new(options, budget_us, &profile()).unwrap_err().to_string()
    }

    #[test]
    fn a_job_without_options_runs_at_any_step() {
        let job = new(RequestOptions::default(), 1000, &profile()).unwrap();
        assert_eq!((job.widths, job.span(4)), (Widths::From { step: 0 }, (0, 3)));
        assert_eq!(job.budget(), Duration::from_millis(1));
        assert_eq!(new(RequestOptions::default(), u64::MAX, &profile()).unwrap().budget(), MAX_BUDGET);
    }

    #[test]
    fn a_minimum_accuracy_sets_the_narrowest_step() {
        let step = |min_accuracy| {
            new(RequestOptions { min_accuracy, ..RequestOptions::default() }, 1000, &profile()).unwrap().span(4).0
        };
        assert_eq!([0.0, 0.6, 0.65, 0.9].map(Some).map(step), [0, 0, 1, 3]);
    }

    #[test]
    fn a_pinned_width_is_kept_and_costs_the_step_above() {
        let job = new(RequestOptions { width: width("0.3"), ..RequestOptions::default() }, 1000, &profile()).unwrap();
        assert_eq!(job.widths, Widths::Pinned { width: width("0.3").unwrap(), step: 1 });
    }

    #[test]
    fn an_unsatisfiable_request_is_refused_with_what_could_be_satisfied() {
        let auto = RequestOptions::default();
        assert_eq!(error(auto, 99), "a budget of 0.099 ms cannot be met: width 0.25 takes 0.1 ms on an idle server");
        assert_eq!(error(auto, 0), "a budget of 0 ms cannot be met: width 0.25 takes 0.1 ms on an idle server");
        let pinned = RequestOptions { width: width("1"), ..auto };
        assert_eq!(error(pinned, 399), "a budget of 0.399 ms cannot be met: width 1 takes 0.4 ms on an idle server");
        let accurate = RequestOptions { min_accuracy: Some(0.95), ..auto };
        assert_eq!(error(accurate, 1000), "an accuracy of 0.95 cannot be met: the model's best is 0.9, at full width");
        let both = RequestOptions { width: width("0.6"), min_accuracy: Some(0.75), ..auto };
        assert_eq!(error(both, 1000), "width 0.6 and an accuracy of 0.75 contradict: that width has 0.7");
        let agree = RequestOptions { width: width("0.8"), min_accuracy: Some(0.75), ..auto };
        assert!(new(agree, 1000, &profile()).is_ok());
        let unknown = new(RequestOptions { min_accuracy: Some(0.1), ..auto }, 1000, &without_accuracy());
        assert_eq!(unknown, Err(Unsatisfiable::AccuracyUnknown));
    }
}
