//! What a request asks for, and whether any server could give it.

use std::time::{Duration, Instant};

use thiserror::Error;

use super::Profile;
use crate::engine::Width;

/// What a caller wrote, each value valid by itself.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Wish {
    /// Exactly this width.
    pub width: Option<Width>,
    /// At least this expected accuracy, from 0 to 1.
    pub min_accuracy: Option<f64>,
    /// Who goes first where not all can be answered.
    pub priority: Priority,
}

/// Whom overload hits first. Deadlines alone decide the order of those that are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// Given up before any other.
    Low,
    /// What a request has that says nothing.
    #[default]
    Normal,
    /// Given up last.
    High,
}

/// The widths at which a job may run, as steps of its model's profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Widths {
    /// This width alone, on the grid or not.
    Pinned {
        /// The width.
        width: Width,
        /// The narrowest step that covers it: what it costs.
        step: usize,
    },
    /// This step and every wider one.
    From {
        /// The narrowest.
        step: usize,
    },
}

/// What happens to a job whose deadline passes before its answer is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadlineKind {
    /// The caller named a budget: the job is dropped, as its answer is worth nothing any more.
    Firm,
    /// The server's own aim for a request that names no budget: it influences the width and the order in the queue, but the
    /// job is answered in any case.
    Target,
}

/// What a job in the queue needs to be planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// The place of its model's profile among the profiles.
    pub model: usize,
    /// At which widths it may run.
    pub widths: Widths,
    /// When its request came.
    pub arrived: Instant,
    /// When its answer must be ready.
    pub deadline: Instant,
    /// What happens when it is not.
    pub deadline_kind: DeadlineKind,
    /// Whom overload hits first.
    pub priority: Priority,
    /// How far its image is.
    pub stage: Stage,
}

/// A job's image, on its way to the network. Until it is decoded, a job counts in every plan but runs in no batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// As it came.
    Encoded {
        /// How long a worker will need to decode it.
        takes: Duration,
    },
    /// A worker is at it.
    Decoding,
    /// Ready to run.
    Decoded,
}

/// Why a request can never be met, however idle the server is.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum Unsatisfiable {
    /// Less time than the work takes.
    #[error("a budget of {} cannot be met: width {width} takes {} on an idle server", ms(*.budget), ms(*.least))]
    Budget {
        /// What was asked for.
        budget: Duration,
        /// The narrowest width that the request allows.
        width: Width,
        /// How long it takes.
        least: Duration,
    },
    /// Less time than all images of a call take together.
    #[error("a budget of {} cannot be met: {images} images take {} on an idle server", ms(*.budget), ms(*.least))]
    Together {
        /// What was asked for.
        budget: Duration,
        /// The images of the call.
        images: usize,
        /// How long they take at the narrowest widths that they allow.
        least: Duration,
    },
    /// More accuracy than the model has.
    #[error("an accuracy of {asked} cannot be met: the model's best is {best}, at full width")]
    Accuracy {
        /// What was asked for.
        asked: f64,
        /// What full width gives.
        best: f64,
    },
    /// The model does not say how accurate it is.
    #[error("a least accuracy cannot be promised: the model file does not say how accurate it is")]
    AccuracyUnknown,
    /// A width that is less accurate than the accuracy that is asked for with it.
    #[error("width {width} and an accuracy of {asked} contradict: that width has {accuracy}")]
    Contradiction {
        /// The width that was asked for.
        width: Width,
        /// The accuracy that was asked for.
        asked: f64,
        /// The accuracy that the width has.
        accuracy: f64,
    },
}

/// The longest budget; a longer one means the same.
pub const MAX_BUDGET: Duration = Duration::from_secs(3600);

impl Demand {
    /// The demand of a request for the model at place `model`, whose profile is given, and whose image is at `stage`. Its
    /// deadline is firm.
    /// What decoding takes is a guess, and nobody is refused for that.
    ///
    /// # Errors
    /// When no server could ever meet it: see [`Unsatisfiable`].
    pub fn new(
        wish: &Wish,
        (model, profile): (usize, &Profile),
        arrived: Instant,
        budget: Duration,
        stage: Stage,
    ) -> Result<Demand, Unsatisfiable> {
        let widths = widths(wish, profile)?;
        let (Widths::Pinned { step, .. } | Widths::From { step }) = widths;
        let least = profile.at_best(step);
        if budget < least {
            let width = widths.narrowest(profile);
            return Err(Unsatisfiable::Budget { budget, width, least });
        }
        let deadline = arrived + budget.min(MAX_BUDGET);
        let (deadline_kind, priority) = (DeadlineKind::Firm, wish.priority);
        Ok(Demand { model, widths, arrived, deadline, deadline_kind, priority, stage })
    }

    /// The same demand with a deadline that is only a target.
    #[must_use]
    pub fn with_target(self) -> Demand {
        Demand { deadline_kind: DeadlineKind::Target, ..self }
    }

    /// The time from its arrival to its deadline.
    pub fn budget(&self) -> Duration {
        self.deadline.saturating_duration_since(self.arrived)
    }

