//! Why a run's figures should not be believed as they stand.

use crate::results::Results;

/// Up to here, in milliseconds, the 99th percentile of the generator's own lateness is always good enough.
const GOOD_LATENESS_MS: f64 = 1.0;
/// And up to this share of the shortest deadline.
const GOOD_LATENESS_SHARE: f64 = 0.05;

/// One sentence for each reason; none for a run that can be believed.
pub fn warnings(results: &Results) -> Vec<String> {
    [slow(results), not_sent(results), failed(results), no_deadline(results), no_accuracy(results), cut(results)]
        .into_iter()
        .flatten()
        .collect()
}

/// The longest lateness, in milliseconds, that a run may have at the 99th percentile to be believed.
pub fn allowed_lateness_ms(results: &Results) -> f64 {
    results.setup.deadlines_ms.first().map_or(0.0, |shortest| shortest * GOOD_LATENESS_SHARE).max(GOOD_LATENESS_MS)
}

fn slow(results: &Results) -> Option<String> {
    let (late, allowed) = (results.totals.lateness_ms?.p99, allowed_lateness_ms(results));
    (late > allowed).then(|| {
        format!(
            "This generator was too slow to be believed: 1 % of the requests went out {late} ms or more after they were \
             due ({allowed} ms is allowed). Ask for a lower rate, or give it a core of its own."
        )
    })
}

fn not_sent(results: &Results) -> Option<String> {
    let (not_sent, most) = (results.totals.counts.not_sent, results.setup.max_outstanding);
    (not_sent > 0).then(|| {
        format!(
            "{not_sent} requests were not sent, because {most} were without an answer; they count as not answered on \
             time. To send them, raise --max-outstanding."
        )
    })
}

fn failed(results: &Results) -> Option<String> {
    let first = results.failures.first()?;
    Some(format!("{} requests failed, most of them so: {}.", results.totals.counts.failed, first.what))
}

fn no_deadline(results: &Results) -> Option<String> {
    results.setup.deadlines_ms.is_empty().then(|| {
        "No request had a deadline: every answer counts as on time. Say --deadline-ms or --budget-ms.".to_owned()
    })
}

fn no_accuracy(results: &Results) -> Option<String> {
    let unknown = results.totals.counts.on_time > 0 && results.totals.mean_accuracy.is_none();
    unknown.then(|| "The server does not say how accurate its answers are.".to_owned())
}

fn cut(results: &Results) -> Option<String> {
    results.interrupted.then(|| "The run was stopped before its plan was through.".to_owned())
}
