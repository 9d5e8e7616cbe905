//! Reasons to doubt the figures of a run.

use crate::results::Results;

/// 99th percentile of the generator's lateness, in milliseconds, that is always acceptable.
const GOOD_LATENESS_MS: f64 = 1.0;
/// Acceptable lateness as a share of the shortest deadline.
const GOOD_LATENESS_SHARE: f64 = 0.05;

/// One sentence per reason; empty for a reliable run.
pub fn warnings(results: &Results) -> Vec<String> {
    [slow(results), not_sent(results), failed(results), no_deadline(results), no_accuracy(results), cut(results)]
        .into_iter()
        .flatten()
        .collect()
}

/// Maximum acceptable 99th percentile of the lateness, in milliseconds.
pub fn allowed_lateness_ms(results: &Results) -> f64 {
    results.setup.deadlines_ms.first().map_or(0.0, |shortest| shortest * GOOD_LATENESS_SHARE).max(GOOD_LATENESS_MS)
}

fn slow(results: &Results) -> Option<String> {
    let (late, allowed) = (results.totals.lateness_ms?.p99, allowed_lateness_ms(results));
    (late > allowed).then(|| {
        format!(
            "The generator was too slow for reliable figures: 1 % of the requests were sent {late} ms or more after they were \
             due ({allowed} ms is allowed). Lower the rate, or give the generator its own core."
        )
    })
}

fn not_sent(results: &Results) -> Option<String> {
    let (not_sent, most) = (results.totals.counts.not_sent, results.setup.max_outstanding);
    (not_sent > 0).then(|| {
        format!(
            "{not_sent} requests were not sent, because {most} were outstanding; they count as not answered on \
             time. To send them, raise --max-outstanding."
        )
    })
}

fn failed(results: &Results) -> Option<String> {
    let first = results.failures.first()?;
    Some(format!("{} requests failed, most often: {}.", results.totals.counts.failed, first.what))
}

fn no_deadline(results: &Results) -> Option<String> {
    results.setup.deadlines_ms.is_empty().then(|| {
        "No request had a deadline: every answer counts as on time. Set --deadline-ms or --budget-ms.".to_owned()
    })
}

fn no_accuracy(results: &Results) -> Option<String> {
    let unknown = results.totals.counts.on_time > 0 && results.totals.mean_accuracy.is_none();
    unknown.then(|| "The server does not report the accuracy of its widths.".to_owned())
}

fn cut(results: &Results) -> Option<String> {
    results.interrupted.then(|| "The run was stopped before the end of its plan.".to_owned())
}
