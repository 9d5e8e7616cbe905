//! The progress bar of a run.

use indicatif::{ProgressBar, ProgressStyle};

use crate::run::Progress;

pub(super) fn bar(requests: u64) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{elapsed:>4} {wide_bar} {pos} of {len}  {msg}")?;
    Ok(ProgressBar::new(requests).with_style(style))
}

pub(super) fn show(bar: &ProgressBar, Progress { counts, outstanding, .. }: Progress) {
    bar.set_position(counts.offered);
    let on_time = 100.0 * counts.on_time as f64 / counts.offered.max(1) as f64;
    bar.set_message(format!("{on_time:.1} % on time, {outstanding} outstanding"));
}
