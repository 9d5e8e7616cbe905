//! The queue of a server under load: which job runs next, at which width, in which batch, and which job is refused or shed.
//!
//! [`JobQueue`] owns the jobs. It is used by the worker threads of the server and by the simulator alike. It asks a [`Policy`]
//! for every decision, of which [`WidestFit`] is the server's own; [`baselines`] has those of other systems. Predicted times
//! come from a [`Profile`] per model, which batches correct, and from [`DecodeTimes`].
//!
//! All of it is pure: time is an argument; there is no clock, thread or lock.
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use anywidth::engine::Width;
//! use anywidth::policy::{
//!     JobQueue, Measurement, Payload, PolicyKind, Profile, QueueSettings, RequestOptions, SubmittedJob, Task,
//! };
//!
//! /// An image that is decoded elsewhere.
//! #[derive(Debug)]
//! struct Image;
//!
//! impl Payload for Image {
//!     type Encoded = ();
//!     fn encoded(&self) {}
//! }
//!
//! let ms = Duration::from_millis;
//! let measured = |width: &str, latencies| -> Result<_, Box<dyn std::error::Error>> {
//!     Ok(Measurement { width: width.parse()?, latencies, accuracy: None })
//! };
//! let narrow = measured("0.5", vec![(1, ms(1)), (8, ms(8))])?;
//! let full = measured("1", vec![(1, ms(4)), (8, ms(32))])?;
//! let profile = Profile::new(&[narrow, full])?;
//!
//! let settings = QueueSettings { workers: 1, decoders: 1, max_batch: 8, max_queue: 64, default_budget: ms(50) };
//! let now = Instant::now();
//! let mut queue = JobQueue::new(settings, vec![profile], PolicyKind::WidestFit.build(settings), now);
//! assert!(queue.next(0, now).task.is_none()); // worker 0 is free
//!
//! let options = RequestOptions::default();
//! let job = SubmittedJob { model: 0, options, arrived: now, budget: Some(ms(40)), encoded_bytes: Some(1000), payload: Image };
//! queue.submit(vec![job], now)?;
//!
//! // A free worker first decodes the image, then runs it.
//! let Some(Task::Decode(tasks)) = queue.next(0, now).task else { panic!("the image is not decoded") };
//! queue.decoded(&tasks[0], Duration::from_micros(100));
//! let Some(Task::Run(batch)) = queue.next(0, now).task else { panic!("the job is ready") };
//! assert_eq!(batch.jobs[0].width, Width::FULL); // the queue is empty otherwise
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod agreement;
pub mod baselines;
mod constraints;
mod decode_times;
mod exit_plan;
mod hull;
mod interface;
mod kind;
mod levels;
mod line_fit;
mod profile;
mod queue;
#[cfg(test)]
mod testing;
mod widest_fit;

pub use agreement::Agreement;
pub use constraints::{
    DeadlineKind, JobConstraints, MAX_BUDGET, Priority, RequestOptions, Stage, Unsatisfiable, Widths,
};
pub use decode_times::DecodeTimes;
pub use hull::concave_hull;
pub use interface::{Assignment, CeilingReason, Overload, Plan, Policy, QueueView, WidthReason, Workers};
pub use kind::{NAMES as POLICY_NAMES, PolicyKind, PolicyKindError};
pub use levels::ExitRule;
pub use profile::{Measurement, Profile, ProfileError};
pub use queue::{
    Batch, BatchReport, BatchTrace, Decision, DecodeTask, JobQueue, ModelStatistics, Payload, QueueSettings,
    QueueStatistics, QueuedJob, Refusal, RunningJob, Shed, ShedReason, SubmittedJob, Task,
};
pub use widest_fit::{Budgets, Ratio, Tuning, WidestFit};