    /// Could a server that is as fast as it ever was answer it, were it decoded and alone?
    pub fn fits_at_best(&self, profile: &Profile, now: Instant) -> bool {
        now + self.at_best(profile) <= self.deadline
    }

    /// How long the narrowest width that it allows takes on a server that is as fast as it ever was.
    pub fn at_best(&self, profile: &Profile) -> Duration {
        let (least, _) = self.span(profile.widths().len());
        profile.at_best(least)
    }

    /// What it adds to a batch on such a server, without decoding.
    pub fn item_at_best(&self, profile: &Profile) -> Duration {
        let (least, _) = self.span(profile.widths().len());
        profile.item_at_best(least)
    }

    /// The narrowest and the widest step, of a profile of `steps`.
    pub(super) fn span(&self, steps: usize) -> (usize, usize) {
        match self.widths {
            Widths::Pinned { step, .. } => (step, step),
            Widths::From { step } => (step, steps - 1),
        }
    }
}

impl Widths {
    /// The narrowest of them.
    pub fn narrowest(self, profile: &Profile) -> Width {
        match self {
            Widths::Pinned { width, .. } => width,
            Widths::From { step } => profile.width(step),
        }
    }
}

impl Stage {
    /// The work that is left to do before it can run.
    pub(super) fn takes(self) -> Duration {
        match self {
            Stage::Encoded { takes } => takes,
            Stage::Decoding | Stage::Decoded => Duration::ZERO,
        }
    }
}

fn widths(wish: &Wish, profile: &Profile) -> Result<Widths, Unsatisfiable> {
    let Wish { width, min_accuracy, .. } = *wish;
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

/// A time as messages write it.
fn ms(time: Duration) -> String {
    format!("{} ms", (time.as_secs_f64() * 1e6).round() / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{profile, without_accuracy};

    fn new(wish: Wish, budget_us: u64, profile: &Profile) -> Result<Demand, Unsatisfiable> {
        let (budget, takes) = (Duration::from_micros(budget_us), Duration::from_micros(50));
        Demand::new(&wish, (0, profile), Instant::now(), budget, Stage::Encoded { takes })
    }

    fn width(text: &str) -> Option<Width> {
        text.parse().ok()
    }

    /// Steps 0.25, 0.5, 0.75 and 1 take 100, 200, 300 and 400 us, accurate to 0.6, 0.7, 0.8 and 0.9.
    fn error(wish: Wish, budget_us: u64) -> String {
        new(wish, budget_us, &profile()).unwrap_err().to_string()
    }

    #[test]
    fn a_demand_without_wishes_runs_at_any_step() {
        let demand = new(Wish::default(), 1000, &profile()).unwrap();
        assert_eq!((demand.widths, demand.span(4)), (Widths::From { step: 0 }, (0, 3)));
        assert_eq!(demand.budget(), Duration::from_millis(1));
        assert_eq!(new(Wish::default(), u64::MAX, &profile()).unwrap().budget(), MAX_BUDGET);
    }

    #[test]
    fn a_least_accuracy_is_a_narrowest_step() {
        let step = |min_accuracy| new(Wish { min_accuracy, ..Wish::default() }, 1000, &profile()).unwrap().span(4).0;
        assert_eq!([0.0, 0.6, 0.65, 0.9].map(Some).map(step), [0, 0, 1, 3]);
    }

    #[test]
    fn a_pinned_width_is_kept_and_costs_the_step_above() {
        let demand = new(Wish { width: width("0.3"), ..Wish::default() }, 1000, &profile()).unwrap();
        assert_eq!(demand.widths, Widths::Pinned { width: width("0.3").unwrap(), step: 1 });
    }

    #[test]
    fn what_can_never_be_met_is_refused_with_what_could() {
        let auto = Wish::default();
        assert_eq!(error(auto, 99), "a budget of 0.099 ms cannot be met: width 0.25 takes 0.1 ms on an idle server");
        assert_eq!(error(auto, 0), "a budget of 0 ms cannot be met: width 0.25 takes 0.1 ms on an idle server");
        let pinned = Wish { width: width("1"), ..auto };
        assert_eq!(error(pinned, 399), "a budget of 0.399 ms cannot be met: width 1 takes 0.4 ms on an idle server");
        let accurate = Wish { min_accuracy: Some(0.95), ..auto };
        assert_eq!(error(accurate, 1000), "an accuracy of 0.95 cannot be met: the model's best is 0.9, at full width");
        let both = Wish { width: width("0.6"), min_accuracy: Some(0.75), ..auto };
        assert_eq!(error(both, 1000), "width 0.6 and an accuracy of 0.75 contradict: that width has 0.7");
        let agree = Wish { width: width("0.8"), min_accuracy: Some(0.75), ..auto };
        assert!(new(agree, 1000, &profile()).is_ok());
        let unknown = new(Wish { min_accuracy: Some(0.1), ..auto }, 1000, &without_accuracy());
        assert_eq!(unknown, Err(Unsatisfiable::AccuracyUnknown));
    }
}
