//! The queue of a server under load: which job runs next, at which width, in which batch, and which job is refused or shed.
//!
//! [`JobQueue`] owns the jobs. It is used by the worker threads of the server and by the simulator alike. It asks a [`Policy`]
//! for every decision, of which [`WidestFit`] is the server's own; [`baselines`] has those of other systems. Predicted times
//! come from a [`Profile`] per model, which batches correct, and from [`DecodeTimes`].
//!
//! All of it is pure: time is an argument; there is no clock, thread or lock.

pub mod baselines;
mod constraints;
mod decode_times;
mod interface;
mod kind;
mod line_fit;
mod profile;
mod queue;
#[cfg(test)]
mod testing;
mod widest_fit;

pub use constraints::{
    DeadlineKind, JobConstraints, MAX_BUDGET, Priority, RequestOptions, Stage, Unsatisfiable, Widths,
};
pub use decode_times::DecodeTimes;
pub use interface::{Assignment, CeilingReason, Overload, Plan, Policy, QueueView, WidthReason, Workers};
pub use kind::{NAMES as POLICY_NAMES, PolicyKind, PolicyKindError};
pub use profile::{Measurement, Profile, ProfileError};
pub use queue::{
    Batch, BatchReport, BatchTrace, Decision, DecodeTask, JobQueue, ModelStatistics, Payload, QueueSettings,
    QueueStatistics, QueuedJob, Refusal, RunningJob, ShedReason, SubmittedJob, Task,
};
pub use widest_fit::{Budgets, Ratio, Tuning, WidestFit};
