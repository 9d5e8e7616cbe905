//! Progress of a run: a bar on a terminal, and one line per epoch.

use std::io::IsTerminal;

use anywidth::engine::Width;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Epoch, Recipe, named_widths};

/// Reports the progress of a run.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    lines: bool,
}

impl Progress {
    /// A bar if standard error is a terminal, and a line per epoch in any case.
    pub fn new() -> Progress {
        let target =
            if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = "{bar:30} step {pos}/{len}  {msg}  {elapsed} gone, {eta} left";
        let style = ProgressStyle::with_template(style).expect("a template that indicatif knows");
        Progress { bar: ProgressBar::with_draw_target(None, target).with_style(style), lines: true }
    }

    /// Reports nothing.
    pub fn silent() -> Progress {
        Progress { bar: ProgressBar::hidden(), lines: false }
    }

    pub(super) fn step(&self, done: usize, steps: usize, loss: f64, rate: f64) {
        if self.bar.length() != Some(steps as u64) {
            self.bar.set_length(steps as u64);
            self.bar.set_position(done as u64);
            self.bar.reset_eta();
        }
        self.bar.set_position(done as u64);
        self.bar.set_message(format!("loss {loss:.4}, rate {rate:.4}"));
    }

    pub(super) fn epoch(&self, history: &[Epoch], recipe: &Recipe) {
        let epochs = recipe.epochs;
        let Some(last) = history.last().filter(|_| self.lines) else { return };
        let left = (epochs - history.len()) as f64 * last.seconds / 60.0;
        let waited = (100.0 * last.waited / last.seconds).round();
        let waited = if waited > 0.0 { format!(" ({waited} % waiting for images)") } else { String::new() };
        let line = format!(
            "epoch {}/{epochs}: loss {:.4}, validation {}; {:.0} s{waited}, {left:.0} min left",
            history.len(),
            last.loss,
            by_width(&recipe.progress_widths(), &last.accuracy),
            last.seconds,
        );
        self.bar.suspend(|| eprintln!("{line}"));
    }
}

impl Default for Progress {
    fn default() -> Progress {
        Progress::new()
    }
}

/// Percentages at the named widths, `62.41 (0.25)  71.90 (0.5) ...`, from accuracies at `widths`; at all of these if
/// there are no more than named ones.
pub fn by_width(widths: &[Width], accuracy: &[f64]) -> String {
    let few = widths.len() <= named_widths().len();
    let told = |width: &Width| few || named_widths().iter().any(|named| closest(widths, *named) == Some(width));
    let pairs = widths.iter().zip(accuracy).filter(|(width, _)| told(width));
    let named = |width: &Width| named_widths().into_iter().find(|&named| !few && closest(widths, named) == Some(width));
    let text = pairs.map(|(width, share)| format!("{:.2} ({})", 100.0 * share, named(width).unwrap_or(*width)));
    text.collect::<Vec<String>>().join("  ")
}

/// The narrowest of the ascending `widths` not below `width`, which has its channels.
fn closest(widths: &[Width], width: Width) -> Option<&Width> {
    widths.iter().find(|&&other| other >= width)
}
