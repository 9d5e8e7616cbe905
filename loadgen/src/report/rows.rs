//! The figures of a run as table rows, in order of interest.

use super::axis::{grouped, number};
use crate::results::{Percentiles, Results};

/// A named figure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) label: &'static str,
    pub(crate) value: Option<f64>,
    pub(crate) unit: Unit,
}

/// The unit of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Requests,
    Share,
    Milliseconds,
    Seconds,
    Number,
}

/// The note on the source of accuracies.
pub(crate) const OF_THE_MODEL: &str = "Accuracies are the model's own figures for its widths, not measured on the images sent; those by labels are measured.";

/// A percentile of a distribution.
type Time = fn(&Percentiles) -> f64;

/// All figures; the same for every run.
pub(crate) fn rows(run: &Results) -> Vec<Row> {
    let totals = &run.totals;
    let counts = &totals.counts;
    let row = |label, unit, value| Row { label, value, unit };
    let share = |label, value| row(label, Unit::Share, value);
    let requests = |label, count: u64| row(label, Unit::Requests, Some(count as f64));
    let times = |times: &Option<Percentiles>, rows: &[(&'static str, Time)]| {
        rows.iter().map(|(label, of)| row(label, Unit::Milliseconds, times.as_ref().map(of))).collect::<Vec<_>>()
    };
    let mut rows = vec![
        share("SLO attainment", totals.attainment),
        share("mean accuracy, on time", totals.mean_accuracy),
        share("effective accuracy", totals.effective_accuracy),
        share("accuracy by labels, on time", totals.labelled_accuracy),
        share("effective accuracy by labels", totals.labelled_effective_accuracy),
        row("mean width", Unit::Number, totals.mean_width),
        requests("offered", counts.offered),
        requests("on time", counts.on_time),
        requests("late", counts.late),
        requests("refused", counts.refused),
        requests("failed", counts.failed),
        requests("not sent", counts.not_sent),
    ];
    rows.extend(times(
        &totals.latency_ms,
        &[
            ("latency, mean", |times| times.mean),
            ("latency, median", |times| times.p50),
            ("latency, 90 %", |times| times.p90),
            ("latency, 99 %", |times| times.p99),
            ("latency, 99.9 %", |times| times.p999),
            ("latency, longest", |times| times.max),
        ],
    ));
    rows.extend(times(
        &totals.refusal_ms,
        &[
            ("refusal, median", |times| times.p50),
            ("refusal, 90 %", |times| times.p90),
            ("refusal, 99 %", |times| times.p99),
        ],
    ));
    rows.extend(times(
        &totals.lateness_ms,
        &[("generator late, 99 %", |times| times.p99), ("generator late, longest", |times| times.max)],
    ));
    rows.push(row("duration", Unit::Seconds, Some(totals.duration_s)));
    rows
}

impl Row {
    /// The value with its unit.
    pub(crate) fn text(&self) -> String {
        self.value.map_or_else(|| "-".to_owned(), |value| self.unit.text(value))
    }

    /// The difference to another run: shares in percentage points, others in percent.
    pub(crate) fn change(&self, other: &Row) -> String {
        let (Some(from), Some(to)) = (self.value, other.value) else { return "-".to_owned() };
        match self.unit {
            Unit::Share => format!("{:+.2} points", (to - from) * 100.0),
            _ if from == to => "0 %".to_owned(),
            _ if from == 0.0 => "-".to_owned(),
            _ => format!("{:+.1} %", (to / from - 1.0) * 100.0),
        }
    }
}

impl Unit {
    fn text(self, value: f64) -> String {
        match self {
            Unit::Requests => grouped(value as i64),
            Unit::Share => format!("{:.2} %", value * 100.0),
            Unit::Milliseconds => format!("{} ms", number(value)),
            Unit::Seconds => format!("{} s", number(value)),
            Unit::Number => number(value),
        }
    }
}
