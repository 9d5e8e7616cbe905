//! Metrics and logs for operators. Both are passed in where they are used; nothing here is global.

mod lines;
mod logs;
mod metrics;
mod totals;

pub use lines::Lines;
pub use logs::{LogFilter, LogFilterError, LogFormat, LogFormatError, subscriber};
pub(crate) use metrics::observe;
pub use metrics::{Description, Metrics, Miss, total_of};
pub use totals::{Latencies, Totals, WIDTH_BINS};
